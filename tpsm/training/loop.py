"""Trains every method, and the networks of animation via disentanglement, in one loop."""

from __future__ import annotations

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from tpsm.checkpoints.checkpoint import Checkpoint, load_checkpoint
from tpsm.core.device import rank, world_size
from tpsm.core.errors import UserError
from tpsm.core.files import atomic_folder, locked
from tpsm.core.rng import BatchSlice
from tpsm.core.types import FramePair
from tpsm.nn.state_dict import load_strictly
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import Agreement, launch, parts
from tpsm.training.loss_log import LossLog
from tpsm.training.memory import keep_freed_memory
from tpsm.training.optimizer import Optimiser
from tpsm.training.work_folder import WorkFolder

log = logging.getLogger(__name__)
# How many steps lie between two looks at the losses, each of which waits for the device.
REDUCE_EVERY = 10


@runtime_checkable
class Batches(Protocol):
    """The training pairs: as many batches per epoch as `len` says."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first: int, parts: Sequence[BatchSlice]) -> Iterator[FramePair]:
        """Yields the given parts of each batch in turn, from batch `first` on."""


@dataclass(frozen=True)
class RunInfo:
    """What a checkpoint says of itself; with the schedule and the data it names the working folder."""

    method: str
    run: str
    dataset: str
    size: int
    model_config: dict[str, Any]
    fit: str = "crop"
    code: str | None = None


def fit(
    task: nn.Module,
    batches: Batches,
    config: TrainConfig,
    info: RunInfo,
    out: Path,
    *,
    data_hash: str,
    work: Path = Path(".work"),
    preview: Callable[[Path], None] | None = None,
    summarise: Callable[[Path, bool], None] | None = None,
) -> None:
    """Trains the parameters of `task` that want a gradient, and writes `out/{last.pt, metrics.csv, previews/}`.

    `out` appears whole, in the place of what was there; `summarise` may write more into it before (it is given the
    folder, and whether other processes had begun the work).

    Within torchrun every process takes its slice of each batch, and only the first writes; all must see one `work`
    folder. What a training goes on from lives in a folder of `work` that is named by everything that decides its steps
    (`data_hash` stands for the clips and how pairs are drawn from them, and for weights that it begins with; the code
    is hashed here, how many processes there are is not). A run that was killed goes on from there, and so does a
    finished one that is given more epochs, as long as the rates of the epochs that were begun stay as they were: bit
    for bit on a CPU as if it had never stopped.

    Raises:
        UserError: a loss or a weight is no longer finite (the step and the loss are named), the run was stopped,
            another process of the job ended, or another process is training the same run.
    """
    mine = parts(config.batch, config.accumulate)
    place = WorkFolder.of(work, config, info.dataset, info.run, asdict(info), data_hash)
    scratch, state = place.path, place.state
    step, total = 0, config.epochs * len(batches)
    leads = rank() == 0

    def snapshot(path: Path, adam: torch.optim.Adam | None = None) -> None:
        for name, value in task.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise UserError(
                    f"'{name}' is no longer finite after step {step} of {info.run}; lower "
                    f"train.learning_rate. {kept(state)}."
                )
        weights = {name: value.detach().contiguous().cpu() for name, value in task.state_dict().items()}
        optimizer = None if adam is None else {"adam": adam.state_dict(), "rates": rates(config, step, len(batches))}
        Checkpoint(**vars(info), weights=weights, epoch=step // len(batches), step=step, optimizer=optimizer).save(path)

    with (
        locked(place.lock, f"The training of {info.run} on {info.dataset}") if leads else nullcontext(),
        naming_the_step(lambda: f"step {step} of {info.run}", state),
        stop_signals() as stopping,
        ExitStack() as opened,
    ):
        fabric = launch(config.precision)
        keep_freed_memory()
        began = time.monotonic()

        # What was done already, and the same on all processes.
        if leads:
            place.open()
        fabric.barrier()
        checkpoint = going_on(place, config, len(batches))
        if checkpoint is not None:
            load_strictly(task, checkpoint.weights, state)
            step = checkpoint.step
        first_step = step
        loss_log = LossLog(scratch / "metrics.csv", keep_below=step)
        optimiser = Optimiser(task, config, fabric)
        if checkpoint is not None:
            assert checkpoint.optimizer is not None
            optimiser.go_on(checkpoint.optimizer["adam"])
            checkpoint = None
        agreement = Agreement()
        if not agreement.same(f"{scratch.name} {step}"):
            raise UserError(
                f"The processes of this job do not start alike (this one: step {step} of {scratch}); all machines must "
                "see one project folder, and run the same code."
            )

        # The steps that are left.
        bar = opened.enter_context(tqdm(total=total, initial=step, unit="step", desc=info.run, disable=not leads))
        while step < total:
            epoch, first = divmod(step, len(batches))
            task.train()
            pairs = batches.epoch(epoch, first, mine)
            for _ in range(first, len(batches)):
                loss_log.add(step, epoch, optimiser.step(pairs, mine, epoch, (config.seed << 32) + step))
                step += 1
                bar.update()
                stop = agreement.any(stopping())
                keep = stop or step % config.checkpoint_every == 0 or step == total
                if (keep or step % REDUCE_EVERY == 0) and (
                    bad := loss_log.reduce(lambda losses: cast(Tensor, fabric.all_reduce(losses, reduce_op="mean")))
                ):
                    raise UserError(f"{bad} of {info.run}; lower train.learning_rate. {kept(state)}.")
                bar.set_postfix_str(loss_log.last(), refresh=False)
                # The checkpoint comes last: what is beside it is then never behind it, and what is ahead is made again.
                if leads and preview is not None and step % config.preview_every == 0:
                    preview(scratch / "previews" / preview_name(step))
                if leads and keep:
                    loss_log.flush()
                    snapshot(state, optimiser.adam)
                if stop and step < total:
                    raise UserError(f"Stopped after step {step} of {info.run}; the same command goes on from there.")
        seconds = time.monotonic() - began

        # The results, whole or not at all.
        if leads:
            with atomic_folder(out, replace=True) as draft:
                snapshot(draft / "last.pt")
                shutil.copyfile(scratch / "metrics.csv", draft / "metrics.csv")
                if preview is not None:
                    (draft / "previews").mkdir()
                    for done in range(config.preview_every, total, config.preview_every):
                        if (earlier := scratch / "previews" / preview_name(done)).is_file():
                            shutil.copyfile(earlier, draft / "previews" / preview_name(done))
                    preview(draft / "previews" / preview_name(total))
                if summarise is not None:
                    summarise(draft, first_step > 0)
            place.close()
        fabric.barrier()
    speed = (total - first_step) / max(seconds, 1e-9)
    log.info("%s: %d steps in %.0f s (%.1f steps/s) -> %s", info.run, total - first_step, seconds, speed, out)


def going_on(place: WorkFolder, config: TrainConfig, steps: int) -> Checkpoint | None:
    """Returns the working checkpoint that this training continues, if there is one; `steps` are those of an epoch."""
    if not place.state.is_file():
        if others := place.others():
            log.warning(
                "Starting anew: parameters, data or code have changed since %s of %s was kept.",
                others[0].name,
                place.work,
            )
        return None
    checkpoint = load_checkpoint(place.state)
    if not isinstance(checkpoint.optimizer, dict) or checkpoint.optimizer.keys() != {"adam", "rates"}:
        raise UserError(f"{place.state} is no working checkpoint; remove {place.path}, and the training starts anew.")
    if checkpoint.step > config.epochs * steps:
        log.warning("Starting anew: what %s kept is %d steps long already.", place.path, checkpoint.step)
        return None
    if checkpoint.optimizer["rates"] != rates(config, checkpoint.step, steps):
        log.warning("Starting anew: the learning rate has changed for epochs that %s is past.", place.path)
        return None
    log.info("Going on from step %d of %s.", checkpoint.step, place.state)
    return checkpoint


def rates(config: TrainConfig, step: int, steps: int) -> list[float]:
    """Returns the learning rate of each epoch that was begun when `step` steps were done, with `steps` per epoch."""
    return [config.rate(epoch) for epoch in range(-(-step // steps))]


def preview_name(step: int) -> str:
    """Returns the file name of the preview after `step` steps."""
    return f"step-{step:06d}.png"


def kept(state: Path) -> str:
    """Says in a message whether a working checkpoint was kept, and where."""
    return f"The last good checkpoint is {state}" if state.is_file() else "No checkpoint was kept yet"


@contextmanager
def naming_the_step(where: Callable[[], str], state: Path) -> Iterator[None]:
    """Turns the failure of communication after the end of another process into one sentence on how to go on."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        lost = isinstance(error, dist.DistError) or "gloo" in reason or "Connection" in reason
        if world_size() == 1 or not lost:
            raise
        after = f"the same command goes on from {state}" if state.is_file() else "no checkpoint was kept yet"
        raise UserError(
            f"Process {rank()} of {world_size()} stopped at {where()}, for it lost one of the others ({reason}); "
            f"{after}."
        ) from error


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C or SIGTERM came within the block; the step under way still ends."""
    noted: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda received, _: noted.append(received)) for number in signals}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
