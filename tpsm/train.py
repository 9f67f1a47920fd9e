"""One training loop for every method, and for animation via disentanglement."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tpsm.checkpoint import Checkpoint, load_checkpoint, load_weights
from tpsm.curve import Curve
from tpsm.draws import Draws
from tpsm.errors import UserError
from tpsm.types import FramePair

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """The schedule. An epoch passes over the training clips (or identities) `repeats` times.

    The learning rate falls tenfold at each of `milestones` (epochs). `clip_norm` bounds the largest gradient entry of
    each submodule that the method names (the released TPSMM code: 10); None clips nothing.
    """

    epochs: int = 100
    repeats: int = 75
    batch: int = 28
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = (70, 90)
    clip_norm: float | None = 10.0
    seed: int = 0
    workers: int = 0
    checkpoint_every: int = 500
    preview_every: int = 500

    def __post_init__(self) -> None:
        for field in ("epochs", "repeats", "batch", "checkpoint_every", "preview_every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: must be at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError("learning_rate: must be above 0")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError("clip_norm: must be above 0, or null to clip nothing")
        if self.weight_decay < 0 or self.workers < 0:
            raise ValueError(f"{'weight_decay' if self.weight_decay < 0 else 'workers'}: must not be negative")

    def rate(self, epoch: int) -> float:
        """The learning rate of `epoch` (from 0): a function of the epoch alone, so that resuming cannot shift it."""
        return self.learning_rate * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)


@runtime_checkable
class Task(Protocol):
    """What the loop needs of a model: `Method` and `AvdTraining` both are one."""

    clipped: Any

    def losses(self, pair: FramePair, epoch: int, draws: Draws) -> dict[str, Tensor]: ...


@runtime_checkable
class Batches(Protocol):
    """The training pairs: as many batches an epoch as `len` says; `epoch(e, first)` starts inside one."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first: int = 0) -> Iterator[FramePair]: ...


@dataclass(frozen=True)
class Identity:
    """What a checkpoint says of itself; with the schedule and the data it names the working folder."""

    method: str
    run: str
    dataset: str
    size: int
    model_config: dict[str, Any]


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

    Working checkpoints live in a folder of `work` that is named by everything that decides the result (`data_hash`
    stands for the clips and how pairs are drawn from them; the code is hashed here); a run that was killed goes on from
    there, bit for bit on a CPU.

    Raises:
        UserError: a loss or a weight is no longer finite (the step and the loss are named), or the run was stopped.
    """
    task.to(device())
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    adam = torch.optim.Adam(trained, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay)
    scratch = work / fingerprint(asdict(config), asdict(identity), data_hash, code_hash())
    state = scratch / "state.pt"
    step = 0
    if state.is_file():
        checkpoint = load_checkpoint(state)
        load_weights(task, checkpoint, state)
        adam.load_state_dict(checkpoint.optimizer or {})
        step = checkpoint.step
        log.info("Going on from step %d of %s.", step, state)
    curve = Curve(scratch / "metrics.csv", keep_below=step)
    total = config.epochs * len(batches)
    began = time.monotonic()

    def snapshot(path: Path, *, whole: bool) -> None:
        for name, value in task.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise UserError(
                    f"'{name}' is no longer finite after step {step} of {identity.run}; lower "
                    f"train.learning_rate. The last good checkpoint is {state}."
                )
        weights = {name: value.detach().cpu() for name, value in task.state_dict().items()}
        optimizer = adam.state_dict() if whole else None
        Checkpoint(**vars(identity), weights=weights, epoch=step // len(batches), step=step, optimizer=optimizer).save(
            path
        )

    with stop_signals() as stopping, tqdm(total=total, initial=step, unit="step", desc=identity.run) as bar:
        while step < total:
            epoch, first = divmod(step, len(batches))
            for group in adam.param_groups:
                group["lr"] = config.rate(epoch)
            task.train()
            for pair in batches.epoch(epoch, first):
                draws = Draws((config.seed << 32) + step)
                losses = cast(Task, task).losses(pair.to(device()), epoch, draws)
                adam.zero_grad(set_to_none=True)
                torch.stack(list(losses.values())).sum().backward()
                clip_gradients(task, config.clip_norm)
                curve.add(step, epoch, losses)
                if not curve.is_finite():
                    kept = f"The last good checkpoint is {state}" if state.is_file() else "No checkpoint was kept yet"
                    raise UserError(f"{curve.first_bad()} of {identity.run}; lower train.learning_rate. {kept}.")
                adam.step()
                step += 1
                bar.update()
                if step % 10 == 0:
                    bar.set_postfix_str(curve.last())
                stop = stopping()
                if stop or step % config.checkpoint_every == 0:
                    curve.flush()
                    snapshot(state, whole=True)
                if stop:
                    raise UserError(
                        f"Stopped after step {step} of {identity.run}; the same command goes on from there."
                    )
                if preview is not None and step % config.preview_every == 0:
                    preview(scratch / "previews" / f"step-{step:06d}.png")
        curve.flush()
    if preview is not None:
        preview(scratch / "previews" / f"step-{total:06d}.png")
    seconds = time.monotonic() - began
    out.mkdir(parents=True, exist_ok=True)
    snapshot(out / "last.pt", whole=False)
    shutil.copy(scratch / "metrics.csv", out / "metrics.csv")
    if preview is not None:
        shutil.copytree(scratch / "previews", out / "previews", dirs_exist_ok=True)
    shutil.rmtree(scratch)
    log.info(
        "%s: %d steps in %.0f s (%.1f steps/s) -> %s", identity.run, total, seconds, total / max(seconds, 1e-9), out
    )


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def clip_gradients(task: nn.Module, bound: float | None) -> None:
    """The released TPSMM code bounds the infinity norm of some submodules, each by itself."""
    if bound is None:
        return
    children = dict(task.named_children())
    for name in children.keys() & set(
        cast(Task, task).clipped
    ):  # A part that the configuration leaves out is no child.
        nn.utils.clip_grad_norm_(children[name].parameters(), bound, norm_type=math.inf)


def code_hash() -> str:
    """Of every source file that can decide what a training step does."""
    here = Path(__file__).parent
    files = sorted([*here.rglob("*.py"), *here.with_name("baselines").glob("*.py")])
    return fingerprint(*((path.name, path.read_text()) for path in files))


def fingerprint(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


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
