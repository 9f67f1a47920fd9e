"""The manifest of evaluators' weights, and the command that lists and fetches them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_pipeline import configure, make_data

from eval import weights
from eval.__main__ import main
from eval.evaluators import dlib68, dlib_face, fan, rtmpose
from tpsm.core.errors import UserError
from tpsm.downloads.pinned import Source


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """FAN's entry, with a folder's file served on 127.0.0.1 in the place of the publisher's."""
    files = tmp_path / "served"
    files.mkdir()
    (files / "fan.pth").write_bytes(b"the right weights")
    handler = partial(SimpleHTTPRequestHandler, directory=files)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = Source(url=f"http://127.0.0.1:{server.server_port}/fan.pth")
        pinned = hashlib.sha256(b"the right weights").hexdigest()[:10]
        entry = replace(weights.entries()["fan"], sha256=pinned, sources=(source,))
        monkeypatch.setattr(weights, "entries", lambda: {"fan": entry})
        yield files
        server.shutdown()


def run(*arguments: str, folder: Path) -> int:
    return main(["weights", *arguments, "--folder", str(folder)])


def test_every_entry_is_whole() -> None:
    entries = weights.entries()
    assert {"dlib-landmarks", "dlib-identity", "fan", "s3fd", "rtmpose-s", "vgg19"} <= entries.keys()
    assert len({entry.file for entry in entries.values()}) == len(entries)
    assert all(entry.licence and entry.about for entry in entries.values())
    for module in (dlib68, dlib_face, fan, rtmpose):
        assert set(module.NEEDS) <= entries.keys()
    # Only what torch.hub names by the first digits of its hash is pinned by less than the whole.
    assert {name for name, entry in entries.items() if len(entry.sha256) < 64} == {"fan", "s3fd", "vgg19-torchvision"}


def test_lists_fetches_and_verifies(served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "weights"
    assert run(folder=folder) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("fan: absent") and "BSD-3-Clause" in listed and "for research" in listed
    assert f"fetch    python -m eval weights fetch fan --folder {folder}" in listed
    assert not folder.exists(), "a list fetches nothing"

    assert run("fetch", "fan", folder=folder) == 0
    assert weights.locate("fan", folder).sha256 == hashlib.sha256(b"the right weights").hexdigest()
    capsys.readouterr()
    assert run(folder=folder) == 0 and capsys.readouterr().out.startswith("fan: present")

    file = folder / weights.entry("fan").file
    file.write_bytes(b"spoilt")
    assert run(folder=folder) == 0 and capsys.readouterr().out.startswith("fan: spoilt")
    with pytest.raises(UserError, match=r"is not the pinned file.*`python -m eval weights fetch fan --folder .*aside"):
        weights.locate("fan", folder)
    assert run("fetch", "fan", folder=folder) == 0
    assert file.read_bytes() == b"the right weights"
    assert file.with_name(f"{file.name}.refused").read_bytes() == b"spoilt"


def test_a_wrong_file_from_the_server_is_kept_aside(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (served / "fan.pth").write_bytes(b"other weights")
    folder = tmp_path / "weights"
    assert run("fetch", "fan", folder=folder) == 2
    assert "is not the pinned file (kept as 2DFAN4-11f355bf06.pth.tar.refused)" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["2DFAN4-11f355bf06.pth.tar.refused"]
    (served / "fan.pth").unlink()
    assert run("fetch", "fan", folder=folder) == 2
    assert "404" in capsys.readouterr().err


def test_the_check_asks_for_weights_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = make_data(tmp_path)
    (layout.config.parent / "runs").mkdir()
    configure(layout, {"evaluators": {"landmarks": {"kind": "fan", "weights": str(tmp_path)}}})
    assert main(["check", "--root", str(tmp_path)]) == 2
    assert "type `python -m eval weights fetch fan --folder" in capsys.readouterr().err


def test_names_that_are_wrong_or_lacking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fetch", "openpose", folder=tmp_path) == 2
    assert "There are no weights 'openpose'; choose among dlib-landmarks" in capsys.readouterr().err
    assert run("fetch", folder=tmp_path) == 2
    assert "Name what to fetch: python -m eval weights fetch dlib-landmarks" in capsys.readouterr().err
