"""Lists as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Such as `a, b and c`; one name and more."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
