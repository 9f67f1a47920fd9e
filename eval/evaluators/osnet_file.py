"""OSNet with weights of torchreid's model zoo, trained there to tell people apart: a file that the user brings.

Frames are seen as torchreid sees people: at 256 x 128 px (a square frame is squeezed, as the papers' re-ID network had
it), in ImageNet's colours. What comes out is its feature vector, at unit length.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn
from torch.nn import functional

from eval.evaluators.pretrained import Pretrained
from eval.evaluators.torchreid_osnet import osnet_module
from eval.weights import Located
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.tensors import read_state_dict, to_images
from tpsm.nn.state_dict import length_of, load_strictly

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
        UserError: the file cannot be read or would run code, or an entry is missing, superfluous or does not fit.
    """
    entries = {key: value for key, value in read_state_dict(path).items() if not key.startswith("classifier.")}
    name = BY_WIDTH.get(length_of(entries, "conv1.conv.weight", path))
    if name is None:
        raise UserError(f"{path} is none of torchreid's OSNets: its conv1.conv.weight has none of their widths.")
    if name == "osnet_x1_0" and "conv1.bn.running_mean" not in entries:
        name = "osnet_ibn_x1_0"
    network: nn.Module = getattr(osnet_module(), name)(num_classes=1, pretrained=False)
    network.classifier = nn.Identity()
    load_strictly(network, entries, path, hint="is it a file of torchreid's model zoo?")
    return name, network
