"""quality.json of a data set's evaluators: read as it was written, or refused by the key that is odd."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from eval.scoring.quality_file import DetectorQuality, EncoderQuality, read_quality
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.provenance import record

PRETRAINED = {"kind": "fan", "settings": {"size": 3}, "weights": {"a": "0" * 64}, "packages": {"fan": "1.0"}}
SECTIONS = {"landmarks": DetectorQuality, "identity": EncoderQuality}
WRONG = [(role, field.name) for role, kind in SECTIONS.items() for field in fields(kind)]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout("dots", tmp_path)


def whole() -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for role, kind in SECTIONS.items():
        sections[role] = {field.name: 0.5 for field in fields(kind)} | {"kind": "heatmap", "clips": 4}
        sections[role]["pretrained"] = PRETRAINED
    return sections | {"provenance": record(0.0, parameters={}, precision="fp32")}


def write(layout: Layout, content: object) -> None:
    layout.evaluators.mkdir(parents=True, exist_ok=True)
    (layout.evaluators / "quality.json").write_text(json.dumps(content))


def test_it_is_read_as_it_is(layout: Layout) -> None:
    assert read_quality(layout) == {}
    for role in SECTIONS:
        content = json.loads(json.dumps(whole()))
        del content[role], content["landmarks" if role == "identity" else "identity"]["pretrained"]
        write(layout, content)
        assert read_quality(layout) == content


@pytest.mark.parametrize(("role", "key"), WRONG)
def test_a_section_with_a_value_of_another_kind_is_refused(layout: Layout, role: str, key: str) -> None:
    for value in ([1], {"a": [1]}, True):
        content = whole()
        content[role][key] = value
        write(layout, content)
        with pytest.raises(UserError, match=rf"quality\.json\.{role}\.{key}.*eval evaluators --dataset dots"):
            read_quality(layout)


@pytest.mark.parametrize("content", [None, 7, [1], "x", {}, {"landmarks": {}}, whole() | {"provenance": {}}], ids=str)
def test_what_is_no_such_file_is_refused(layout: Layout, content: object) -> None:
    write(layout, content)
    with pytest.raises(UserError, match=r"quality\.json.*eval evaluators --dataset dots"):
        read_quality(layout)
