"""Kills stages before file operations and at random moments, runs them again, and compares with an unbroken run."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forked import Outcome, fork, on_two_processes, program
from launcher.sitecustomize import KILL_AT, count_operations
from orphan import TRAIN, refusal
from pipeline import make_ready, repro
from subject import STAGES, copy, differences, expect, make_whole, results

from tpsm.jobs.repro import SIDE_BY_SIDE

SHARES = {
    "prepare": 7,
    "train": 8,
    "train on 2 processes": 6,
    "train-avd": 6,
    "reconstruct": 7,
    "animate": 6,
    "score": 3,
    "report": 3,
    "dvc repro": 3,
    "dvc alone": 1,
}
"""Of fifty kills."""
ATTEMPTS = 3
"""A run that was killed may need as many more to end."""


@dataclass
class Kills:
    """All in `folder`, where a whole project is made first, or is there. `findings` are sentences."""

    folder: Path
    seed: int = 0
    findings: list[str] = field(default_factory=list)
    done: int = 0

    def run(self, count: int, only: str | None = None, every: bool = False) -> None:
        """`count` kills, shared out among all subjects, or all for `only` one; `every`: before every file operation of
        `only`, however many there are."""
        make_whole(self.folder, None if only is None else stage_of(only))
        total = sum(SHARES.values())
        for subject, share in SHARES.items():
            if only not in (None, subject):
                continue
            if subject == "dvc alone":
                self.orphan()
            else:
                self.torture(subject, count if only else max(1, round(count * share / total)), every)

    def torture(self, subject: str, count: int, every: bool) -> None:
        """Half of the kills before file operations spread over all of them, half at random moments."""
        work = self.work_of(subject)
        before = self.folder / "start"
        copy(self.folder / "before" / stage_of(subject), before)
        if subject == "dvc repro":
            make_ready(before, self.folder)
        unbroken = copy(before, self.folder / "unbroken")
        outcome = self.killed(work, unbroken, 0, None)
        expect(outcome, f"{subject}, unbroken")
        operations, expected = (unbroken / "counter").stat().st_size, results(unbroken)
        print(f"{subject}: {operations} file operations in {outcome.seconds:.1f} s", flush=True)

        for at, after in moments(operations, outcome.seconds, count, every, random.Random(f"{self.seed} {subject}")):
            self.once(subject, work, copy(before, self.folder / "killed"), at, after, expected)

    def orphan(self) -> None:
        """DVC alone is killed while a run trains; what that leaves is what it left in the whole project."""
        folder = copy(self.folder / "before" / stage_of("dvc repro"), self.folder / "killed")
        make_ready(folder, self.folder)

        def again() -> Outcome:
            return fork(lambda: repro(self.folder, TRAIN), folder, self.log)

        wrong = refusal(folder, self.folder, lambda: again().status)
        ended = again()
        self.done += 1
        if wrong is not None:
            self.find(f"dvc alone, killed while a run trains: {wrong}")
        if ended.status != 0:
            self.find(f"dvc alone: the run after that ends with {ended.status}: {ended.output[-300:]}")
        expected, left = (_trained(results(project)) for project in (self.folder / "whole", folder))
        if different := differences(expected, left):
            self.find(f"dvc alone: {', '.join(different[:6])}")

    def once(
        self,
        subject: str,
        work: Callable[[], int],
        folder: Path,
        at: int,
        after: float | None,
        expected: dict[str, bytes],
    ) -> None:
        """One kill, and what came of it."""
        when = f"{subject}, killed " + (f"before file operation {at}" if after is None else f"after {after:.2f} s")
        self.killed(work, folder, at, after)
        for _ in range(ATTEMPTS):
            again = self.killed(work, folder, 0, None)
            if again.status == 0:
                break
        self.done += 1
        if again.status != 0:
            self.find(f"{when}: the next run ends with {again.status}: {again.output[-300:]}")
        elif different := differences(expected, results(folder)):
            self.find(f"{when}: {', '.join(different[:6])}")

    def killed(self, work: Callable[[], int], folder: Path, at: int, after: float | None) -> Outcome:
        counter = folder / "counter"
        counter.unlink(missing_ok=True)

        def before() -> None:
            os.environ[KILL_AT] = str(at)  # for what it starts
            count_operations(str(counter), at)

        return fork(work, folder, self.log, before=before, kill_after=after, limit=900)

    def work_of(self, subject: str) -> Callable[[], int]:
        if subject == "dvc repro":
            return lambda: repro(self.folder, SIDE_BY_SIDE)
        if subject == "train on 2 processes":
            return on_two_processes(STAGES["train"])
        return lambda: program(STAGES[subject])

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def find(self, sentence: str) -> None:
        self.findings.append(sentence)
        print(f"FOUND  {sentence}", flush=True)


def stage_of(subject: str) -> str:
    """Before which stage the project stands when the subject begins."""
    return {"dvc repro": "configure", "dvc alone": "train-avd", "train on 2 processes": "train"}.get(subject, subject)


def _trained(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if name.startswith("models/")}


def moments(
    operations: int, seconds: float, count: int, every: bool, rng: random.Random
) -> Iterator[tuple[int, float | None]]:
    """When to kill: before the n-th file operation, or (0 and) after so many seconds."""
    if every:
        yield from ((at, None) for at in range(1, operations + 1))
        return
    spread = (count + 1) // 2
    for index in range(spread):
        low, high = operations * index // spread, operations * (index + 1) // spread
        yield rng.randint(low + 1, max(high, low + 1)), None
    for _ in range(count - spread):
        yield 0, rng.uniform(0, seconds)
