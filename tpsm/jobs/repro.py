"""Runs `dvc repro` so that a kill cannot damage its lock for good: `python -m tpsm.jobs.repro`.

DVC writes `dvc.lock` in its place. Killed meanwhile, it leaves the file empty or cut off, and cannot read it again. So
a copy of the last whole one is kept while DVC runs, and put back before it starts. What the copy does not know yet, DVC
finds in its cache of runs. Its list of who reads and writes is written in the same way. It names processes, and DVC
waits for each whose number is in use, also by a dead process that nobody has taken note of (a container has often no
init to do so) or by a later program. So the list goes where it is cut off, or where none of them lives.

With `--side-by-side`, runs that have no scores yet are made several at a time.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path

import psutil
import yaml

from tpsm.core.errors import UserError
from tpsm.core.files import write_text
from tpsm.core.layout import CONFIGS, Layout
from tpsm.core.program import exit_status
from tpsm.core.provenance import cores
from tpsm.core.reading import Loader, parse_json, read_yaml

log = logging.getLogger(__name__)
LOCK, COPY, USERS = Path("dvc.lock"), Path(".work/dvc.lock"), Path(".dvc/tmp/rwlock")
HEAD, CONFLICT = b"schema: '2.0'\n", re.compile(rb"^<{7} ", re.M)
"""How a lock begins, and what git writes into one that it cannot merge."""
EVERY = 1.0
"""Seconds between two looks at the lock."""
SIDE_BY_SIDE = "--side-by-side"


def repro(arguments: Sequence[str]) -> int:
    """Runs `dvc repro` with these arguments in the repository's root, and returns its exit status."""
    put_back()
    for step in steps() if SIDE_BY_SIDE in arguments else [[arguments]]:
        if status := run(step):
            return status
    return 0


def steps() -> Iterator[list[Sequence[str]]]:
    """What is asked of DVC, step after step; a step's lists of arguments have a process each.

    The last step is the whole pipeline, in one process: it makes whatever the others have left. A GPU is one run's.
    """
    count = cores()
    if count > 1 and shutil.which("nvidia-smi") is None and (not CONFIGS.is_dir() or unscored()):
        yield [["features"]]  # what several runs need
        yield dealt([*unscored(), "score-control@*", "coverage@*"], count)
        yield dealt([f"report@{path.name}" for path in sorted(CONFIGS.iterdir()) if path.is_dir()], count)
    yield [[]]


def unscored() -> list[str]:
    """DVC's patterns for the stages of the runs that have no scores. Runs that are trained stand first, so that each
    process gets its share. One that begins with another's weights is left out: it waits for the last step."""
    due = []
    for path in CONFIGS.glob("*/runs/*.yaml"):
        dataset, config = path.parts[-3], read_yaml(path)
        if config["origin"] is None and not Layout(dataset).scores(path.stem).exists():
            due.append((config["published"] is not None, f"*@{dataset}-{path.stem}"))
    return [pattern for _, pattern in sorted(due)]


def dealt(targets: Sequence[str], count: int) -> list[Sequence[str]]:
    """The targets, dealt to at most `count` processes. Each makes them in order, and not what they need: DVC would lock
    that against the other processes."""
    return [["--single-item", "--glob", *targets[first::count]] for first in range(min(count, len(targets)))]


def run(step: Sequence[Sequence[str]]) -> int:
    """Runs `dvc repro` with each of the lists of arguments, side by side; the first exit status that is not 0.

    Each of several has its share of the cores, and draws no bars, which would overwrite one another's.
    """
    environment, options = dict(os.environ), []
    if len(step) > 1:
        environment = {"OMP_NUM_THREADS": str(max(1, cores() // len(step))), "TQDM_DISABLE": "1"} | environment
        options = ["--wait-for-lock"]
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen(["dvc", *options, "repro", *arguments], env=environment))
            for arguments in step
        ]
        while living := [dvc for dvc in running if dvc.poll() is None]:
            keep()
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # Ctrl-C reaches DVC too, which ends.
                living[0].wait(EVERY)
    keep()
    return next((dvc.returncode for dvc in running if dvc.returncode), 0)


def put_back() -> None:
    """Puts the copy in the place of a lock that a kill cut off, and removes a list of DVC's that no living DVC uses.

    Raises:
        UserError: the lock holds the conflicts of a merge.
    """
    lock = LOCK.read_bytes() if LOCK.exists() else None
    if lock is not None and CONFLICT.search(lock):
        raise UserError(
            f"{LOCK} holds the conflicts of a merge; resolve them, for instance `git checkout --ours {LOCK}`."
        )
    if lock is not None and is_cut_off(lock) and COPY.exists():
        log.info("%s is not whole, as a kill leaves it: the last whole one takes its place.", LOCK)
        write_text(LOCK, COPY.read_text(encoding="utf-8"))
    try:
        if USERS.exists() and not any(lives(process, USERS.stat().st_mtime) for process in processes()):
            USERS.unlink()
    except ValueError:  # cut off
        USERS.unlink()
    except (LookupError, AttributeError, TypeError):
        log.debug("%s is no list that this program knows, and is left to DVC.", USERS)


def processes() -> set[int]:
    """The numbers of the processes that DVC's list of who reads and writes names."""
    lists = parse_json(USERS.read_text(encoding="utf-8"))
    return {int(user["pid"]) for user in chain(lists["write"].values(), *lists["read"].values())}


def lives(number: int, then: float) -> bool:
    """Whether the process that had this number at the time `then` still lives."""
    try:
        process = psutil.Process(number)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= then
    except psutil.NoSuchProcess:
        return False


def keep() -> None:
    """Copies the lock, unless it is being written at this moment."""
    now, kept = (path.read_bytes() if path.exists() else b"" for path in (LOCK, COPY))
    if now != kept and is_whole(now):
        write_text(COPY, now.decode("utf-8"))


def is_cut_off(content: bytes) -> bool:
    """Whether a kill may have left this of a lock: nothing, zeros, or its beginning. The lock of another DVC is not
    ours to replace."""
    is_ours = HEAD.startswith(content[: len(HEAD)]) or not content.strip(b"\0")
    return is_ours and not is_whole(content)


def is_whole(content: bytes) -> bool:
    """Whether DVC can read a lock, and every entry in it is whole. DVC makes entries anew that were cut off."""
    if not content.endswith(b"\n"):
        return False
    try:
        lock = yaml.load(content, Loader)
    except yaml.YAMLError:
        return False
    return (
        isinstance(lock, dict) and isinstance(lock.get("stages"), dict) and all(map(is_entry, lock["stages"].values()))
    )


def is_entry(stage: object) -> bool:
    """Whether a stage has its command, and each of its files a path and a hash."""
    if not isinstance(stage, dict) or "cmd" not in stage:
        return False
    files = [file for part in ("deps", "outs") for file in stage.get(part) or ()]
    return all(isinstance(file, dict) and {"path", "md5"} <= file.keys() for file in files)


def main() -> None:
    """Runs `dvc repro` with the arguments of the command line, and exits with its status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(exit_status(lambda args, prog_name: sys.exit(repro(args)), "make repro", sys.argv[1:]))


if __name__ == "__main__":
    main()
