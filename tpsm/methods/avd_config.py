"""The configuration of the AVD network, which params.yaml is checked against without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from tpsm.core.schema import DEEPEST, WIDEST, positive


@dataclass(frozen=True)
class AvdConfig:
    """TPSMM's released values; MRAA has bottlenecks of 64. `scale`: how far training stretches a pose (+- 25 %)."""

    id_bottle: int = 128
    pose_bottle: int = 128
    widths: tuple[int, ...] = (256, 512, 1024)
    scale: float = 0.25
    weight: float = 1.0

    def __post_init__(self) -> None:
        positive(self, "id_bottle", "pose_bottle")
        if not 1 <= len(self.widths) <= DEEPEST or not all(1 <= width <= WIDEST for width in self.widths):
            raise ValueError(f"widths: 1 to {DEEPEST} layers, each of 1 to {WIDEST}")
        if not 0 <= self.scale < 1:
            raise ValueError("scale: must be at least 0 and below 1")
        if self.weight <= 0:
            raise ValueError("weight: must be above 0")
