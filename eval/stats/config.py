"""How intervals are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BootstrapConfig:
    """`unit` is what is drawn anew: `identity` with all its clips, or `clip`, narrower where identities repeat."""

    samples: int = 10_000
    seed: int = 0
    unit: Literal["clip", "identity"] = "identity"

    def __post_init__(self) -> None:
        if self.samples < 100:
            raise ValueError("samples: must be at least 100 for an interval")
