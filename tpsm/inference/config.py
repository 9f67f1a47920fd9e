"""Configures how frames are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tpsm.core.schema import checked


@checked
@dataclass(frozen=True)
class InferenceConfig:
    """How a method computes frames; the default is its own computation as it stands, in fp32.

    In bf16 networks lose digits, coordinates do not. `channels_last` and `compile` change the numbers by rounding
    alone. With `graph` an NVIDIA GPU replays whole batches as CUDA graphs; elsewhere it changes nothing.
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    graph: bool = False


PLAIN = InferenceConfig()
