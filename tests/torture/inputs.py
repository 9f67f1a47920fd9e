"""Feeds hostile inputs to the programs, each in a fork with limits, and judges what comes of them."""

from __future__ import annotations

import os
import random
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path

from forked import HUNG, fork, program
from hostile import Case
from hostile_files import special_files
from hostile_media import media
from hostile_scores import scores
from hostile_text import parameters, texts
from hostile_weights import weights
from subject import copy, make_whole

MEMORY, COMPUTING, SECONDS = 3 << 30, 60, 300
"""Bytes beyond those at the start; how many seconds an input may compute, and how many pass on a busy machine."""
CANARY = "code-has-run"
"""What hostile code would write into the working folder."""
KINDS = {
    "parameters": parameters,
    "texts": texts,
    "files": special_files,
    "media": media,
    "weights": weights,
    "scores": scores,
}
NEEDS = {"parameters": "prepare"}
"""Kinds for which a project is enough that has no more than the stages before this one."""
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
STARTS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
VIOLATION = "TORTURE-VIOLATION"


@dataclass
class Inputs:
    """All in `folder`, where a whole project is made first, or is there. `findings` are sentences."""

    folder: Path
    seed: int = 0
    findings: list[str] = field(default_factory=list)
    done: int = 0

    def run(self, most: int, only: str | None = None) -> None:
        """At most so many, of one kind or of all."""
        log = self.folder / "log"
        base = make_whole(self.folder, NEEDS.get(only or ""))
        kinds = list(KINDS.values()) if only is None else [KINDS[only]]
        rng = random.Random(self.seed)
        cases = [case for make in kinds for case in make(base, rng)]
        if len(cases) > most:
            cases = rng.sample(cases, most)
        for case in cases:
            self.judge(case, base, log)
            if self.done % 50 == 0:
                print(f"{self.done} of {len(cases)} inputs", flush=True)

    def judge(self, case: Case, base: Path, log: Path) -> None:
        """Tries one input, in a copy of the project."""
        outer = self.folder / "outer"
        work = copy(base, outer / "deep" / "project")
        made = fork(lambda: case.spoil(work) or 0, work, log)
        if made.status != 0:
            raise SystemExit(f"{case.name} cannot be made:\n{made.output[-2000:]}")
        there = _names(outer)
        outcome = fork(
            lambda: program(case.command), work, log, before=lambda: limit(work), memory=MEMORY, limit=SECONDS
        )
        self.done += 1

        lines = outcome.output.strip().splitlines()
        said = lines[-1] if lines else "nothing"
        new = {name for name in _names(outer) - there if not f"{name}/".startswith("deep/project/.work/")}
        if outcome.status == HUNG:
            self.find(case, f"hangs for {SECONDS} s")
        elif outcome.status == 0 and not case.may_pass:
            self.find(case, f"is accepted: {said[:200]}")
        elif outcome.status not in (0, 1, 2) or (outcome.status == 1 and not case.may_pass):
            self.find(case, f"ends with {outcome.status}: {said[-300:]}")
        if "Traceback" in outcome.output:
            self.find(case, f"has a traceback: {said[-200:]}")
        for line in lines:
            if line.startswith(VIOLATION):
                self.find(case, line)
        if outside := sorted(name for name in new if not name.startswith("deep/project/")):
            self.find(case, f"writes outside the project: {outside[:3]}")
        if any(CANARY in name for name in new):
            self.find(case, "runs code")
        if outcome.status == 2 and (left := sorted(name for name in new if not case.leaves(name))):
            self.find(case, f"leaves files: {left[:3]}")

    def find(self, case: Case, what: str) -> None:
        sentence = f"{case.name} {what}"
        self.findings.append(sentence)
        print(f"FOUND  {sentence}", flush=True)


def _names(folder: Path) -> set[str]:
    return {
        os.path.relpath(os.path.join(top, name), folder)
        for top, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def limit(folder: Path) -> None:
    """From now on this process has so much time to compute, and says what it does that it should not."""
    resource.setrlimit(resource.RLIMIT_CPU, (COMPUTING, COMPUTING))
    watch(folder)


def watch(folder: Path) -> None:
    """From now on this process says what it does that it should not."""
    allowed = (str(folder), os.environ["TMPDIR"], "/dev/null", "/dev/shm", "/dev/tty")

    def outside(path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and not os.path.abspath(path).startswith(allowed)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        flags = arguments[2] if event == "open" else 0
        writes = event in WRITES or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes and any(outside(path) for path in arguments[:2] if not isinstance(path, int)) and event != "open":
            _say(f"{event} of {arguments[:2]}")
        elif writes and event == "open" and outside(arguments[0]):
            _say(f"writes {arguments[0]!r}")
        elif event in STARTS and "git" not in str(arguments):
            _say(f"starts {arguments!r:.200}")
        elif event == "socket.connect" and "127.0.0.1" not in str(arguments[1]):
            _say(f"connects to {arguments[1]!r}")

    sys.addaudithook(hook)


def _say(what: str) -> None:
    os.write(2, f"\n{VIOLATION} {what}\n".encode())
