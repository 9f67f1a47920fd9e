"""Runs `dvc repro` so that a kill cannot damage its lock for good: `python -m tpsm.jobs.repro`.

DVC writes `dvc.lock` in its place. Killed meanwhile, it leaves the file empty or cut off, and cannot read it again. So
a copy of the last whole one is kept while DVC runs, and put back before it starts. What the copy does not know yet, DVC
finds in its cache of runs. Its list of who reads and writes is written in the same way; it names processes, which the
kill has ended, so it goes where it is cut off.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from tpsm.core.files import write_text
from tpsm.core.program import exit_status
from tpsm.core.reading import Loader, parse_json

log = logging.getLogger(__name__)
LOCK, COPY, USERS = Path("dvc.lock"), Path(".work/dvc.lock"), Path(".dvc/tmp/rwlock")
EVERY = 1.0
"""Seconds between two looks at the lock."""


def repro(arguments: Sequence[str]) -> int:
    """Runs `dvc repro` with these arguments in the repository's root, and returns its exit status."""
    put_back()
    with subprocess.Popen(["dvc", "repro", *arguments]) as dvc:
        while dvc.poll() is None:
            keep()
            try:
                dvc.wait(EVERY)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:  # It reaches DVC too, which ends what it has begun.
                dvc.wait()
    keep()
    return dvc.returncode


def put_back() -> None:
    """Puts the copy in the place of a lock that is not whole, and removes a list of DVC's that is not whole."""
    if LOCK.exists() and not is_whole(LOCK.read_bytes()) and COPY.exists():
        log.info("%s is not whole, as a kill leaves it: the last whole one takes its place.", LOCK)
        write_text(LOCK, COPY.read_text(encoding="utf-8"))
    try:
        if USERS.exists():
            parse_json(USERS.read_text(encoding="utf-8"))
    except ValueError:
        log.info("%s is not whole, as a kill leaves it, and goes.", USERS)
        USERS.unlink()


def keep() -> None:
    """Copies the lock, unless it is being written at this moment."""
    now, kept = (path.read_bytes() if path.exists() else b"" for path in (LOCK, COPY))
    if now != kept and is_whole(now):
        write_text(COPY, now.decode("utf-8"))


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
