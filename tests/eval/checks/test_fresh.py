"""What would run again, as DVC and the lock say it: code and parameters count, data that is absent does not."""

from __future__ import annotations

import pytest

from eval.checks.fresh import stale

LOCK = {
    "train": {"deps": [{"path": "tpsm/nn", "md5": "1"}], "outs": [{"path": "models", "md5": "2"}]},
    "score": {"deps": [{"path": "models", "md5": "2"}], "outs": [{"path": "scores", "md5": "3"}]},
}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ([{"changed deps": {"data": "deleted"}}, {"changed outs": {"models": "not in cache"}}], None),
        ([{"changed deps": {"tpsm/nn": "modified", "data": "deleted"}}], ["tpsm/nn (modified)"]),
        ([{"changed deps": {"tpsm/new.py": "new"}}], ["tpsm/new.py (new)"]),
        (["changed command"], ["changed command"]),
    ],
)
def test_a_stage_is_stale_where_what_decides_it_has_changed(changes: list, reasons: list[str] | None) -> None:
    assert stale({"train": changes}, LOCK) == ({} if reasons is None else {"train": reasons})


def test_the_stage_that_resolves_parameters_is_exempt() -> None:
    assert stale({"configure": [{"changed deps": {"tpsm": "modified"}}]}, LOCK) == {}


def test_a_stage_is_stale_where_it_read_what_was_made_anew() -> None:
    lock = LOCK | {"train": {"deps": [], "outs": [{"path": "models", "md5": "other"}]}}
    assert stale({}, lock) == {"score": ["models (made anew)"]}
