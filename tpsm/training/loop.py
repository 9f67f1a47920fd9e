"""One training loop for every method, and for animation via disentanglement."""

from __future__ import annotations

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from tpsm.checkpoints.checkpoint import Checkpoint, load_checkpoint, load_weights
from tpsm.core.device import rank, world_size
from tpsm.core.errors import UserError
from tpsm.core.files import atomic
from tpsm.core.fingerprint import fingerprint, training_code_hash
from tpsm.core.rng import Part
from tpsm.core.types import FramePair
from tpsm.jobs.resume import gather
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import Agreement, launch, parts
from tpsm.training.loss_log import Curve
from tpsm.training.optimizer import Optimiser

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)
# A fingerprint, as file names are matched.
HASH = "[0-9a-f]" * 16
# Steps between looks at the losses: each look waits for the device.
SETTLE_EVERY = 10


@runtime_checkable
class Batches(Protocol):
    """The training pairs: as many batches an epoch as `len` says. `epoch` gives the asked parts of each batch in turn,
    from batch `first` on."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first: int, parts: Sequence[Part]) -> Iterator[FramePair]: ...


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says of itself; with the schedule and the data it names the working folder."""

    method: str
    run: str
    dataset: str
    size: int
    model_config: dict[str, Any]
    fit: str = "crop"


def fit(
    task: nn.Module,
    batches: Batches,
    config: TrainConfig,
    identity: Identity,
    out: Path,
    *,
    data_hash: str,
    work: Path = Path(".work"),
    preview: Callable[[Path], None] | None = None,
) -> None:
    """Trains the parameters of `task` that want a gradient, and writes `out/{last.pt, metrics.csv, previews/}`.

    Within torchrun every process takes its slice of each batch, and only the first writes; all must see one `work`
    folder. Working checkpoints live in a folder of `work` that is named by everything that decides the result
    (`data_hash` stands for the clips and how pairs are drawn from them; the code is hashed here, how many processes
    there are is not); a run that was killed goes on from there, bit for bit on a CPU.

    Raises:
        UserError: a loss or a weight is no longer finite (the step and the loss are named), the run was stopped, or
            another process of the job ended.
    """
    mine = parts(config.batch, config.accumulate)
    scratch = work_folder(work, config, identity, data_hash)
    state = scratch / "state.pt"
    checkpoint = load_checkpoint(state) if state.is_file() else None
    if checkpoint is not None:
        load_weights(task, checkpoint, state)
        log.info("Going on from step %d of %s.", checkpoint.step, state)
    elif older := [path.parent.name for path in work.glob(f"{scratch.name.rpartition('-')[0]}-{HASH}/state.pt")]:
        log.warning("Starting anew: parameters, data or code have changed since %s of %s was kept.", older[0], work)
    step = 0 if checkpoint is None else checkpoint.step
    curve = Curve(scratch / "metrics.csv", keep_below=step)
    total = config.epochs * len(batches)
    leads = rank() == 0
    fabric = launch(config.precision)
    began = time.monotonic()

    def snapshot(path: Path, adam: torch.optim.Adam | None = None) -> None:
        for name, value in task.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise UserError(
                    f"'{name}' is no longer finite after step {step} of {identity.run}; lower "
                    f"train.learning_rate. {kept(state)}."
                )
        weights = {name: value.detach().contiguous().cpu() for name, value in task.state_dict().items()}
        optimizer = None if adam is None else adam.state_dict()
        Checkpoint(**vars(identity), weights=weights, epoch=step // len(batches), step=step, optimizer=optimizer).save(
            path
        )

    with (
        naming_the_step(lambda: f"step {step} of {identity.run}", state),
        stop_signals() as stopping,
        tqdm(total=total, initial=step, unit="step", desc=identity.run, disable=not leads) as bar,
    ):
        optimiser = Optimiser(task, config, fabric)
        if checkpoint is not None:
            optimiser.adam.load_state_dict(checkpoint.optimizer or {})
            checkpoint = None
        agreement = Agreement()
        if not agreement.same(f"{scratch.name} {step}"):
            raise UserError(
                f"The processes of this job do not start alike (this one: step {step} of {scratch}); all machines must "
                "see one project folder, and run the same code."
            )
        while step < total:
            epoch, first = divmod(step, len(batches))
            task.train()
            pairs = batches.epoch(epoch, first, mine)
            for _ in range(first, len(batches)):
                curve.add(step, epoch, optimiser.step(pairs, mine, epoch, (config.seed << 32) + step))
                step += 1
                bar.update()
                stop = agreement.any(stopping())
                keep = stop or step % config.checkpoint_every == 0
                if (keep or step % SETTLE_EVERY == 0 or step == total) and (
                    bad := curve.settle(lambda losses: mean_of_processes(fabric, losses))
                ):
                    raise UserError(f"{bad} of {identity.run}; lower train.learning_rate. {kept(state)}.")
                bar.set_postfix_str(curve.last(), refresh=False)
                if leads and keep:
                    curve.flush()
                    snapshot(state, optimiser.adam)
                if stop:
                    raise UserError(
                        f"Stopped after step {step} of {identity.run}; the same command goes on from there."
                    )
                if leads and preview is not None and step % config.preview_every == 0:
                    preview(scratch / "previews" / f"step-{step:06d}.png")
        seconds = time.monotonic() - began
        if leads:
            curve.flush()
            out.mkdir(parents=True, exist_ok=True)
            snapshot(out / "last.pt")
            with atomic(out / "metrics.csv") as draft:
                shutil.copy(scratch / "metrics.csv", draft)
            if preview is not None:
                preview(scratch / "previews" / f"step-{total:06d}.png")
                gather([scratch / "previews"], out / "previews")
            shutil.rmtree(scratch)
        fabric.barrier()
    speed = total / max(seconds, 1e-9)
    log.info("%s: %d steps in %.0f s (%.1f steps/s) -> %s", identity.run, total, seconds, speed, out)


def kept(state: Path) -> str:
    return f"The last good checkpoint is {state}" if state.is_file() else "No checkpoint was kept yet"


def mean_of_processes(fabric: Fabric, losses: Tensor) -> Tensor:
    return cast(Tensor, fabric.all_reduce(losses, reduce_op="mean"))


@contextmanager
def naming_the_step(where: Callable[[], str], state: Path) -> Iterator[None]:
    """Where one of several processes ends, the others' communication fails: one sentence says so, and how to go on."""
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


def work_folder(work: Path, config: TrainConfig, identity: Identity, data_hash: str) -> Path:
    """Named by everything that decides the result, and nothing else."""
    plumbing = ("workers", "checkpoint_every", "preview_every")
    schedule = {key: value for key, value in asdict(config).items() if key not in plumbing}
    name = f"{identity.dataset}-{identity.run}".replace(", ", "-")
    return work / f"{name}-{fingerprint(schedule, asdict(identity), data_hash, training_code_hash())}"


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Within the block a polite kill (Ctrl-C, SIGTERM) is only noted: the step under way ends and is kept."""
    noted: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda received, _: noted.append(received)) for number in signals}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
