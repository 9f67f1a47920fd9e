"""Identity encoder: torchreid's OSNet x0.25 (Zhou et al., ICCV 2019), trained to tell the training identities apart."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from eval.evaluators import device, resized, spread, to_images
from eval.evaluators.augment import crop, crops, jitter
from tpsm.data.clipfile import ClipFile
from tpsm.errors import UserError
from tpsm.files import atomic


@dataclass(frozen=True)
class Config:
    """`size` px is the input's side; frames are resized to it."""

    kind: Literal["osnet"] = "osnet"
    size: int = 64
    steps: int = 600
    batch: int = 32
    learning_rate: float = 1e-2
    frames_per_clip: int = 24
    jitter: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError("size: must be at least 32")
        for name in ("steps", "batch", "frames_per_clip", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be positive")
        if not 0 <= self.jitter < 1:
            raise ValueError("jitter: must lie in [0, 1)")


@cache
def _osnet() -> ModuleType:
    """torchreid's osnet.py alone: importing the package would take ten seconds, OpenCV, TensorBoard and gdown."""
    package = importlib.util.find_spec("torchreid")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder, "reid", "models", "osnet.py")
        spec = importlib.util.spec_from_file_location("_torchreid_osnet", path) if path.is_file() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise UserError("An osnet identity evaluator needs torchreid 0.2.5; install the packages of constraints.txt.")


class OsnetEncoder:
    """Frames of any size to unit vectors: the last feature map, averaged over the picture.

    On unseen puppets these tell identities apart better than the fully connected layer above them.
    """

    def __init__(self, config: Config, network: nn.Module) -> None:
        # One memory format, so that a network just trained and one read from disk agree to the last bit.
        self.config = config
        self.network = network.eval().to(device()).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Float32[np.ndarray, "t d"]:
        found = []
        for chunk in to_images(frames).split(64):
            images = resized(chunk.to(device()).float() / 255, self.config.size)
            pooled = self.network.featuremaps(images * 2 - 1).mean(dim=(2, 3))  # type: ignore[operator]
            found.append(functional.normalize(pooled, dim=1).cpu())
        return torch.cat(found).numpy()

    def save(self, path: Path) -> None:
        with atomic(path) as draft:
            torch.save(self.network.state_dict(), draft)


def train(config: Config, clips: Sequence[Path], key: str) -> OsnetEncoder:
    """Trains by classification with label smoothing, on crops of another size, place and colour.

    Raises:
        UserError: the clips show fewer than two identities; the message names `key`.
    """
    images, labels = _read(config, clips, key)
    rng = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = _osnet().osnet_x0_25(num_classes=int(labels.max()) + 1, pretrained=False)
    # Channels last: narrow layers train faster on a CPU.
    network = network.to(device(), memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.2)
    bar = trange(config.steps, desc=f"{key}: osnet", unit="step", mininterval=1)
    for _ in bar:
        chosen = torch.randint(len(images), (config.batch,), generator=rng)
        batch = jitter(images[chosen].to(device()).float() / 255, config.jitter, rng)
        batch = crop(batch, *crops(config.batch, 0.2, 0.15, rng)).contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(batch * 2 - 1), labels[chosen].to(device()), label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if bar.n % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return OsnetEncoder(config, network)


def load(config: Config, path: Path) -> OsnetEncoder:
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = _osnet().osnet_x0_25(num_classes=len(state["classifier.bias"]), pretrained=False)
    network.load_state_dict(state)
    return OsnetEncoder(config, network)


def _read(config: Config, clips: Sequence[Path], key: str) -> tuple[UInt8[Tensor, "n 3 s s"], Int64[Tensor, " n"]]:
    images, identities = [], []
    for path in clips:
        with ClipFile(path) as clip:
            frames = to_images(np.stack([clip.frame(int(i)) for i in spread(clip, config.frames_per_clip)])).float()
            images.append(resized(frames, config.size).round().to(torch.uint8))
            identities += [clip.identity] * len(frames)
    names, labels = np.unique(np.array(identities), return_inverse=True)
    if len(names) < 2:
        raise UserError(f"{key} tells identities apart and needs two in the training clips; set {key} to null.")
    return torch.cat(images), torch.from_numpy(labels.astype(np.int64))
