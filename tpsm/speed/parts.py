"""The parts of `tpsm bench`: what is compared with the released code, and on what inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from eval.stages.bench import BOUND, bench
from tpsm.config.params import read_params
from tpsm.core.device import keep_freed_memory
from tpsm.core.layout import Layout, file_name
from tpsm.core.rng import BatchRng
from tpsm.core.schema import from_mapping
from tpsm.core.tensors import to_tensor
from tpsm.core.types import FramePair
from tpsm.data.augment import augment
from tpsm.data.clip import ClipFile, clip_writer
from tpsm.data.config import DataConfig
from tpsm.data.pairs import PairDataset
from tpsm.data.prepare import prepare
from tpsm.inference.generate import reconstruct
from tpsm.methods.tps import Config, Model
from tpsm.nn.vgg import untrained_backbone
from tpsm.profiling.flops import saved_bytes
from tpsm.profiling.released_loop import ReleasedModel
from tpsm.speed.side_by_side import Comparison, compare
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import parts
from tpsm.training.optimizer import Optimiser

AnyModel = TypeVar("AnyModel", bound=Model)
CPU = torch.device("cpu")

FRAMES, PAIRS = 16, 64
"""How long the clip is that is reconstructed, and how many pairs are drawn a round."""

SCORED = 560
"""Frames that are scored a round: all test clips of the puppets."""

PAPERS_METRICS = ("l1", "akd", "mkr", "aed")

LAST = 1_000_000
"""An epoch in which every part of a model takes part."""


@dataclass(frozen=True)
class Part:
    """One call of `tpsm bench`: a function, what it is told, and the threads of its process."""

    measure: Callable[[Path, Part], list[Comparison]]
    scale: str
    size: int
    threads: int = 1
    batch: int = 1
    rounds: int = 5


def measured(argument: tuple[Path, Part]) -> list[Comparison]:
    """Returns the comparisons of a part; to be run in a process of its own."""
    params, part = argument
    torch.set_num_threads(part.threads)
    return part.measure(params, part)


def reconstruction(params: Path, part: Part) -> list[Comparison]:
    """Compares reconstruction: seconds per frame, from a clip on disk."""
    config = _section(params, part)[0]
    with TemporaryDirectory() as folder:
        path = write_noise(Path(folder), "noise", part.size, FRAMES)
        with ClipFile(path) as clip, torch.inference_mode():
            frames, model = to_tensor(clip.frames(0, 2), CPU), _drawing(Model, config)
            source = model.encode(frames[:1]).expand(2)
            drawn = model.render(source, model.keypoints(frames), model.background(source.image, frames)).image
            released = torch.cat(list(_drawing(ReleasedModel, config).reconstruct(frames)))
        case = f"reconstruction, {part.scale}, {part.size} x {part.size}, {part.threads} threads"
        sides = partial(_reconstructs_as_released, config, path), partial(_reconstructs, config, path)
        difference = (drawn - released).abs().max().item()
        return [compare(case, "s/frame", 2.0, sides, part.rounds, part.threads, difference)]


def _reconstructs_as_released(config: Config, path: Path) -> Callable[[], int]:
    released = _drawing(ReleasedModel, config)

    def run() -> int:
        with ClipFile(path) as clip:
            return sum(1 for _ in released.reconstruct(to_tensor(clip.frames(), CPU)))

    return run


def _reconstructs(config: Config, path: Path) -> Callable[[], int]:
    keep_freed_memory()
    model = _drawing(Model, config)

    def run() -> int:
        with ClipFile(path) as clip:
            return sum(len(piece.frames) for piece in reconstruct(model, clip))

    return run


def _drawing(side: type[AnyModel], config: Config) -> AnyModel:
    """Returns a model, whose weights are the same on both sides."""
    torch.manual_seed(0)
    return side(config).eval().requires_grad_(False)


def training(params: Path, part: Part) -> list[Comparison]:
    """Compares a training step, in seconds and in bytes that are kept for the backward pass."""
    config, train = _section(params, part)
    case = f"training step, {part.scale}, {part.size} x {part.size}, batch {part.batch}"
    sides = partial(_trains, ReleasedModel, config, train, part), partial(_trains, Model, config, train, part)
    kept = [_kept(side, config, part) for side in (ReleasedModel, Model)]
    return [
        compare(case, "s/step", 1.6, sides, part.rounds, part.threads),
        Comparison(f"{case}: activations", "bytes", kept[0], kept[1], 1 / 0.85),
    ]


def _trains(side: type[Model], config: Config, train: TrainConfig, part: Part) -> Callable[[], int]:
    from lightning_fabric import Fabric  # Here: it takes seconds, and only training needs it.

    if side is Model:
        keep_freed_memory()
    fabric = Fabric(accelerator="cpu", devices=1)  # `launch` would have both sides keep their memory
    fabric.launch()

    # The same weights on both sides; the perceptual network's are random.
    torch.manual_seed(0)
    model = side(config).train()
    model.perceptual.use(untrained_backbone(config.perceptual))
    model.check_sides = _any_sides  # type: ignore[method-assign]  # Full-size modules want 256, for speed 128 do.
    optimiser = Optimiser(model, train, fabric)
    if side is ReleasedModel:
        optimiser.adam.param_groups[0]["fused"] = None  # PyTorch's default
    pair = FramePair(*torch.rand(2, part.batch, 3, part.size, part.size))
    whole = parts(part.batch, 1)

    def step() -> int:
        optimiser.step(iter([pair]), whole, LAST, 0)
        return 1

    return step


def _kept(side: type[Model], config: Config, part: Part) -> tuple[float]:
    """Returns the bytes that a step of training keeps for its backward pass."""
    with torch.device("meta"):
        backbone, model = untrained_backbone(config.perceptual), side(config)
        model.perceptual.use(backbone)
        model.check_sides = _any_sides  # type: ignore[method-assign]
        image = torch.empty(part.batch, 3, part.size, part.size)
        weights = [*model.parameters(), *model.buffers(), *backbone.parameters()]
        return (float(saved_bytes(lambda: model.losses(FramePair(image, image), LAST, BatchRng(0)), weights)),)


def _any_sides(image: Tensor) -> None:
    """Takes the place of a model's check."""


def data(params: Path, part: Part) -> list[Comparison]:
    """Compares drawing of pairs: seconds a pair, against decoding the whole clip to take two of its frames."""
    found = []
    with TemporaryDirectory() as folder:
        for length in (32, 128, 512):
            # Two clips of that length, as a prepared set.
            raw, clips = Path(folder) / f"raw-{length}", Path(folder) / f"clips-{length}"
            for name in ("train/a#0", "test/b#0"):
                write_frames(raw / name, part.size, length)
            config = DataConfig(size=part.size)
            entry = prepare("noise", raw, config, clips).clips("train")[0]
            case = f"pairs from clips of {length} frames, {part.size} x {part.size}"
            sides = partial(_decodes_clips, clips / entry.file, config), partial(_draws_pairs, clips, config)
            found.append(compare(case, "s/pair", 1.0, sides, part.rounds))
    return found


def _decodes_clips(path: Path, config: DataConfig) -> Callable[[], int]:
    def run() -> int:
        rng = np.random.default_rng(0)
        for _ in range(2):
            with ClipFile(path) as clip:
                frames = clip.frames()
            augment(frames[np.sort(rng.integers(len(frames), size=2))], config.augment, rng)
        return 2

    return run


def _draws_pairs(clips: Path, config: DataConfig) -> Callable[[], int]:
    pairs = PairDataset(clips, config, repeats=PAIRS)
    return lambda: sum(1 for index in range(len(pairs)) if pairs[index] is not None)


def scoring(params: Path, part: Part) -> list[Comparison]:
    """Compares the evaluators' own time with that of scoring as a whole, from clips on disk to rows on disk.

    Raises:
        UserError: the pipeline has not reconstructed the puppets yet.
    """
    found = []
    for which, metrics in {"all metrics": (), "the papers' metrics": PAPERS_METRICS}.items():
        costs = [bench(Layout("puppets", params.parent), "tps", SCORED, metrics) for _ in range(part.rounds + 1)][1:]
        evaluators, whole = ([getattr(cost, key) / cost.frames for cost in costs] for key in ("forward", "total"))
        case = f"scoring beside its evaluators alone, puppets, {which}"
        found.append(Comparison(case, "s/frame", tuple(evaluators), tuple(whole), 1 / BOUND))
    return found


def write_frames(folder: Path, size: int, length: int) -> None:
    """Writes a folder of `length` frames of smooth noise, as PNG files."""
    folder.mkdir(parents=True)
    for index, frame in enumerate(noise(size, length)):
        Image.fromarray(frame).save(folder / f"{index:05}.png")


def write_noise(folder: Path, name: str, size: int, length: int) -> Path:
    """Writes a prepared clip of smooth noise, and returns its file."""
    with clip_writer(folder, name, name, 25.0) as writer:
        for frame in noise(size, length):
            writer.add(frame)
    return folder / file_name(name)


def noise(size: int, length: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields frames of noise that is smooth over eight pixels, as pictures are."""
    rng = np.random.default_rng(0)
    for _ in range(length):
        coarse = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        yield np.array(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _section(params: Path, part: Part) -> tuple[Config, TrainConfig]:
    section = read_params(params).scales[part.scale]["tps"]
    where = f"scales.{part.scale}.tps"
    train = from_mapping(TrainConfig, section.train, f"{where}.train")
    return from_mapping(Config, section.model, f"{where}.model"), replace(train, batch=part.batch, accumulate=1)
