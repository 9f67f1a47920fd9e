"""26 joints of a body with scores: RTMPose-s (Jiang et al., 2023; the joints of Halpe), by ONNX Runtime.

No person detector goes before it. The network looks twice, first at the whole frame, then at a box about the joints
that it found: on real clips of one person, moved by a few pixels, that was three to nine times steadier than one look,
and steadier than a detector's boxes, which take another person now and then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Gt, Lt
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from eval.evaluators.pretrained import Pretrained, train_and_load
from eval.types import Landmarks
from tpsm.core.device import device
from tpsm.core.errors import package
from tpsm.core.schema import Count, checked
from tpsm.core.tensors import to_images

WIDTH, HEIGHT, BINS = 192, 256, 2  # the input's pixels, and cells a pixel of the output
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
ROOM = 1.25  # a box is this much larger than what it is about, as the network was trained
FEWEST = 3
NEEDS = ("rtmpose-s",)


@checked
@dataclass(frozen=True)
class Config:
    """Joints whose score stays below `threshold` are missing; `batch` frames go through the network at once."""

    kind: Literal["rtmpose"] = "rtmpose"
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.3
    batch: Count = 16
    weights: str = ".work/weights"


class Rtmpose(Pretrained):
    """Frames of any size to 26 joints, each found or not."""

    needs: ClassVar = NEEDS
    packages: ClassVar = ("onnxruntime",)

    def __init__(self, config: Config) -> None:
        runtime: Any = package("onnxruntime", "onnxruntime", config.kind)
        super().__init__(config)
        self.config = config
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        able = runtime.get_available_providers()
        wanted = ["CUDAExecutionProvider"] if device().type == "cuda" and "CUDAExecutionProvider" in able else []
        self.session = runtime.InferenceSession(
            str(self.files["rtmpose-s"]), options, providers=[*wanted, "CPUExecutionProvider"]
        )

    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Landmarks:
        height, width = frames.shape[1:3]
        points, scores = [], []
        for chunk in to_images(frames).split(self.config.batch):
            first, score = self.look(chunk, whole(len(chunk), height, width))
            boxes = about(first, score >= self.config.threshold, whole(len(chunk), height, width))
            second, score = self.look(chunk, boxes)
            points.append(second)
            scores.append(score)
        pixels = np.concatenate(points)
        xy = 2 * pixels / np.array([width - 1, height - 1]) - 1
        return Landmarks(xy.astype(np.float32), np.concatenate(scores) >= self.config.threshold)

    def look(
        self, images: UInt8[Tensor, "t 3 h w"], boxes: Float[np.ndarray, "t 3"]
    ) -> tuple[Float[np.ndarray, "t j 2"], Float[np.ndarray, "t j"]]:
        """Joints in pixels of the images, and their scores, seen in boxes of the input's shape (centre x, y, width)."""
        crops = cut(images, boxes) - torch.tensor(MEAN)[:, None, None]
        inputs = (crops / torch.tensor(DEVIATION)[:, None, None]).numpy()
        across, down = self.session.run(["simcc_x", "simcc_y"], {"input": inputs})
        (x, sure_x), (y, sure_y) = peaks(across), peaks(down)
        scale = boxes[:, None, 2] / WIDTH
        left, top = boxes[:, None, 0] - scale * WIDTH / 2, boxes[:, None, 1] - scale * HEIGHT / 2
        return np.stack([left + x * scale, top + y * scale], axis=-1), np.minimum(sure_x, sure_y)


def whole(count: int, height: int, width: int) -> Float[np.ndarray, "t 3"]:
    """The smallest box of the input's shape about the frame."""
    return np.tile([(width - 1) / 2, (height - 1) / 2, max(width, height * WIDTH / HEIGHT)], (count, 1))


def about(
    points: Float[np.ndarray, "t j 2"], found: np.ndarray, otherwise: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t 3"]:
    """A box about the joints found, with room; `otherwise` where they are too few or in one place."""
    low = np.where(found[..., None], points, np.inf).min(axis=1)
    high = np.where(found[..., None], points, -np.inf).max(axis=1)
    enough = (found.sum(axis=1) >= FEWEST) & (high > low).all(axis=1)
    low, high = (np.where(enough[:, None], edge, 0) for edge in (low, high))
    side = np.maximum(high[:, 0] - low[:, 0], (high[:, 1] - low[:, 1]) * WIDTH / HEIGHT)
    return np.where(enough[:, None], np.column_stack([(low + high) / 2, ROOM * side]), otherwise)


def cut(images: UInt8[Tensor, "t 3 h w"], boxes: Float[np.ndarray, "t 3"]) -> Float32[Tensor, "t 3 256 192"]:
    """What the boxes show, at the input's size; black outside of the images."""
    rows, columns = images.shape[-2:]
    centre_x, centre_y, width = torch.from_numpy(boxes).float().unbind(dim=1)
    step = width / WIDTH
    x = centre_x[:, None] + (torch.arange(WIDTH) - WIDTH / 2) * step[:, None]
    y = centre_y[:, None] + (torch.arange(HEIGHT) - HEIGHT / 2) * step[:, None]
    grid = torch.stack(
        [
            (2 * x / (columns - 1) - 1)[:, None, :].expand(-1, HEIGHT, -1),
            (2 * y / (rows - 1) - 1)[:, :, None].expand(-1, -1, WIDTH),
        ],
        dim=-1,
    )
    return functional.grid_sample(images.float(), grid, align_corners=True)


def peaks(scores: Float32[np.ndarray, "t j n"]) -> tuple[Float[np.ndarray, "t j"], Float[np.ndarray, "t j"]]:
    """Where each row is highest, in pixels of the input, and how high: between cells by the parabola through the peak
    and its neighbours."""
    last = scores.shape[-1] - 1
    index = scores.argmax(axis=-1)

    def at(cells: np.ndarray) -> np.ndarray:
        return np.take_along_axis(scores, cells[..., None], axis=-1)[..., 0]

    height = at(index)
    below, above = at(np.maximum(index - 1, 0)), at(np.minimum(index + 1, last))
    bend = below + above - 2 * height
    inside = (index > 0) & (index < last) & (bend < 0)
    shift = np.divide((below - above) / 2, bend, out=np.zeros_like(bend), where=inside)
    return (index + shift) / BINS, height


train, load = train_and_load(Rtmpose)
