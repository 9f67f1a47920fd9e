"""How intervals are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from tpsm.core.schema import MOST, Seed, checked


@checked
@dataclass(frozen=True)
class BootstrapConfig:
    """`unit` is what is drawn anew: `identity` with all its clips, or `clip`, narrower where identities repeat."""

    samples: Annotated[int, Ge(100), Le(MOST)] = 10_000
    seed: Seed = 0
    unit: Literal["clip", "identity"] = "identity"
