"""The curve of a training is a table of numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpsm.core.errors import UserError
from tpsm.core.reading import read_curve


def test_what_a_loss_has_not_begun_with_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,a,total\n0,0,,2.5\n1,0,1,3\n")
    assert read_curve(path) == [
        {"step": 0, "epoch": 0, "total": 2.5},
        {"step": 1, "epoch": 0, "a": 1, "total": 3},
    ]


@pytest.mark.parametrize("content", ["step,epoch,total\n1,0,much\n", "step,epoch,total\n1\n", "step,loss\n1,2\n"])
def test_what_is_no_curve_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"metrics\.csv"):
        read_curve(path)
