"""OSNet with weights of torchreid's model zoo, trained there to tell people apart: a file that the user brings.

Frames are seen as torchreid sees people: at 256 x 128 px (a square frame is squeezed, as the papers' re-ID network had
it), in ImageNet's colours. What comes out is its feature vector, at unit length.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from eval.evaluators.pretrained import Pretrained
from eval.evaluators.torchreid_osnet import osnet_module
from eval.weights import Located
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.tensors import to_images

HEIGHT, WIDTH, BATCH = 256, 128, 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BY_WIDTH = {64: "osnet_x1_0", 48: "osnet_x0_75", 32: "osnet_x0_5", 16: "osnet_x0_25"}
"""The model by its first layer's channels."""


class OsnetFile(Pretrained):
    """Frames of any size to unit vectors of 512 numbers."""

    packages: ClassVar = ("torchreid",)

    def __init__(self, file: str) -> None:
        path = Path(file)
        if not path.is_file():
            raise UserError(f"There is no {path}; put a file of torchreid's model zoo there (OSNet, Market-1501).")
        name, self.network = read_network(path)
        located = Located(path, sha256_of(path))
        self.describe("osnet", {"model": name, "input": [HEIGHT, WIDTH]}, {path.name: located})
        self.network.eval().requires_grad_(False).to(device())

    @torch.inference_mode()
    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Float32[np.ndarray, "t d"]:
        mean, deviation = (torch.tensor(of, device=device())[:, None, None] for of in (MEAN, DEVIATION))
        found = []
        for chunk in to_images(frames).split(BATCH):
            images = functional.interpolate(
                chunk.to(device()).float() / 255, (HEIGHT, WIDTH), mode="bilinear", antialias=True, align_corners=False
            )
            found.append(functional.normalize(self.network((images - mean) / deviation), dim=1).cpu())
        return torch.cat(found).numpy()


def read_network(path: Path) -> tuple[str, nn.Module]:
    """The model that the file's weights belong to, with them. Its layer that named training identities is left out.

    Raises:
        UserError: the file cannot be read, would run code, or an entry is missing, superfluous, of another shape or
            not finite.
    """
    entries = read_entries(path)
    first = entries.get("conv1.conv.weight")
    name = None if first is None else BY_WIDTH.get(len(first))
    if first is None or name is None:
        raise UserError(f"{path} is none of torchreid's OSNets: it has no conv1.conv.weight of their widths.")
    if name == "osnet_x1_0" and "conv1.bn.running_mean" not in entries:
        name = "osnet_ibn_x1_0"
    network: nn.Module = getattr(osnet_module(), name)(num_classes=1, pretrained=False)
    own = {key: value for key, value in network.state_dict().items() if not key.startswith("classifier.")}
    # Counters of batches came with a later PyTorch, and evaluation does not read them.
    missing = [key for key in own if key not in entries and not key.endswith("num_batches_tracked")]
    strange = [key for key in entries if key not in own]
    if missing or strange:
        odd = f"lacks the entry {missing[0]}" if missing else f"has the entry {strange[0]}, for which there is no place"
        raise UserError(f"{path} looks like {name} but {odd}; is it a file of torchreid's model zoo?")
    for key, value in entries.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(own[key].shape)}"
            raise UserError(f"{path} looks like {name} but its entry {key} is of shape {shapes}; fetch it again.")
        if not value.isfinite().all():
            raise UserError(f"The entry {key} of {path} holds values that are not finite; fetch it again.")
    network.load_state_dict(entries, strict=False)  # all that is left out was named above
    return name, network


def read_entries(path: Path) -> dict[str, Tensor]:
    """The state dict, bare or in a training checkpoint, without the classifier and DataParallel's prefix."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise UserError(f"{path} cannot be read as weights ({reason}); fetch it again.") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} holds no tensors by name; is it a file of torchreid's model zoo?")
    entries = {str(key).removeprefix("module."): value for key, value in content.items()}
    return {key: value for key, value in entries.items() if not key.startswith("classifier.")}
