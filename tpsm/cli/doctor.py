"""Says what this machine has for the program and what is missing, what each thing is good for, and what to type."""

from __future__ import annotations

import platform
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from eval import weights as evaluators
from tpsm.core.errors import UserError, is_outside
from tpsm.core.provenance import cores
from tpsm.downloads.pinned import FOLDER, Weights, training_weights

ENOUGH = 2
"""Gigabytes of the disk that `make repro` takes at most, beside the environment."""
EXTRA = "uv pip install --constraint constraints.txt --editable '.[{}]'"


@dataclass(frozen=True)
class Finding:
    """One thing: whether it is here, what it is, what it is good for, and what to type where it is missing."""

    here: bool
    what: str
    use: str
    command: str = ""

    def __str__(self) -> str:
        lines = [f"{'yes' if self.here else ' no'}  {self.what}", f"     {self.use}"]
        lines += [] if self.here or not self.command else [f"     type: {self.command}"]
        return "\n".join(textwrap.fill(line, 118, subsequent_indent=" " * 5, break_on_hyphens=False) for line in lines)


def report() -> str:
    """Returns the whole account, as the terminal shows it. Nothing that is missing makes it fail."""
    parts = {
        "This machine": machine(),
        "Images and videos": codecs(),
        "Weights that animate": runs(),
        "Weights to train and score with": pinned(),
        "Optional packages": packages(),
    }
    told = "\n\n".join(f"{title}\n\n" + "\n".join(map(str, findings)) for title, findings in parts.items())
    return f"{told}\n\nCommands want the environment: `. .venv/bin/activate` once in each terminal."


def machine() -> Iterator[Finding]:
    """Yields what the machine is."""
    yield Finding(
        sys.version_info >= (3, 11),
        f"Python {platform.python_version()}",
        "3.11 or newer runs the program.",
        "make setup",
    )
    yield Finding(True, f"{cores()} cores", "Two make the whole benchmark (`make repro`) in 15 minutes at most.")
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(".")
    free = f"{memory.available / 1e9:.0f} of {memory.total / 1e9:.0f} GB of memory are free"
    yield Finding(True, free, "Clips pass in pieces, however long; `tpsm cost` says what training takes.")
    yield Finding(
        disk.free >= ENOUGH * 1e9,
        f"{disk.free / 1e9:.0f} GB of the disk are free",
        f"`make repro` takes {ENOUGH} GB at most, a data set of the papers up to hundreds.",
        "make clean, which removes what the pipeline made",
    )
    gpu = _gpus()
    use = "Trains at the papers' scale; `make repro` needs none."
    yield Finding(
        bool(gpu), gpu or "a GPU that PyTorch sees", use, "tpsm cost vox tps, for the time that training takes"
    )


def codecs() -> Iterator[Finding]:
    """Yields what can be read and written."""
    for codec, what in {"libx264": "H.264, the images of an MP4", "aac": "AAC, the sound of an MP4"}.items():
        yield Finding(_has(codec, "w"), what, "`tpsm demo`, `tpsm animate --out me.mp4`.", "tpsm demo --out demo.webp")
    read = [codec for codec in ("h264", "hevc", "vp9", "mpeg4") if _has(codec, "r")]
    yield Finding(bool(read), f"videos of {', '.join(read)} and others", "Driving clips, and data sets.", "make setup")
    heif = find_spec("pillow_heif") is not None
    yield Finding(heif, "HEIC", "Reads photos of an iPhone.", "uv pip install pillow-heif")


def runs() -> Iterator[Finding]:
    """Yields the runs that can animate, by data set."""
    for dataset in sorted({path.parent for path in Path("weights").glob("*/*.safetensors")}):
        names = sorted(path.stem for path in dataset.glob("*.safetensors"))
        use = f"tpsm animate --source IMAGE --driving VIDEO --run {names[0]} --dataset {dataset.name} --out me.mp4"
        yield Finding(True, f"{dataset}, published: {', '.join(names)}", use)
    try:
        if missing := [path for path in _expected() if not path.is_file()]:
            yield Finding(
                False,
                f"published: {', '.join(map(str, missing))}",
                "`tpsm demo`, `make repro`.",
                "git checkout weights",
            )
    except UserError as error:
        yield Finding(False, "params.yaml, which says what should be here", str(error), "git checkout params.yaml")
    for dataset in sorted({path.parent.parent for path in Path("models").glob("*/*/last.pt")}):
        names = sorted(path.parent.name for path in dataset.glob("*/last.pt"))
        yield Finding(
            True, f"{dataset}, made here: {', '.join(names)}", "They go before published ones of the same name."
        )
    released = sorted(path for path in Path("released").glob("*/*") if path.is_file())
    yield Finding(
        bool(released),
        f"the authors' checkpoints{': ' if released else ''}{', '.join(map(str, released))}",
        "Faces, bodies and cartoons of 256 and 384 pixels (docs/released-checkpoints.md).",
        "tpsm import FILE --dataset vox --run tps-released",
    )


def pinned() -> Iterator[Finding]:
    """Yields the files of weights that commands fetch."""
    for name, wanted in evaluators.entries().items():
        command = f"tpsm weights {name}" if name in training_weights() else evaluators.command(name, FOLDER)
        yield Finding(wanted.state(FOLDER) == "present", f"{name}{_size(wanted)}", f"{wanted.about}.", command)


def packages() -> Iterator[Finding]:
    """Yields the packages that the program does without, and what needs each."""
    wanted = {
        "dlib-bin": ("faces", "The evaluators dlib68 and dlib-face: landmarks and identities of faces."),
        "face-alignment": ("faces", "The evaluator fan: landmarks of faces, as the papers have them."),
        "onnxruntime": ("bodies", "The evaluator rtmpose: joints of bodies."),
        "lpips": ("lpips", "The metric lpips."),
        "distributed": ("cluster", "`workers` in params.yaml: stages on a Dask cluster."),
        "yt-dlp": ("fetch", "`tpsm fetch vox`: videos of YouTube."),
        "playwright": ("dev", "The tests of the page in a real browser."),
    }
    for name, (extra, use) in wanted.items():
        yield Finding(bool(found := _version(name)), f"{name}{found and f' {found}'}", use, EXTRA.format(extra))


def _gpus() -> str:
    """The names of the GPUs and their memory; empty where PyTorch sees none, or is not here."""
    if find_spec("torch") is None:
        return ""
    import torch  # Here: it takes seconds to load.

    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return ", ".join(f"{gpu.name} with {gpu.total_memory / 1e9:.0f} GB" for gpu in found)


def _has(codec: str, way: Literal["r", "w"]) -> bool:
    """Whether FFmpeg reads (r) or writes (w) by a codec."""
    import av

    try:
        av.codec.Codec(codec, way)
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _expected() -> Iterator[Path]:
    """The published files that params.yaml asks for: a method from outside need not have one. Raises UserError where
    it cannot be read."""
    from tpsm.config.params import data_section, read_params

    params = read_params(Path("params.yaml"))
    for dataset in params.datasets:
        section = data_section(params, dataset)
        if section.weights is not None:
            ours = [run for run in params.trained_on(dataset) if not is_outside(params.run[run].method)]
            yield from (Path(section.weights) / f"{run}.safetensors" for run in ours)
        if section.evaluators is not None:
            yield from (Path(section.evaluators) / f"{role}.safetensors" for role in ("landmarks", "identity"))


def _size(wanted: Weights) -> str:
    return "" if wanted.size is None else f" ({wanted.size / 1e6:.0f} MB)"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
