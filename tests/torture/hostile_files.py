"""Something else in the place of a file: pipes, sockets, devices, folders, loops, other content."""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml
from hostile import Case
from subject import STAGES, SUBJECT, TPS

ANIMATE = ("tpsm", "animate", "--run", "tps", "--out", "o.mp4")


def special_files(base: Path, rng: random.Random) -> Iterator[Case]:
    """Every kind in the place of every file that some command reads."""
    noise = rng.randbytes(5000)
    clip = sorted((base / "data/clips/drawn/test").glob("*.zip"))[0].relative_to(base).as_posix()
    output = sorted((base / "outputs/drawn/tps/reconstruction").glob("*.zip"))[0].relative_to(base).as_posix()
    raw = sorted(path for path in (base / "data/raw/drawn/test").iterdir() if path.suffix != ".npz")[0]
    places = {
        "params.yaml": STAGES["configure"],
        "configs/drawn/runs/tps.yaml": STAGES["train"],
        "configs/drawn/data.yaml": STAGES["prepare"],
        "configs/drawn/evaluation.yaml": STAGES["report"],
        "data/clips/drawn/manifest.json": STAGES["reconstruct"],
        clip: STAGES["reconstruct"],
        output: STAGES["score"],
        "models/drawn/tps/last.pt": STAGES["reconstruct"],
        "avd/drawn/tps/last.pt": STAGES["animate-avd"],
        "evaluators/drawn/networks/landmarks.pt": STAGES["features"],
        "outputs/drawn/tps/animation/standard/pairs.csv": STAGES["score"],
        "scores/drawn/tps.parquet": ("eval", "compare", "scores/drawn/tps.parquet", "good.parquet"),
        "picture.png": (*ANIMATE, "--source", "picture.png", "--driving", f"data/raw/drawn/test/{raw.name}"),
        "driving.mp4": (*ANIMATE, "--source", f"data/raw/drawn/test/{raw.name}", "--driving", "driving.mp4"),
        "key.json": ("eval", "study", "read", "votes.json", "--key", "key.json"),
        "released.pth": ("tpsm", "import", "released.pth", *TPS),
        "pages/drawn/content.json": ("eval", "page"),
        "splits/drawn/own-v1.csv": ("tpsm", "configure"),
    }
    for place, command in places.items():
        for kind in KINDS:
            may_pass = kind == "folder" and place in ("picture.png", "driving.mp4")
            yield Case(f"{kind} for {place}", command, partial(put, kind, place, noise), may_pass)


KINDS = ("pipe", "socket", "device", "folder", "loop", "dangling", "empty", "noise", "zeros", "latin-1")


def put(kind: str, place: str, noise: bytes, folder: Path) -> None:
    path = folder / place
    if place.startswith("splits/"):
        params = SUBJECT | {"data": {"drawn": {**SUBJECT["data"]["drawn"], "split": "own-v1"}}}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
    if place.startswith("scores/"):
        shutil.copy(path, folder / "good.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.chdir(path.parent)  # A socket's address has 108 characters at most.
        socket.socket(socket.AF_UNIX).bind(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        (path / "inside").mkdir(parents=True)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        content = {"empty": b"", "noise": noise, "zeros": bytes(4096), "latin-1": "größe: ä\n".encode("latin-1")}
        path.write_bytes(content[kind])
