"""In which mode of animation methods are compared where there is room for one."""

from __future__ import annotations

from collections.abc import Sequence


def common_mode(found: Sequence[tuple[str, str]]) -> str:
    """Of pairs of a run and a mode, the first mode that all the runs have; '' where there is none."""
    runs = {run for run, _ in found}
    modes = dict.fromkeys(mode for _, mode in found)
    return next((mode for mode in modes if {run for run, its in found if its == mode} == runs), "")
