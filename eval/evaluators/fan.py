"""The papers' face landmarks: face-alignment's 2D FAN (Bulat and Tzimiropoulos, ICCV 2017) behind its S3FD detector.

As the papers took it: the first face (the detector's best), unmirrored input. Frames go through both networks in
batches, where face-alignment itself takes them one by one; the numbers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Gt, Lt
from jaxtyping import Float64, UInt8

from eval.evaluators.pretrained import Pretrained, train_and_load
from eval.types import Landmarks
from tpsm.core.device import device
from tpsm.core.errors import package
from tpsm.core.schema import Count, checked
from tpsm.core.tensors import read_state_dict, to_images
from tpsm.nn.state_dict import load_strictly

POINTS = 68
NEEDS = ("fan", "s3fd")


@checked
@dataclass(frozen=True)
class Config:
    """`batch` frames at once; a face counts where the detector's score is above `threshold`."""

    kind: Literal["fan"] = "fan"
    batch: Count = 16
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5
    weights: str = ".work/weights"


class Fan(Pretrained):
    """Frames of any size to 68 points; all are found, or none where no face is."""

    needs: ClassVar = NEEDS
    packages: ClassVar = ("face-alignment",)

    def __init__(self, config: Config) -> None:
        library: Any = package("face_alignment", "face-alignment", config.kind)
        super().__init__(config)
        self.batch, self.device = config.batch, str(device())
        self.tools = library.utils
        detection: Any = package("face_alignment.detection.sfd", "face-alignment", config.kind)
        # The library's own constructor would download: FAN is built from its parts, with the local files.
        self.detector = detection.FaceDetector(
            device=self.device, path_to_detector=str(self.files["s3fd"]), filter_threshold=config.threshold
        )
        self.network = package("face_alignment.models", "face-alignment", config.kind).FAN(4)
        load_strictly(self.network, read_state_dict(self.files["fan"]), self.files["fan"], hint="is it FAN's?")
        self.network.eval().to(self.device)

    @torch.inference_mode()
    def __call__(self, frames: UInt8[np.ndarray, "t h w 3"]) -> Landmarks:
        height, width = frames.shape[1:3]
        xy = np.zeros((len(frames), POINTS, 2), np.float32)
        found = np.zeros((len(frames), POINTS), bool)
        for first in range(0, len(frames), self.batch):
            chunk = frames[first : first + self.batch]
            boxes = self.detector.detect_from_batch(to_images(chunk))
            rows = [row for row, faces in enumerate(boxes) if len(faces)]
            if rows:
                points = self.points(chunk[rows], np.array([boxes[row][0][:4] for row in rows], np.float64))
                chosen = first + np.array(rows)
                xy[chosen] = 2 * points / (width - 1, height - 1) - 1
                found[chosen] = True
        return Landmarks(xy, found)

    def points(
        self, frames: UInt8[np.ndarray, "t h w 3"], boxes: Float64[np.ndarray, "t 4"]
    ) -> Float64[np.ndarray, "t 68 2"]:
        """Landmarks in pixels, of the face in each frame's box (left, top, right, bottom)."""
        sides = boxes[:, 2:] - boxes[:, :2]
        centres = boxes[:, 2:] - sides / 2 - sides * (0, self.tools.CENTER_Y_OFFSET)
        scales = sides.sum(axis=1) / self.detector.reference_scale
        crops = [self.tools.crop(*each) for each in zip(frames, centres, scales, strict=True)]
        images = to_images(np.stack(crops)).to(self.device).float() / 255
        maps = self.network(images)
        maps = (maps[-1] if isinstance(maps, list) else maps).float().cpu().numpy()
        found = [
            self.tools.get_preds_fromhm(each[None], centre, scale)[1][0]
            for each, centre, scale in zip(maps, centres, scales, strict=True)
        ]
        return np.stack(found).astype(np.float64)


train, load = train_and_load(Fan)
