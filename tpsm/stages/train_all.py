"""Trains every run of a data set from scratch, several at a time -> `trained/<data set>/`: `tpsm train-all`."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from tpsm.config.params import data_section, read_data, read_params, read_run
from tpsm.config.recipes import avd_difference, avd_recipe, run_difference, run_recipe
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_if_there, sha256_of, write_text
from tpsm.core.fingerprint import sha256_of_text
from tpsm.core.layout import CONFIGS, Layout, did_you_mean
from tpsm.core.provenance import cores, record
from tpsm.data.manifest import read_manifest
from tpsm.data.pairs import PairBatches
from tpsm.jobs.map import as_workers
from tpsm.published.card import FORMAT, Card, card_text, read_card
from tpsm.published.pixels import hash_of_training_pixels
from tpsm.stages.configure import configure
from tpsm.stages.prepare import prepare_dataset
from tpsm.stages.train import train_run
from tpsm.stages.train_avd import read_avd, train_avd
from tpsm.training.work_folder import unfinished

log = logging.getLogger(__name__)
TRAINED, LOGS, WORK = Path("trained"), Path(".work/train-all"), Path(".work")
TIMED_STEPS = 4


@dataclass(frozen=True)
class Job:
    """A run to train, or its AVD network."""

    dataset: str
    run: str
    avd: bool = False

    @property
    def name(self) -> str:
        """What messages call the job."""
        return f"{self.dataset} {self.work_name}"

    @property
    def work_name(self) -> str:
        """What training calls the run, and its working folder."""
        return self.run + (", avd" if self.avd else "")

    @property
    def out(self) -> Path:
        """The folder of the weights."""
        return TRAINED / self.dataset / ("avd" if self.avd else "") / self.run

    @property
    def log(self) -> Path:
        """The file that the process writes what it says to."""
        return LOGS / f"{self.name.replace(', ', '-').replace(' ', '-')}.log"


def train_all(params_file: Path, datasets: Sequence[str], jobs: int | None) -> None:
    """Trains all that is not trained yet: the runs of `params_file`, and the AVD networks of `animate.avd`.

    Without `datasets` it takes those that name published weights.

    Raises:
        UserError: some trainings failed; all others are done. The same command goes on with those that failed.
    """
    # The data sets.
    params = read_params(params_file)
    names = list(datasets) or [name for name in params.datasets if data_section(params, name).weights]
    if not names:
        raise UserError(f"No data set of {params_file} takes published weights; name one with --dataset.")
    for name in names:
        if name not in params.datasets:
            meant = did_you_mean(name, params.datasets)
            raise UserError(
                f"{params_file}.datasets does not list '{name}'{meant}; add it, or name another with --dataset."
            )

    # Resolved parameters and clips, as the pipeline's first stages write them.
    configure(params_file, CONFIGS, fresh=True)
    for name in names:
        prepare_dataset(name, as_workers(params.workers, "workers"))

    # What is not trained yet.
    runs = [Job(name, run) for name in names for run in params.trained_on(name)]
    avds = [Job(job.dataset, job.run, avd=True) for job in runs if job.run in params.animate.on(job.dataset).avd]
    due = [job for job in runs if not is_complete(job)]
    due_avds = [job for job in avds if Job(job.dataset, job.run) in due or not is_complete(job)]
    done = len(runs) + len(avds) - len(due) - len(due_avds)
    if not due and not due_avds:
        print(f"All {done} are trained already.")
        return

    # An estimate, then the trainings.
    count = jobs or (min(8, cores()) if torch.cuda.is_available() else cores())  # a GPU is shared
    print(f"{expected(due, len(due_avds), count)} {done} are trained already.", flush=True)
    if failed := run_all(due, due_avds, count):
        raise UserError(
            f"{len(failed)} of {len(due) + len(due_avds)} did not end well, the first being {failed[0].name} (see "
            f"{failed[0].log}); the same command goes on with them."
        )


def threads_of_each(count: int) -> int:
    """Returns the threads of each of `count` processes that share the cores."""
    return max(1, cores() // count)


def is_complete(job: Job) -> bool:
    """Whether a job was done with today's parameters and clips; the log says how it was done otherwise."""
    path = job.out / "card.json"
    if not (path.is_file() and (job.out / "last.pt").is_file()):
        return False
    card, manifest = read_card(path), read_manifest(Layout(job.dataset).clips)
    if job.avd:
        difference = avd_difference(recipe(job), card.recipe, str(path))
    else:
        difference = run_difference(recipe(job), card.recipe, read_run(job.dataset, job.run).method, str(path))
    if difference is None and card.provenance["data"]["sha256"] != manifest.sha256:
        difference = "the clips are others"
    if difference is not None:
        log.info("%s was trained otherwise (%s), so it is trained anew.", job.name, difference)
    return difference is None


def recipe(job: Job) -> dict[str, Any]:
    """Returns what decides the training of a job."""
    if not job.avd:
        return run_recipe(read_run(job.dataset, job.run), read_data(job.dataset))
    method = Job(job.dataset, job.run).out / "last.pt"
    return avd_recipe(read_avd(job.dataset, job.run), sha256_if_there(method))


def expected(due: Sequence[Job], avds: int, count: int) -> str:
    """Says how long all will take, by some steps of each method, timed with as many processes as will train."""
    if not due:
        return f"To train: {avds} AVD networks, minutes each, {count} at a time."
    # Seconds per step, for one run of each method.
    steps = {job: remaining_steps(job) for job in due}
    methods = {job: read_run(job.dataset, job.run).method for job in due}
    first: dict[str, Job] = {}
    for job, method in methods.items():
        first.setdefault(method, job)
    seconds = {method: seconds_per_step(job, count) for method, job in first.items()}

    # At best the work is shared evenly; the longest run cannot be shared.
    work = [steps[job] * seconds[methods[job]] for job in due]
    hours, minutes = divmod(round(max(sum(work) / count, max(work, default=0)) / 60), 60)
    timed = ", ".join(f"{method} {value:.2f} s" for method, value in seconds.items())
    networks = f" and {avds} AVD networks, which take minutes more" if avds else ""
    return (
        f"To train: {len(due)} runs of {sum(steps.values()):,} steps ({timed} a step){networks}: about "
        f"{hours} h {minutes:02} min, {count} at a time."
    )


def remaining_steps(job: Job) -> int:
    """Returns all steps of the run, less those that an interrupted training kept."""
    config = read_run(job.dataset, job.run).train
    batches = PairBatches(
        Layout(job.dataset).clips, read_data(job.dataset), config.batch, repeats=config.repeats, seed=config.seed
    )
    kept = [folder / "metrics.csv" for folder in unfinished(WORK, job.dataset, job.run)]
    done = max((steps_in(path) for path in kept if path.is_file()), default=0)
    return max(config.epochs * len(batches) - done, 0)


def steps_in(curve: Path) -> int:
    """Returns the number of steps in a curve: its rows without the heading."""
    with curve.open(encoding="utf-8") as rows:
        return sum(1 for _ in rows) - 1


def seconds_per_step(job: Job, count: int) -> float:
    """Returns the time of a step of the job's training while `count` processes train."""
    from tpsm.profiling.timing import TimedRun, run_in_subprocess, run_timed_steps

    config = read_run(job.dataset, job.run)
    timed_run = TimedRun(
        config.method, config.model, config.size, config.train, TIMED_STEPS, 2, Layout(job.dataset).clips
    )
    os.environ["OMP_NUM_THREADS"] = str(threads_of_each(count))
    with ThreadPoolExecutor(count) as together:
        return max(
            timing.step
            for timing in together.map(lambda _: run_in_subprocess(run_timed_steps, timed_run), range(count))
        )


def run_all(due: Sequence[Job], avds: Sequence[Job], count: int) -> list[Job]:
    """Trains in `count` processes, an AVD network after its run, and returns the jobs that failed."""
    waiting = [*due, *(job for job in avds if Job(job.dataset, job.run) not in due)]
    running: list[Child] = []
    failed: list[Job] = []
    shown = 0.0
    try:
        while waiting or running:
            # As many processes as there may be.
            while waiting and len(running) < count:
                running.append(Child(waiting.pop(0), threads_of_each(count), free_slot(running)))

            # Those that have ended.
            wait([child.process.sentinel for child in running], timeout=2)
            for child in [child for child in running if not child.process.is_alive()]:
                running.remove(child)
                print(f"{child.job.name}: {'done' if child.good else 'FAILED'}; {child.last_line()}", flush=True)
                if not child.good:
                    failed.append(child.job)
                elif (avd := Job(child.job.dataset, child.job.run, avd=True)) in avds and not child.job.avd:
                    waiting.insert(0, avd)

            # A line for each of the others, now and then.
            if running and time.monotonic() - shown > (5 if sys.stdout.isatty() else 60):
                shown = time.monotonic()
                print("\n".join(child.last_line() for child in running), flush=True)
    finally:
        for child in running:
            child.stop()
    return failed


def free_slot(running: Sequence[Child]) -> int:
    """Returns the lowest number that no running process has; it decides the GPU."""
    return next(slot for slot in range(len(running) + 1) if slot not in {child.slot for child in running})


class Child:
    """A process that trains one job and writes to its log. It ends, after its step, when this process is gone."""

    def __init__(self, job: Job, threads: int, slot: int) -> None:
        self.job, self.slot = job, slot
        job.log.parent.mkdir(parents=True, exist_ok=True)
        # Read when PyTorch starts; and a line every other second is enough in a log.
        os.environ |= {"OMP_NUM_THREADS": str(threads), "TQDM_MININTERVAL": "2"}
        theirs, self._alive = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=_train, args=(job, slot, theirs))
        self.process.start()
        theirs.close()

    @property
    def good(self) -> bool:
        """Whether the process ended without an error."""
        return self.process.exitcode == 0

    def last_line(self) -> str:
        """Returns the last line of the log: a bar with the step, the speed and the losses."""
        if not self.job.log.is_file():
            return f"{self.job.name}: starting"
        lines = self.job.log.read_text(errors="replace")[-2000:].replace("\r", "\n").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"{self.job.name}: starting")

    def stop(self) -> None:
        """Asks the process to keep the step under way and end, and waits for that."""
        self._alive.close()
        self.process.join()


def _train(job: Job, slot: int, alive: Connection) -> None:
    """Trains a job; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides.
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    with job.log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if torch.cuda.device_count() > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(slot % torch.cuda.device_count())
    try:
        train_job(job)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(2)


def _end_with_parent(alive: Connection) -> None:
    with suppress(EOFError, OSError):
        alive.recv()
    os.kill(os.getpid(), signal.SIGTERM)  # which training notes, and keeps the step under way


def train_job(job: Job) -> None:
    """Trains the job in this process, and writes a card beside its weights, with which it is complete."""
    # The weights.
    began, path = time.monotonic(), job.out / "card.json"
    path.unlink(missing_ok=True)
    resumed = any((folder / "state.pt").is_file() for folder in unfinished(WORK, job.dataset, job.work_name))
    layout, config = Layout(job.dataset), read_run(job.dataset, job.run)
    manifest = read_manifest(layout.clips)
    if job.avd:
        train_avd(job.dataset, job.run, job.out, Job(job.dataset, job.run).out, fresh=True)
        section = read_avd(job.dataset, job.run)
        train, method, parameters = section.train, "avd", layout.configs / "avd" / f"{job.run}.yaml"
    else:
        train_run(job.dataset, job.run, job.out, fresh=True)
        train, method, parameters = config.train, config.method, layout.configs / "runs" / f"{job.run}.yaml"

    # The card.
    made = record(
        began,
        parameters={parameters.name: sha256_of_text(parameters.read_text())},
        data=manifest.about(),
        weights={"last.pt": sha256_of(job.out / "last.pt")},
        precision=train.precision,
        seed=train.seed,
        resumed=resumed,
    )
    steps, pixels = steps_in(job.out / "metrics.csv"), hash_of_training_pixels(manifest, layout.clips)
    write_text(path, card_text(Card(FORMAT, method, job.run, job.dataset, steps, recipe(job), made, pixels)))
