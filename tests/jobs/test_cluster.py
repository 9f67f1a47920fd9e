"""A Dask cluster by its address: a real scheduler and real workers on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clip_jobs import Log, items

from tpsm.core.errors import UserError
from tpsm.data.config import DataConfig
from tpsm.data.prepare import prepare
from tpsm.jobs import cluster
from tpsm.jobs.map import map_clips
from tpsm.sources.puppets.generate import synthesize

installed = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason="distributed is not installed: pip install '.[cluster]' brings it",
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with two workers, each of which is started again when it dies."""
    folder = tmp_path_factory.mktemp("dask")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/support"), os.environ.get("PYTHONPATH", "")])
    fails = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    environment = os.environ | fails | {"PYTHONPATH": path}

    def start(what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--no-dashboard", *arguments]
        with (folder / f"{what}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    file = folder / "scheduler.json"
    processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))]
    try:
        deadline = time.monotonic() + 300
        while not file.is_file() or not file.read_text().strip().endswith("}"):
            assert processes[0].poll() is None and time.monotonic() < deadline, (folder / "scheduler.log").read_text()
            time.sleep(0.1)
        found = str(json.loads(file.read_text())["address"])
        processes.append(start("worker", found, "--nworkers", "2", "--nthreads", "1"))
        with pytest.MonkeyPatch.context() as patch:  # a busy machine takes its time
            patch.setattr(cluster, "CONNECT", 300)
            patch.setattr(cluster, "ARRIVE", 300)
            yield found
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # workers whose scheduler is gone say a long goodbye
                os.killpg(process.pid, signal.SIGKILL)


@installed
def test_the_same_as_in_this_process(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With paths relative to a folder that is not the workers'."""
    monkeypatch.chdir(tmp_path)
    synthesize(Path("raw"), size=32, train_identities=1, test_identities=1, clips_per_identity=2, frames=3, seed=0)
    config = DataConfig(size=24)
    one = prepare("drawn", Path("raw"), config, Path("one"))
    assert prepare("drawn", Path("raw"), config, Path("two"), workers=address) == one
    for path in (path for path in Path("one").rglob("*") if path.is_file()):
        assert (Path("two") / path.relative_to("one")).read_bytes() == path.read_bytes()


@installed
def test_a_clip_whose_worker_was_killed_is_begun_again(address: str, tmp_path: Path) -> None:
    log, names = Log(tmp_path), ("a", "b", "dies-once", "c", "d", "e")
    results = map_clips(log, items(*names), address)
    assert [name for name, _ in results] == list(names)
    first, second = log.begun("dies-once")
    assert first != second and dict(results)["dies-once"] == second
    assert os.getpid() not in {process for _, process in results}


@installed
def test_a_users_error_arrives_as_it_is_and_a_clip_that_kills_is_named(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^The clip is no good; remove it\.$"):
        map_clips(Log(tmp_path), items("a", "refused", "b"), address)
    with pytest.raises(UserError, match=r"^The clip 'poison' ended several Dask workers; look at that clip"):
        map_clips(Log(tmp_path), items("poison"), address)
    assert len(Log(tmp_path).begun("poison")) == 2


@installed
def test_no_scheduler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 1)
    with pytest.raises(UserError, match=r"^No Dask scheduler answers at tcp://127\.0\.0\.1:9 .* `dask scheduler`"):
        map_clips(Log(tmp_path), items("a"), "tcp://127.0.0.1:9")


def test_that_distributed_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"distributed is not installed; type `pip install --editable '\.\[cluster\]'`"):
        map_clips(Log(tmp_path), items("a"), "tcp://127.0.0.1:9")


def test_a_worker_elsewhere_or_of_other_code_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (item,) = items("a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"does not see /no/such/folder .*; start workers where the project's folder"):
        cluster.Remote(Log(tmp_path), "/no/such/folder", cluster.CODE)(item)
    with pytest.raises(UserError, match=r"has other code of tpsm than .*; start it from that folder's environment"):
        cluster.Remote(Log(tmp_path), str(tmp_path), "other")(item)
    assert not Log(tmp_path).begun("a")
