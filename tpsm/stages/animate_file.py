"""One picture moved by one video, with a trained run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from tpsm.checkpoints.checkpoint import load_method
from tpsm.checkpoints.trained import load_avd
from tpsm.core.animation import Mode
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.layout import AVDS, MODELS
from tpsm.data.resize import fit_to_size
from tpsm.data.video import PICTURES, check_writable, iter_video, read_picture, write_video
from tpsm.inference.generate import animate


def animate_file(source: Path, driving: Path, run: str, mode: Mode, out: Path, dataset: str | None) -> int:
    """One picture moved by one video, both of any size and format; returns the number of frames written.

    Frames are cropped to a centred square and resized to the size that the run was trained at, as in training.
    """
    check_writable(out)
    folder = trained_folder(run, dataset)
    method, checkpoint = load_method(folder / "last.pt")
    method.to(device())
    avd = load_avd(AVDS / folder.relative_to(MODELS) / "last.pt", method, checkpoint.size) if mode == "avd" else None
    still = fit_to_size(read_still(source), checkpoint.size)
    video, fps = iter_video(driving)
    poses = (fit_to_size(frame, checkpoint.size) for frame in tqdm(video, desc=f"{run}: animate, {mode}", unit="frame"))
    return write_video(out, animate(method, still, poses, mode, avd), fps)


def read_still(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """A picture, or the first frame of a video."""
    if path.suffix.lower() in PICTURES:
        return read_picture(path)
    frames, _ = iter_video(path)
    return next(iter(frames))


def trained_folder(run: str, dataset: str | None) -> Path:
    """`models/<dataset>/<run>`; the data set must be named only where the run was trained on several."""
    found = sorted(path.parent for path in MODELS.glob(f"{dataset or '*'}/{run}/last.pt"))
    if not found:
        trained = sorted(path.parent.relative_to(MODELS).as_posix() for path in MODELS.glob("*/*/last.pt"))
        known = (
            f"trained below this folder are {', '.join(trained)}"
            if trained
            else "`dvc repro` trains those of params.yaml"
        )
        raise UserError(f"No run '{run}' has been trained{f' on {dataset}' if dataset else ''}; {known}.")
    if len(found) > 1:
        names = ", ".join(path.parent.name for path in found)
        raise UserError(f"The run '{run}' was trained on {names}; choose one with --dataset.")
    return found[0]
