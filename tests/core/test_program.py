"""How a program ends: one sentence, and the traceback in a file."""

from __future__ import annotations

import errno
import io
import os
import pickle
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tpsm.core.errors import UserError, working_on
from tpsm.core.files import write_text
from tpsm.core.program import exit_status
from tpsm.core.reading import read_json
from tpsm.core.tensors import write_torch
from tpsm.jobs.map import map_clips


def ending(work: Callable[[], Any]) -> int:
    return exit_status(lambda args, prog_name: work(), "tpsm", [], prefix="tpsm: ")


def fails(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("params.yaml is\n  odd \x1b[31m."), 2, "tpsm: params.yaml is odd [31m."),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a.zip"),
            2,
            "out/a.zip: No space left on device; mend that",
        ),
        (OSError(errno.EROFS, "Read-only file system", b"raw"), 2, "Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "models"), 2, "models: Permission denied"),
        (OSError("odd"), 2, "odd"),
        (UnicodeEncodeError("utf-8", "a\udce4.mp4", 1, 2, "surrogates not allowed"), 2, r"a\udce4.mp4"),
        (KeyError("x" * 5000), 3, "KeyError"),
        (MemoryError(), 3, "MemoryError"),
        (RecursionError("deep\nand deeper"), 3, "RecursionError: deep)"),
        (SystemExit(1), 1, ""),
        (SystemExit(None), 0, ""),
    ],
    ids=str,
)
def test_every_end_is_one_sentence(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(fails(error)) == status
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == bool(says) and len(said) < 600
    assert "Traceback" not in said


def test_the_traceback_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(fails(ValueError("what is this"))) == 3
    (log,) = here.glob(".work/errors/*.log")
    assert str(log.relative_to(here)) in capsys.readouterr().err
    assert "Traceback" in (text := log.read_text()) and "ValueError: what is this" in text


def test_without_a_place_for_the_traceback_the_sentence_stays(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".work").write_text("a file where a folder should be")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(here / ".work"))
    assert ending(fails(ValueError("odd"))) == 3
    assert "odd" in (said := capsys.readouterr().err) and "No details" in said


def test_the_file_being_written_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "folder.txt").mkdir()
    assert ending(lambda: write_text(here / "folder.txt", "x")) == 2
    assert "folder.txt" in capsys.readouterr().err
    assert not [path for path in here.iterdir() if path.name.startswith(".folder")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_with_the_file(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_text", lambda path, *_, **__: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
    assert ending(lambda: write_text(here / "scores.txt", "x")) == 2
    assert "No space left" in (said := capsys.readouterr().err) and "scores" in said


@pytest.mark.parametrize("most", [0, 100, 5_000, 30_000])
def test_a_disk_that_fills_while_weights_are_written_is_told(
    most: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyTorch's own error, which comes last, says nothing of the disk."""
    (here / "last.pt").write_text("the old one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        status = ending(lambda: write_torch(here / "last.pt", {"weights": torch.zeros(10_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert status == 2 and "last" in said and "File too large" in said
    assert (here / "last.pt").read_text() == "the old one"
    assert [path.name for path in here.iterdir() if path.suffix == ".pt"] == ["last.pt"]


def test_a_name_that_the_terminal_cannot_show_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii"))
    assert ending(lambda: print("4 frames \u2192 \U0001f600\udce4.mp4", flush=True)) == 0
    assert said.getvalue() == rb"4 frames \u2192 \U0001f600\udce4.mp4" + os.linesep.encode()


def test_a_file_at_hand_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "odd.json").write_text("{}")
    monkeypatch.setattr("tpsm.core.reading.parse_json", lambda text: [][1])
    assert ending(lambda: read_json(here / "odd.json", "file")) == 3
    assert "odd.json" in capsys.readouterr().err


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


def stumble(clip: Named) -> None:
    raise KeyError("fps")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_clip_being_worked_on_is_named(
    workers: int, capsys: pytest.CaptureFixture[str], warm_workers: None
) -> None:
    assert ending(lambda: map_clips(stumble, [Named("ann#1")], workers)) == 3
    assert "at the clip 'ann#1'" in capsys.readouterr().err


def test_what_was_worked_on_goes_with_the_error() -> None:
    with pytest.raises(KeyError) as inner, working_on("a.csv"), working_on("row 3 of a.csv"):
        {}["x"]
    assert pickle.loads(pickle.dumps(inner.value)).working_on == "row 3 of a.csv"
    with pytest.raises(UserError, match="as it stands"), working_on("b.csv"):
        raise UserError("as it stands")


def test_both_programs_end_so(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from eval.__main__ import main as evaluate
    from tpsm.cli.main import main as tpsm

    def odd(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("eval.stages.check.check", odd)
    assert evaluate(["check"]) == 3
    monkeypatch.setattr("tpsm.stages.configure.configure", odd)
    monkeypatch.setattr(sys, "argv", ["tpsm", "configure"])
    with pytest.raises(SystemExit, match="3"):
        tpsm()
    assert capsys.readouterr().err.count("ZeroDivisionError") == 2
