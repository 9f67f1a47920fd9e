"""Runs that repeat another with another seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import TRAINED, params, written

from tpsm.config.params import merge, read_params, resolve_run
from tpsm.config.repeats import check_repeat
from tpsm.core.errors import UserError
from tpsm.stages.configure import configure

__all__ = ["params"]
TWICE: dict[str, Any] = TRAINED | {
    "runs": ["fomm", "again"],
    "run": {"again": {"method": "fomm", "label": "Again", "repeat_of": "fomm", "train": {"seed": 7}}},
}


def changed(params: dict[str, Any], **again: Any) -> dict[str, Any]:
    return merge(params, merge(TWICE, {"run": {"again": again}}))


def test_configure_writes_the_seeds_down(params: dict[str, Any], tmp_path: Path) -> None:
    configure(written(tmp_path, changed(params)), tmp_path / "configs")
    found = yaml.safe_load((tmp_path / "configs/puppets/seeds.yaml").read_text())
    assert found == {"fomm": {"fomm": 0, "again": 7}}
    labels = yaml.safe_load((tmp_path / "configs/puppets/labels.yaml").read_text())
    assert list(labels) == ["fomm", "again"]


@pytest.mark.parametrize(
    ("again", "message"),
    [
        ({"repeat_of": "mraa"}, r"run\.again\.repeat_of is 'mraa', which params\.yaml\.runs does not train"),
        ({"repeat_of": "again"}, r"run\.again\.repeat_of is 'again', itself a repeat"),
        ({"train": {"seed": 0}}, r"again repeats 'fomm' with the same seed; set params\.yaml\.run\.again\.train\.seed"),
        ({"train": {"seed": 7, "batch": 4}}, r"nothing but train\.seed may differ, and train does"),
        ({"model": {"num_keypoints": 5}}, r"nothing but train\.seed may differ, and model does"),
        ({"method": "mraa"}, r"nothing but train\.seed may differ, and method does"),
    ],
)
def test_a_repeat_that_is_none_is_refused(
    params: dict[str, Any], tmp_path: Path, again: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        configure(written(tmp_path, changed(params, **again)), tmp_path / "configs")


def test_the_repeats_that_stand_ready_are_repeats(params: dict[str, Any], tmp_path: Path) -> None:
    read = read_params(written(tmp_path, params))
    ready = {run: section.repeat_of for run, section in read.run.items() if section.repeat_of is not None}
    assert set(ready.values()) == {"tps", "fomm", "mraa"}
    for run, original in ready.items():
        for dataset in ("puppets", "vox"):
            check_repeat(resolve_run(read, dataset, run)[0], resolve_run(read, dataset, original)[0])
