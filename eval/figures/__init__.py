"""Pictures of the report. Each function writes one PNG, or returns None where there is nothing to show."""

from eval.figures.curves import k_ablation, loss_curves
from eval.figures.detections import detections
from eval.figures.failures import failures
from eval.figures.frames import animation, reconstruction
from eval.figures.insides import insides
from eval.figures.scatter import scatter

__all__ = [
    "animation",
    "detections",
    "failures",
    "insides",
    "k_ablation",
    "loss_curves",
    "reconstruction",
    "scatter",
]
