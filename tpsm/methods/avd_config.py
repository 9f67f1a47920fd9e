"""The configuration of the AVD network, which params.yaml is checked against without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen, MinLen

from tpsm.core.schema import DEEPEST, Positive, Share, Width, checked


@checked
@dataclass(frozen=True)
class AvdConfig:
    """TPSMM's released values; MRAA has bottlenecks of 64. `scale`: how far training stretches a pose (+- 25 %)."""

    id_bottle: Width = 128
    pose_bottle: Width = 128
    widths: Annotated[tuple[Width, ...], MinLen(1), MaxLen(DEEPEST)] = (256, 512, 1024)
    scale: Share = 0.25
    weight: Positive = 1.0
