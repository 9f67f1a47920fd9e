"""`make repro` where DVC was killed while it wrote its lock, and where there is no .git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tpsm.core.errors import UserError
from tpsm.jobs import repro

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A short lock of DVC's, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repro, "EVERY", 0.01)
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    short = dict(list(stages.items())[:2])
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": short}, sort_keys=False))
    return Path("dvc.lock").read_bytes()


def test_a_lock_cut_anywhere_is_put_back_or_harmless(lock: bytes) -> None:
    repro.keep()
    whole = yaml.safe_load(lock)["stages"]
    for end in range(len(lock)):
        Path("dvc.lock").write_bytes(lock[:end])
        repro.put_back()
        now = Path("dvc.lock").read_bytes()
        if now == lock:
            continue
        # What is left of it is true: nothing but whole stages, files and values, so that DVC makes the rest anew.
        for name, stage in yaml.safe_load(now)["stages"].items():
            for part in ("deps", "outs"):
                for file in stage.get(part) or ():
                    (same,) = (other for other in whole[name][part] if other["path"] == file["path"])
                    assert file.items() <= same.items()


def test_an_empty_lock_is_never_kept(lock: bytes) -> None:
    repro.keep()
    for torn in (b"", lock[:40], b"schema: '2.0'\n", b"\0" * 500):
        Path("dvc.lock").write_bytes(torn)
        repro.keep()
        assert repro.COPY.read_bytes() == lock
        repro.put_back()
        assert Path("dvc.lock").read_bytes() == lock
    assert [path.name for path in Path(".work").iterdir()] == ["dvc.lock"]


def test_a_lock_that_no_kill_left_is_not_replaced(lock: bytes) -> None:
    repro.keep()
    other = [lock.replace(b"schema: '2.0'", b"schema: '3.0'"), b"version: 4\n", b"a text of mine\n"]
    for content in (*other, *(one.replace(b"md5", b"blake3") for one in other)):
        Path("dvc.lock").write_bytes(content)
        repro.put_back()
        assert Path("dvc.lock").read_bytes() == content


def test_the_conflicts_of_a_merge_are_told_and_stay(lock: bytes) -> None:
    repro.keep()
    lines = lock.decode().splitlines(keepends=True)
    merged = "".join(
        [*lines[:5], "<<<<<<< HEAD\n", *lines[5:9], "=======\n", *lines[5:9], ">>>>>>> other\n", *lines[9:]]
    )
    Path("dvc.lock").write_text(merged)
    with pytest.raises(UserError, match=r"dvc\.lock .*merge.*git checkout"):
        repro.put_back()
    assert Path("dvc.lock").read_text() == merged


def users(process: int) -> str:
    """DVC's list of who reads and writes, with one process that does both."""
    user = {"pid": process, "cmd": "dvc repro"}
    return json.dumps({"write": {"/a": user}, "read": {"/b": [user]}})


@pytest.mark.parametrize(
    ("content", "stays"),
    [
        ("", False),
        ('{"read": {"a": [', False),
        ('{"read": {}, "write": {}}', False),
        (users(2**22 + 1), False),
        (users(os.getpid()), True),
        ("[]", True),  # of another DVC, which knows what it says
        ('{"read": 1, "write": {}}', True),
    ],
)
def test_a_list_of_who_reads_and_writes_goes_that_is_torn_or_names_nobody_who_lives(
    lock: bytes, content: str, stays: bool
) -> None:
    repro.USERS.parent.mkdir(parents=True)
    repro.USERS.write_text(content)
    repro.put_back()
    assert repro.USERS.exists() == stays


def test_a_later_process_of_the_same_number_is_no_user(lock: bytes) -> None:
    repro.USERS.parent.mkdir(parents=True)
    repro.USERS.write_text(users(os.getpid()))
    os.utime(repro.USERS, (0, 0))
    repro.put_back()
    assert not repro.USERS.exists()


def test_a_dead_process_that_nobody_has_taken_note_of_is_no_user(lock: bytes) -> None:
    repro.USERS.parent.mkdir(parents=True)
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as dvc:
        assert dvc.stdout is not None
        dvc.stdout.readline()
        repro.USERS.write_text(users(dvc.pid))
        repro.put_back()
        assert repro.USERS.exists()
        dvc.kill()
        os.waitid(os.P_PID, dvc.pid, os.WEXITED | os.WNOWAIT)  # It is dead now, and its number still in use.
        repro.put_back()
        assert not repro.USERS.exists()


def test_a_lock_without_a_copy_and_no_lock_at_all_are_left_alone(lock: bytes) -> None:
    Path("dvc.lock").write_bytes(b"")
    repro.put_back()
    assert Path("dvc.lock").read_bytes() == b""
    Path("dvc.lock").write_bytes(lock)
    repro.keep()
    Path("dvc.lock").unlink()
    repro.put_back()
    repro.keep()
    assert not Path("dvc.lock").exists()


def test_the_newest_lock_is_kept_while_dvc_runs_and_its_status_returned(
    lock: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = lock.replace(b"size: ", b"size: 1")
    (tmp_path / "newer").write_bytes(newer)
    put_in_place_of_dvc("cp newer dvc.lock; sleep 1; : > dvc.lock; exit 7", tmp_path, monkeypatch)  # killed there
    assert repro.repro(["--pull"]) == 7
    assert (tmp_path / "asked").read_text() == "repro --pull\n" and not Path("dvc.lock").read_bytes()
    repro.put_back()
    assert Path("dvc.lock").read_bytes() == newer


def put_in_place_of_dvc(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of it goes into the file `asked`, a line each."""
    dvc = folder / "bin" / "dvc"
    dvc.parent.mkdir()
    dvc.write_text(f'#!/bin/sh\necho "$@" >> asked\n{script}\n')
    dvc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{dvc.parent}:/usr/bin:/bin")


@pytest.fixture
def clone(lock: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone on two cores: `resolved` is what the stage configure will write as `configs`."""
    published, origin = {"file": "weights/a/p.safetensors"}, {"run": "t"}
    nothing: dict[str, object] = {"origin": None, "published": None}
    runs = {"a/t": {}, "a/u": {}, "a/p": {"published": published}, "a/begun": {"origin": origin}, "b/scored": {}}
    for name, config in runs.items():
        path = tmp_path / "resolved" / name.replace("/", "/runs/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".yaml").write_text(yaml.safe_dump(nothing | config))
    (tmp_path / "scores/b").mkdir(parents=True)
    (tmp_path / "scores/b/scored.parquet").touch()
    monkeypatch.setattr(repro, "cores", lambda: 2)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def test_runs_without_scores_are_made_side_by_side(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$*" in *features) cp -r resolved configs;; esac; echo "${OMP_NUM_THREADS:-all}" >> threads'
    put_in_place_of_dvc(script, clone, monkeypatch)
    assert repro.repro([repro.SIDE_BY_SIDE]) == 0
    first, *between, last = (clone / "asked").read_text().splitlines()
    assert (first, last) == ("repro features", "repro")
    beside = "--wait-for-lock repro --single-item --glob"
    assert sorted(between[:2]) == [f"{beside} *@a-t *@a-p coverage@*", f"{beside} *@a-u score-control@*"]
    assert sorted(between[2:]) == [f"{beside} report@a", f"{beside} report@b"]
    assert (clone / "threads").read_text().split() == ["all", *4 * ["1"], "all"]


def test_what_one_of_them_says_ends_it(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "resolved").rename(clone / "configs")
    put_in_place_of_dvc('case "$*" in *a-u*) exit 3;; esac', clone, monkeypatch)
    assert repro.repro([repro.SIDE_BY_SIDE]) == 3
    assert len((clone / "asked").read_text().splitlines()) == 3


@pytest.mark.parametrize("why", ["one core", "a GPU", "all are scored"])
def test_otherwise_dvc_makes_one_after_the_other(clone: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    (clone / "resolved").rename(clone / "configs")
    if why == "one core":
        monkeypatch.setattr(repro, "cores", lambda: 1)
    elif why == "a GPU":
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    else:
        shutil.rmtree(clone / "configs/a")
    put_in_place_of_dvc("", clone, monkeypatch)
    assert repro.repro([repro.SIDE_BY_SIDE]) == 0
    assert (clone / "asked").read_text() == "repro\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_without_git_dvc_is_told_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".dvc").mkdir()

    def steps() -> str:
        command = ["make", "--dry-run", "repro", "READY="]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "no_scm = true" in steps()
    subprocess.run(["make", ".dvc/config.local"], cwd=tmp_path, capture_output=True, check=True)
    assert "no_scm" in (tmp_path / ".dvc" / "config.local").read_text() and "no_scm" not in steps()
    (tmp_path / ".dvc" / "config.local").unlink()
    (tmp_path / ".git").write_text("gitdir: elsewhere")  # a worktree's
    assert "no_scm" not in steps()
