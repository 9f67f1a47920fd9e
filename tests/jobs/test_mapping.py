"""Mapping over clips: the same results wherever it runs, whatever happens to a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest
from clip_jobs import Log, items
from killing import KILLER, Killed, files

from tpsm.core.errors import UserError
from tpsm.jobs.map import as_workers, chosen_workers, map_clips
from tpsm.jobs.resume import ResumeCache, gather

pytestmark = pytest.mark.usefixtures("warm_workers")
NAMES = tuple(f"clip{number}" for number in range(7))


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    assert map_clips(Log(tmp_path), items(*NAMES)) == [(name, os.getpid()) for name in NAMES]
    assert map_clips(Log(tmp_path), []) == map_clips(Log(tmp_path), [], workers=3) == []


def test_several_workers_share_the_clips_and_keep_their_order(tmp_path: Path) -> None:
    results = map_clips(Log(tmp_path, seconds=0.05), items(*NAMES), workers=2)
    assert [name for name, _ in results] == list(NAMES)
    processes = {process for _, process in results}
    assert len(processes) == 2 and os.getpid() not in processes
    assert not multiprocessing.active_children()


def test_a_clip_whose_worker_was_killed_is_begun_again_and_no_other(tmp_path: Path) -> None:
    log, names = Log(tmp_path, seconds=0.02), ("a", "b", "dies-once", "c", "d")
    results = map_clips(log, items(*names), workers=2)
    assert [name for name, _ in results] == list(names)
    assert {name: len(log.begun(name)) for name in names} == {"a": 1, "b": 1, "dies-once": 2, "c": 1, "d": 1}
    first, second = log.begun("dies-once")
    assert first != second and dict(results)["dies-once"] == second


def test_a_worker_killed_from_outside_costs_at_most_its_clip(tmp_path: Path) -> None:
    log, killed = Log(tmp_path, seconds=0.1), []

    def kill() -> None:
        while not log.begun(NAMES[3]):
            threading.Event().wait(0.01)
        killed.append(log.begun(NAMES[3])[0])
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    results = map_clips(log, items(*NAMES), workers=2)
    thread.join()
    assert [name for name, _ in results] == list(NAMES)
    assert [len(log.begun(name)) for name in NAMES] == [1, 1, 1, 2, 1, 1, 1]
    assert killed[0] not in {process for name, process in results if name in NAMES[3:]}


def test_a_clip_that_kills_every_worker_is_named(tmp_path: Path) -> None:
    log = Log(tmp_path)
    with pytest.raises(UserError, match=r"^The clip 'poison' ended its process 3 times \(signal 9\); look at"):
        map_clips(log, items("a", "poison", "b"), workers=2)
    assert len(log.begun("poison")) == 3
    assert not multiprocessing.active_children()


def test_a_users_error_arrives_as_it_is(tmp_path: Path) -> None:
    for workers in (1, 2):
        with pytest.raises(UserError, match=r"^The clip is no good; remove it\.$"):
            map_clips(Log(tmp_path), items("a", "refused", "b"), workers=workers)


def test_a_bug_arrives_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no such key") as caught:
        map_clips(Log(tmp_path), items("bug"), workers=2)
    assert "clip_jobs.py" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="Unspeakable: one"):
        map_clips(Log(tmp_path), items("unspeakable"), workers=2)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, None, "", "two", "host:8786", "tcp:/host"])
def test_workers_that_make_no_sense_are_named(value: object) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml\.workers is .*; give the number of this machine's processes"):
        as_workers(value, "params.yaml.workers")


def test_an_option_stands_above_the_configuration(tmp_path: Path) -> None:
    assert chosen_workers(None, tmp_path) == 1
    (tmp_path / "workers.yaml").write_text("workers: tcp://host:8786\n")
    assert chosen_workers(None, tmp_path) == "tcp://host:8786"
    assert chosen_workers("4", tmp_path) == 4


def test_a_unit_is_made_once_whole_and_from_what_decides_it(tmp_path: Path) -> None:
    made: list[str] = []

    def write(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(f"{len(made)}")
        made.append(folder.name)
        if len(made) == 2:
            raise KeyboardInterrupt

    cache = ResumeCache.of("stage", "a@b", "run", "weights", work=tmp_path)
    first = cache.make(write, "clip")
    assert cache.make(write, "clip") == first and len(made) == 1
    with pytest.raises(KeyboardInterrupt):
        cache.make(write, "another")
    assert [path.name for path in cache.folder.iterdir()] == [first.name], "half a folder is none"
    assert cache.make(write, "another") != first and len(made) == 3
    assert ResumeCache.of("stage", "a@b", "run", "other weights", work=tmp_path).make(write, "clip") != first
    out = tmp_path / "out"
    (out / "stranger").mkdir(parents=True)
    gather([first], out)
    assert [path.relative_to(out).as_posix() for path in out.rglob("*")] == ["inner", "inner/file"]
    assert (out / "inner" / "file").read_text() == "0"
    cache.remove()
    assert (out / "inner" / "file").is_file() and not cache.folder.exists()


def test_units_are_whole_or_gone_whenever_the_stage_is_killed(tmp_path: Path) -> None:
    """Also while it clears them away: started again, it has the outputs of an unbroken run."""

    def stage(top: Path) -> None:
        cache = ResumeCache.of("stage", "set", "run", work=top / "work")

        def write(clip: str, folder: Path) -> None:
            for name in ("inner", "other"):
                (folder / name).mkdir()
                (folder / name / f"{clip}.txt").write_text(clip)

        gather([cache.make(partial(write, clip), clip) for clip in ("first", "second")], top / "out")
        cache.remove()

    (tmp_path / "whole").mkdir()
    with KILLER.after(10**6, tmp_path / "whole"):
        stage(tmp_path / "whole")
        operations = KILLER.count
    expected = files(tmp_path / "whole")
    assert len(expected) == 4 and operations > 35
    for count in range(operations):
        top = tmp_path / str(count)
        top.mkdir()
        with pytest.raises(Killed), KILLER.after(count, top):
            stage(top)
        stage(top)
        assert files(top) == expected, count
