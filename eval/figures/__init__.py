"""Figures of the report. Each function writes one image, or returns None where there is nothing to show."""

from pathlib import Path

from eval.figures.comparison import moving_comparison
from eval.figures.curves import k_ablation, loss_curves
from eval.figures.detections import detections
from eval.figures.failures import failures
from eval.figures.frames import animation, reconstruction
from eval.figures.insides import insides
from eval.figures.scatter import scatter
from eval.tables.results import Results

BORDER = (
    "The background is held still, as in the released code: a method that takes the coordinate 1 for the image's outer "
    "edge, as MRAA does, then reads its outermost pixels half from outside, which is black."
)


def draw_figures(results: Results) -> dict[str, Path]:
    """Caption -> file, of the figures there is something to show in."""
    runs = [run for run in results.config.tables.reconstruction if run in results.scored]

    # Every figure by its caption; one that has nothing to show is None.
    wanted = {
        "A source, the clip that drives it, and each method's result.": moving_comparison(results),
        "Reconstruction. Each block: frames of a real test clip, and what each run makes of its first frame and the "
        "motion of all.": reconstruction(results),
        **{
            f"Animation across identities, {mode} mode (the paper's Figure 6). Each block: the source, the driving "
            f"frames, and each run's result. {BORDER}": animation(results, mode)
            for mode in results.animation_modes
        },
        **{
            f"The worst frames by {metric.title}: of each run the worst clips, real beside generated, with the "
            "value.": failures(results, metric)
            for metric in results.measured
        },
        **{
            f"{results.label(run)} against {results.label(runs[-1])}: one dot per test clip, the worst marked and "
            f"named. Below the dotted line {results.label(runs[-1])} has the lower value.": scatter(
                results, run, runs[-1]
            )
            for run in runs[:-1]
        },
        **{
            f"Inside {results.label(run)}: its points (one colour per motion), from where pixels have moved, whose "
            "motion they follow (grey: the background's), and in magenta where each occlusion mask hides the warped "
            "source, coarsest mask first.": insides(results, run)
            for run in runs
        },
        "Metrics over the number of keypoints, with 95 % intervals.": k_ablation(results),
        "Training loss, smoothed. Methods minimise different sums: compare shapes, not heights.": loss_curves(results),
        "What the joint detector sees in real test frames. Dots: found; crosses: visible joints that it misses.": (
            detections(results)
        ),
    }
    return {caption: path for caption, path in wanted.items() if path is not None}
