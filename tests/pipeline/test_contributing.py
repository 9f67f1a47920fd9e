"""CONTRIBUTING.md's worked example, followed to the letter: a method and a metric in files of one's own."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import tpsm
from typer.testing import CliRunner

from eval.cli import app
from tpsm.core.fingerprint import outside

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the example shows, in which its commands have run."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        for _, content in (block for block in BLOCKS if block[0]):
            name = content.partition("\n")[0].removeprefix("# ")
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(content, encoding="utf-8")
        (commands,) = (content for language, content in BLOCKS if not language)
        for line in commands.splitlines():
            follow(shlex.split(line))
        yield folder
        for module in [name for name in sys.modules if name.startswith("mypackage")]:
            del sys.modules[module]


def follow(command: list[str]) -> None:
    if command[0] == "tpsm":
        tpsm(*command[1:])
    else:
        assert command[:3] == ["python", "-m", "eval"]
        done = CliRunner().invoke(app, command[3:], catch_exceptions=False)
        assert done.exit_code == 0, done.output


def test_the_row_and_the_column_are_there(example: Path) -> None:
    lines = (example / "reports/drawn/tables/reconstruction.md").read_text(encoding="utf-8").splitlines()
    head, row = (next(line for line in lines if line.startswith(f"| {start}")).split("|") for start in ("Run", "One"))
    value = row[head.index(" Restlessness ↓ ")]
    assert 0 < float(re.findall(r"[.\d]+", value)[0]) < 1
    for page in ("drawn/README.md", "index.html"):
        assert "Restlessness" in (example / "reports" / page).read_text(encoding="utf-8")


def test_every_record_names_the_package_and_its_source(example: Path) -> None:
    made = json.loads((example / "reports/drawn/provenance.json").read_text())
    metric, method = outside("mypackage.restless"), outside("mypackage.shift")
    assert made["outside"]["mypackage.restless"] == vars(metric) and metric.package == "mypackage"
    assert made["scores"]["shift"]["outside"] == made["outside"]
    assert made["runs"]["shift"]["trained"]["outside"] == {"mypackage.shift": vars(method)}
    assert "mypackage.shift of mypackage (no version)" in (example / "reports/drawn/README.md").read_text()


def test_another_source_is_another_run_and_other_scores(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved() -> dict[str, str]:
        tpsm("configure")
        return {path.name: path.read_text() for path in Path("configs/drawn").rglob("*.yaml")}

    monkeypatch.chdir(example)
    before = resolved()
    for file, changed in (("shift", {"shift.yaml"}), ("restless", {"metrics.yaml"})):
        source = Path(f"mypackage/{file}.py")
        old = source.read_text()
        source.write_text(old + "# Another source.\n")
        after = resolved()
        assert {name for name in after if after[name] != before[name]} == changed
        source.write_text(old)
