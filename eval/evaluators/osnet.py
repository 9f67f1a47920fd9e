"""Identity encoder: torchreid's OSNet (Zhou et al., ICCV 2019). Its x0.25 is trained to tell the training identities
apart; with `file`, any width has weights of torchreid's model zoo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from eval.evaluators.augment import crop, crops, jitter
from eval.evaluators.images import resized
from eval.evaluators.osnet_file import OsnetFile
from eval.evaluators.pretrained import as_recorded
from eval.evaluators.torchreid_osnet import osnet_module
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.schema import LARGEST, Count, Positive, Seed, Share, checked
from tpsm.core.tensors import read_state_dict, to_images, write_torch
from tpsm.data.clip import ClipFile, spread_index
from tpsm.nn.state_dict import build_strictly, length_of


@checked
@dataclass(frozen=True)
class Config:
    """`size` px is the input's side; frames are resized to it. With `file`, released weights, nothing is trained, and
    no other setting counts."""

    kind: Literal["osnet"] = "osnet"
    file: str | None = None
    size: Annotated[int, Ge(32), Le(LARGEST)] = 64
    steps: Count = 600
    batch: Count = 32
    learning_rate: Positive = 1e-2
    frames_per_clip: Count = 24
    jitter: Share = 0.05
    seed: Seed = 0


class OsnetEncoder:
    """Frames of any size to unit vectors: the last feature map, averaged over the image.

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
        write_torch(path, self.network.state_dict())


def check(config: Config) -> None:
    """Raises UserError where the file is no released OSNet."""
    if config.file is not None:
        OsnetFile(config.file)


def train(config: Config, clips: Sequence[Path], key: str) -> OsnetEncoder | OsnetFile:
    """Trains by classification with label smoothing, on crops of another size, place and colour.

    Raises:
        UserError: the clips show fewer than two identities, and the message names `key`; or the file is no OSNet.
    """
    if config.file is not None:
        return OsnetFile(config.file)
    images, labels = _read(config, clips, key)

    # The network and its schedule, from the seed.
    rng = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = osnet_module().osnet_x0_25(num_classes=int(labels.max()) + 1, pretrained=False)
    # Channels last: narrow layers train faster on a CPU.
    network = network.to(device(), memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps, pct_start=0.2)

    # Each step: some frames at another size, place and colour, and their identities.
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


def load(config: Config, path: Path) -> OsnetEncoder | OsnetFile:
    if config.file is not None:
        return as_recorded(OsnetFile(config.file), path)
    entries = read_state_dict(path)
    people = length_of(entries, "classifier.bias", path)
    make = partial(osnet_module().osnet_x0_25, num_classes=people, pretrained=False)
    return OsnetEncoder(config, build_strictly(make, entries, path))


def _read(config: Config, clips: Sequence[Path], key: str) -> tuple[UInt8[Tensor, "n 3 s s"], Int64[Tensor, " n"]]:
    images, identities = [], []
    for path in clips:
        with ClipFile(path) as clip:
            frames = to_images(
                np.stack([clip.frame(int(i)) for i in spread_index(len(clip), config.frames_per_clip)])
            ).float()
            images.append(resized(frames, config.size).round().to(torch.uint8))
            identities += [clip.identity] * len(frames)
    names, labels = np.unique(np.array(identities), return_inverse=True)
    if len(names) < 2:
        raise UserError(f"{key} tells identities apart and needs two in the training clips; set {key} to null.")
    return torch.cat(images), torch.from_numpy(labels.astype(np.int64))
