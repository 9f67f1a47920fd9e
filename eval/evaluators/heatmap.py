"""Joint detector for sets that know their joints: a small U-Net that paints one heatmap a joint.

The peak's value is the confidence, so that a joint that cannot be seen is missing, as body-pose detectors have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from eval.evaluators.augment import crop, crops, jitter
from eval.evaluators.images import resized
from eval.types import Landmarks
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.schema import LARGEST, Count, Positive, Seed, Share, Width, checked
from tpsm.core.tensors import read_state_dict, to_images, write_torch
from tpsm.data.clip import ClipFile, spread_index
from tpsm.nn.state_dict import build_strictly, length_of


@checked
@dataclass(frozen=True)
class Config:
    """`size` px is the input's side (frames are resized to it); `sigma` is a peak's width in cells of size / 2;
    joints whose peak stays below `threshold` are missing."""

    kind: Literal["heatmap"] = "heatmap"
    size: Annotated[int, Ge(16), Le(LARGEST), MultipleOf(8)] = 64
    width: Width = 16
    steps: Count = 700
    batch: Count = 16
    learning_rate: Positive = 3e-3
    frames_per_clip: Count = 24
    sigma: Positive = 1.2
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5
    jitter: Share = 0.3
    seed: Seed = 0


class Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Unet(nn.Module):
    """Images to logits at half their size: three levels down, two up, skips added."""

    def __init__(self, joints: int, width: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(Convolution(3, width, stride=2), Convolution(width, width))
        self.middle = nn.Sequential(Convolution(width, 2 * width, stride=2), Convolution(2 * width, 2 * width))
        self.coarse = nn.Sequential(
            Convolution(2 * width, 3 * width, stride=2),
            Convolution(3 * width, 3 * width),
            Convolution(3 * width, 3 * width),
        )
        self.up_middle = nn.Conv2d(3 * width, 2 * width, 1)
        self.mix_middle = Convolution(2 * width, 2 * width)
        self.up_fine = nn.Conv2d(2 * width, width, 1)
        self.mix_fine = nn.Sequential(Convolution(width, width), Convolution(width, width))
        self.head = nn.Conv2d(width, joints, 1)
        # Nearly every cell is empty: start there, or the first hundred steps are spent on nothing else.
        nn.init.constant_(self.head.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b j h//2 w//2"]:
        fine = self.fine(images - 0.5)
        middle = self.middle(fine)
        low = self.up_middle(self.coarse(middle))
        middle = self.mix_middle(middle + functional.interpolate(low, scale_factor=2.0, mode="bilinear"))
        fine = fine + functional.interpolate(self.up_fine(middle), scale_factor=2.0, mode="bilinear")
        return self.head(self.mix_fine(fine))


class HeatmapDetector:
    """Frames of any size to joints in [-1, 1]."""

    def __init__(self, config: Config, network: Unet) -> None:
        # One memory format, so that a network just trained and one read from disk agree to the last bit.
        self.config = config
        self.network = network.eval().to(device()).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Landmarks:
        points, peaks = [], []
        for chunk in to_images(frames).split(64):
            images = resized(chunk.to(device()).float() / 255, self.config.size)
            xy, confidence = find_peaks(self.network(images).sigmoid().cpu())
            points.append(xy)
            peaks.append(confidence)
        return Landmarks(torch.cat(points).numpy(), (torch.cat(peaks) >= self.config.threshold).numpy())

    def save(self, path: Path) -> None:
        write_torch(path, self.network.state_dict())


def find_peaks(maps: Float[Tensor, "b j m n"]) -> tuple[Float[Tensor, "b j 2"], Float[Tensor, "b j"]]:
    """Where each map is highest, in [-1, 1], and how high.

    Between cells by the parabola through the logarithms of the peak and its neighbours, exact for a Gaussian.
    """
    rows, columns = maps.shape[-2:]
    height, flat = maps.flatten(2).max(dim=2)
    logs = maps.clamp_min(1e-8).log()
    row, column = flat // columns, flat % columns

    def at(rows_: Tensor, columns_: Tensor) -> Tensor:
        return logs.flatten(2).gather(2, (rows_ * columns + columns_)[..., None])[..., 0]

    def refined(index: Tensor, size: int, below: Tensor, above: Tensor) -> Tensor:
        bend = below + above - 2 * at(row, column)
        inside = (index > 0) & (index < size - 1) & (bend < 0)
        shift = 0.5 * (below - above) / torch.where(inside, bend, -torch.ones_like(bend))
        return index + torch.where(inside, shift, torch.zeros_like(shift)).clamp(-0.5, 0.5)

    x = refined(column, columns, at(row, (column - 1).clamp_min(0)), at(row, (column + 1).clamp_max(columns - 1)))
    y = refined(row, rows, at((row - 1).clamp_min(0), column), at((row + 1).clamp_max(rows - 1), column))
    return torch.stack([2 * x / (columns - 1) - 1, 2 * y / (rows - 1) - 1], dim=-1), height


def paint(
    joints: Float[Tensor, "b j 2"], visible: Bool[Tensor, "b j"], cells: int, sigma: float
) -> Float[Tensor, "b j {cells} {cells}"]:
    """A Gaussian of height 1 at each visible joint, nothing at the others."""
    axis = torch.arange(cells, dtype=joints.dtype, device=joints.device)
    x, y = ((joints + 1) / 2 * (cells - 1)).unbind(dim=-1)
    across = torch.exp(-((axis - x[..., None]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((axis - y[..., None]) ** 2) / (2 * sigma**2))
    return down[..., :, None] * across[..., None, :] * visible[..., None, None]


def train(config: Config, clips: Sequence[Path], key: str) -> HeatmapDetector:
    """Trains on the clips' frames and true joints.

    Raises:
        UserError: a clip has no ground truth; the message names `key`.
    """
    images, joints, visible = _read(config, clips, key)

    # The network and its schedule, from the seed.
    rng = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = Unet(joints.shape[1], config.width)
    # Channels last: the narrow layers train twice as fast on a CPU.
    network = network.to(device(), memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.1)

    # Each step: some frames at another size, place and colour, and their joints' maps.
    bar = trange(config.steps, desc=f"{key}: heatmap", unit="step", mininterval=1)
    for _ in bar:
        chosen = torch.randint(len(images), (config.batch,), generator=rng)
        scale, offset = crops(config.batch, 0.2, 0.15, rng)
        batch = jitter(images[chosen].to(device()).float() / 255, config.jitter, rng)
        placed = (joints[chosen] - offset[:, None]) / scale[:, None, None]
        seen = visible[chosen] & (placed.abs() <= 1).all(dim=-1)
        target = paint(placed.to(device()), seen.to(device()), config.size // 2, config.sigma)
        logits = network(crop(batch, scale, offset).contiguous(memory_format=torch.channels_last))
        # Summed over a map's cells: the mean would drown the few cells that matter.
        loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=(2, 3)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if bar.n % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return HeatmapDetector(config, network)


def load(config: Config, path: Path) -> HeatmapDetector:
    entries = read_state_dict(path)
    joints = length_of(entries, "head.weight", path)
    return HeatmapDetector(config, build_strictly(lambda: Unet(joints, config.width), entries, path))


def _read(
    config: Config, clips: Sequence[Path], key: str
) -> tuple[UInt8[Tensor, "n 3 s s"], Float[Tensor, "n j 2"], Bool[Tensor, "n j"]]:
    images, joints, visible = [], [], []
    for path in clips:
        with ClipFile(path) as clip:
            truth = clip.truth()
            if truth is None:
                raise UserError(f"{path.name} has no ground-truth joints to train {key} on; set {key} to null.")
            chosen = spread_index(len(clip), config.frames_per_clip)
            frames = to_images(np.stack([clip.frame(int(i)) for i in chosen])).float()
            images.append(resized(frames, config.size).round().to(torch.uint8))
            joints.append(torch.from_numpy(truth.joints[chosen]))
            visible.append(torch.from_numpy(truth.visible[chosen]))
    if not images:
        raise UserError(f"There are no training clips to train {key} on; prepare the data set, or set {key} to null.")
    return torch.cat(images), torch.cat(joints), torch.cat(visible)
