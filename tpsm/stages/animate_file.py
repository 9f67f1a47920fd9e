"""Moves one image by one video, with a trained run."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from tpsm.checkpoints.checkpoint import load_method
from tpsm.checkpoints.trained import load_avd
from tpsm.core.animation import Mode
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.layout import MODELS, Layout
from tpsm.data.resize import fit_to_size
from tpsm.data.video import check_writable, iter_video, kind_of, write_video
from tpsm.inference.generate import animate

log = logging.getLogger(__name__)


def animate_file(
    source: Path, driving: Path, run: str, mode: Mode, out: Path, dataset: str | None, source_frame: int | None = None
) -> int:
    """Moves one image by one video, both of any size and format, and returns the number of frames written.

    Frames become squares of the size that the run was trained at, cropped or stretched as in training. The log says
    what was taken of `source` and `driving`; `tpsm.data.video.kind_of` decides when an image is a strip of frames.

    Raises:
        UserError: an input cannot be read, `out` cannot be written, or no such run was trained.
    """
    # The run.
    check_writable(out)
    folder = trained_folder(run, dataset)
    method, checkpoint = load_method(folder / "last.pt")
    method.to(device())
    avd = (
        load_avd(Layout(folder.parent.name).avd(folder.name) / "last.pt", method, checkpoint.size)
        if mode == "avd"
        else None
    )

    # The source, and the driving video frame by frame.
    still = fit_to_size(read_still(source, source_frame), checkpoint.size, checkpoint.fit)
    video, fps = iter_video(driving, strips=False)
    log.info("Driving: the %s %s, at %.4g frames per second.", kind_of(driving, strips=False), driving, fps)
    poses = (
        fit_to_size(frame, checkpoint.size, checkpoint.fit)
        for frame in tqdm(video, desc=f"{run}: animate, {mode}", unit="frame")
    )
    return write_video(out, animate(method, still, poses, mode, avd), fps)


def read_still(path: Path, number: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Reads an image, or the frame `number` of a video or strip (the first without it). With a number, an image is a
    strip.

    Raises:
        UserError: the file is unreadable, or has too few frames.
    """
    kind = kind_of(path, strips=number is not None)
    frames, _ = iter_video(path, strips=kind == "strip")
    frame = next(islice(frames, number or 0, None), None)
    if frame is None:
        raise UserError(f"The {kind} {path} has no frame {number}, counted from 0; correct --source-frame.")
    height, width = frame.shape[:2]
    place = "the image" if kind == "image" else f"frame {number or 0} of the {kind}"
    log.info("Source: %s %s, %d x %d pixels.", place, path, width, height)
    return frame


def trained_folder(run: str, dataset: str | None) -> Path:
    """Returns `models/<dataset>/<run>`, of the first data set by name where the run was trained on several.

    Raises:
        UserError: no such run was trained.
    """
    found = sorted(path.parent for path in MODELS.glob(f"{dataset or '*'}/{run}/last.pt"))
    if not found:
        trained = sorted(path.parent.relative_to(MODELS).as_posix() for path in MODELS.glob("*/*/last.pt"))
        known = (
            f"trained below this folder are {', '.join(trained)}"
            if trained
            else "`make repro` brings those of params.yaml, and `tpsm import` a released one"
        )
        raise UserError(f"No run '{run}' has been trained{f' on {dataset}' if dataset else ''}; {known}.")
    if len(found) > 1:
        first, *others = (path.parent.name for path in found)
        log.info("Run: %s of %s; --dataset takes that of %s.", run, first, " or ".join(others))
    return found[0]
