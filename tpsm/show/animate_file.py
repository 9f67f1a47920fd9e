"""Moves one image by one video, with one run or with several side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from tpsm.core.animation import Mode
from tpsm.core.errors import UserError
from tpsm.data.still import Frame
from tpsm.data.video import check_writable, holds_sound, iter_video, kind_of, write_video
from tpsm.inference.generate import animate
from tpsm.show.best_frame import Detector, MethodPose, nearest_frame
from tpsm.show.panels import side_by_side
from tpsm.show.run import Run, load_run
from tpsm.show.sound import has_sound, iter_sound
from tpsm.show.square import AS_TRAINED, Framing

log = logging.getLogger(__name__)


def no_detector(dataset: str) -> Detector | None:
    """Has no landmark detector for any data set: the methods' own keypoints say what a pose is."""


@dataclass(frozen=True)
class Animation:
    """What is animated, how, and where to.

    `runs` are names of runs with the title of each one's panel; of several, or with `compare`, the result shows source,
    driving clip and every run side by side. `reference` is the driving frame from which relative motion starts, by its
    number from 0 or "best" for the one whose pose is nearest to the source's, by the `detector` of the run's data set
    where there is one. `fps` replaces the driving clip's rate, in frames per second; the result is shown
    so many `times`.
    """

    source: Path
    driving: Path
    runs: Mapping[str, str]
    out: Path
    mode: Mode = "relative"
    dataset: str | None = None
    source_frame: int | None = None
    source_framing: Framing = AS_TRAINED
    driving_framing: Framing = AS_TRAINED
    reference: int | str | None = None
    detector: Callable[[str], Detector | None] = no_detector
    compare: bool = False
    sound: bool = True
    fps: float | None = None
    times: int = 1

    def __post_init__(self) -> None:
        if self.reference is not None and self.mode != "relative":
            raise UserError(
                f"The mode {self.mode} starts from no frame; leave out --reference-frame and --find-best-frame, or "
                "choose --mode relative."
            )


def animate_file(wanted: Animation) -> int:
    """Moves one image by one video, both of any size and format, and returns the number of frames written.

    Frames become squares of the size that the run was trained at. The log says what was taken of source and driving
    clip, and what was cut off; `tpsm.data.video.kind_of` decides when an image is a strip of frames.

    Raises:
        UserError: an input cannot be read, `out` cannot be written or is an input, or a run has no weights.
    """
    # The runs, and for the mode avd their AVD networks.
    check_writable(wanted.out)
    if wanted.out.resolve() in (wanted.source.resolve(), wanted.driving.resolve()):
        raise UserError(f"{wanted.out} is what is animated, and would be replaced; choose another name for --out.")
    runs = {title: load_run(name, wanted.dataset) for name, title in wanted.runs.items()}
    avds = {title: run.avd() if wanted.mode == "avd" else None for title, run in runs.items()}
    first = next(iter(runs.values()))

    # The source and the driving clip, and what of them is taken.
    still = read_still(wanted.source, wanted.source_frame)
    source = wanted.source_framing.settled([still], str(wanted.source))
    log.info("Source: %s, %s.", _named(wanted.source, wanted.source_frame), source.described(still, first.fit))
    clip = Clip.at(wanted.driving, wanted.driving_framing, first)
    fps = wanted.fps or clip.fps

    # Every run's frames, computed as they are written.
    columns = {}
    for title, run in runs.items():
        image = source.apply(still, run.size, run.fit)
        reference = None if wanted.reference is None else clip.frame(reference_frame(wanted, run, image, clip), run)
        columns[title] = animate(run.method, image, clip.frames(run), wanted.mode, avds[title], reference)

    # One of them alone, or all beside source and driving clip, which are shown as the largest run sees them.
    frames = next(iter(columns.values()))
    if wanted.compare or len(runs) > 1:
        largest = max(runs.values(), key=lambda run: run.size)
        given = {"source": repeat(source.apply(still, largest.size, largest.fit)), "driving": clip.frames(largest)}
        frames = side_by_side([*given, *columns], [*given.values(), *columns.values()], largest.size)
    bar = iter(tqdm(frames, desc=f"{', '.join(columns)}: animate, {wanted.mode}", unit="frame"))
    shown = bar if wanted.times == 1 else chain.from_iterable(repeat(list(bar), wanted.times))
    return write_video(wanted.out, shown, fps, clip.sound(wanted, fps))


@dataclass(frozen=True)
class Clip:
    """A driving clip, read anew by each who asks for its frames; `fps` is its rate in frames per second."""

    path: Path
    framing: Framing
    fps: float

    @classmethod
    def at(cls, path: Path, framing: Framing, run: Run) -> Clip:
        """Opens the clip, and logs what it is. `run` says the rate of clips that do not say theirs."""
        frames, fps = iter_video(path, strips=False, fps=run.fps)
        first = next(frames)
        framing = framing.settled(iter_video(path, strips=False)[0], str(path))
        about = framing.described(first, run.fit, "--driving-crop")
        log.info("Driving: the %s %s at %.4g frames per second, %s.", kind_of(path, strips=False), path, fps, about)
        if next(frames, None) is None:
            log.info(
                "It is one frame, and so is the result: motion comes from a video, GIF, strip or folder of frames."
            )
        return cls(path, framing, fps)

    def frames(self, run: Run) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        """Yields the frames as squares for `run`."""
        return (self.framing.apply(frame, run.size, run.fit) for frame in iter_video(self.path, strips=False)[0])

    def frame(self, number: int, run: Run) -> UInt8[np.ndarray, "s s 3"]:
        """Returns one frame as a square. Raises UserError where the clip has fewer."""
        if (frame := next(islice(self.frames(run), number, None), None)) is None:
            raise UserError(f"{self.path} has no frame {number}, counted from 0; correct --reference-frame.")
        return frame

    def sound(self, wanted: Animation, fps: float) -> Iterator | None:
        """Returns the clip's sound where it has some that the result can keep; the log says why not."""
        if not wanted.sound or not has_sound(self.path):
            return None
        if not holds_sound(wanted.out):
            log.info("Sound: none, for %s holds no sound; .mp4 does.", wanted.out.name)
            return None
        if fps != self.fps:
            log.info("Sound: none, for the speed is another than the driving clip's.")
            return None
        log.info("Sound: the driving clip's; --no-audio leaves it out.")
        return iter_sound(self.path)


def reference_frame(wanted: Animation, run: Run, image: UInt8[np.ndarray, "s s 3"], clip: Clip) -> int:
    """Returns the number of the driving frame from which the relative motion of `run` starts.

    Where the landmark detector sees nothing, or there is none, the method's own keypoints decide.
    """
    if isinstance(wanted.reference, int):
        return wanted.reference
    found = None
    if (detector := wanted.detector(run.dataset)) is not None:
        found, by = nearest_frame(image, clip.frames(run), detector), f"the landmarks of {run.dataset}"
    if found is None:
        own = partial(MethodPose, run.method)
        found, by = nearest_frame(image, clip.frames(run), own) or 0, "the method's own keypoints"
    log.info("Best frame: %d, by %s.", found, by)
    return found


def read_still(path: Path, number: int | None = None) -> Frame:
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
    return frame


def _named(path: Path, number: int | None) -> str:
    kind = kind_of(path, strips=number is not None)
    return f"the image {path}" if kind == "image" else f"frame {number or 0} of the {kind} {path}"
