"""A data set of coloured dots with exact truth, and outputs as the stages before scoring leave them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from eval import metrics
from tpsm.core.clips import Clip, GroundTruth
from tpsm.core.layout import Layout, file_name
from tpsm.data.clip import read_clip, write_clip
from tpsm.data.manifest import Entry, Manifest

SIZE, FRAMES = 32, 4
COLOURS = np.array([[255, 40, 40], [40, 255, 40], [60, 60, 255]], np.uint8)
TESTS = ("d#0", "d#1", "e#0", "e#1")
WEIGHTS = {run: {f"models/dots/{run}/last.pt": digit * 64} for run, digit in (("still", "1"), ("exact", "2"))}
EVALUATION = {
    "evaluators": {
        "landmarks": {"kind": "heatmap", "size": SIZE, "width": 8, "steps": 150, "batch": 8, "threshold": 0.3},
        "identity": {"kind": "osnet", "steps": 6, "batch": 8},
    },
    "bootstrap": {"samples": 200},
    "figures": {"clips": 1, "frames": 2, "enlarge_to": 32},
    "tables": {
        "reconstruction": ["still", "exact", "absent"],
        "animation": ["still"],
        "k_ablation": ["still", "exact"],
    },
    "published": "taichi",
    "published_as": {"exact": "tpsmm"},
}


def dots(name: str, seed: int, *, frames: int = FRAMES, has_truth: bool = True) -> Clip:
    """Three dots that wander, each a part; the last one hides in odd frames. The ground's grey is the identity's."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0.2, 0.8, (3, 2)) * (SIZE - 1)
    centres = start + rng.uniform(-2.5, 2.5, (3, 2)) * np.arange(frames)[:, None, None]
    centres = centres.clip(3, SIZE - 4)
    visible = np.ones((frames, 3), bool)
    visible[1::2, 2] = False
    labels = np.zeros((frames, SIZE, SIZE), np.uint8)
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    for t in range(frames):
        for joint in np.flatnonzero(visible[t]):
            labels[t][np.hypot(x - centres[t, joint, 0], y - centres[t, joint, 1]) < 3] = joint + 1
    ground = 90 + 15 * (ord(name[0]) - ord("a"))
    pictures = np.concatenate([np.full((1, 3), ground, np.uint8), COLOURS])[labels]
    joints = (2 * centres / (SIZE - 1) - 1).astype(np.float32)
    to_first = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (frames, 4, 2, 3)).copy()
    to_first[:, 1:, :, 2] = joints[0] - joints
    truth = GroundTruth(joints, visible, labels, to_first) if has_truth else None
    return Clip(name, name.split("#")[0], pictures, 25.0, truth)


def make_data(
    root: Path, *, has_truth: bool = True, train: tuple[str, ...] = ("a#0", "a#1", "b#0", "b#1", "c#0")
) -> Layout:
    """Prepared clips and a resolved configuration."""
    layout = Layout("dots", root)
    entries = []
    for seed, name in enumerate((*train, *TESTS)):
        split = "test" if name in TESTS else "train"
        clip = dots(name, seed, frames=16 if split == "train" else FRAMES, has_truth=has_truth)
        path = write_clip(layout.clips / split, clip)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = Entry(name, clip.identity, split, len(clip.frames), SIZE, SIZE, 25.0, digest, has_truth)
        entries.append(entry)
    Manifest("dots", SIZE, tuple(entries)).write(layout.clips)
    configure(layout, EVALUATION)
    animate(layout, ["still"])
    layout.labels.write_text(yaml.safe_dump({"still": "Still", "exact": "Exact"}))
    layout.seeds.write_text(yaml.safe_dump({}))
    return layout


def animate(layout: Layout, runs: list[str], avd: list[str] | None = None) -> None:
    layout.animate.write_text(yaml.safe_dump({"runs": runs, "avd": avd or [], "pairs": 2, "seed": 0}))


def configure(layout: Layout, evaluation: dict) -> None:
    layout.config.parent.mkdir(parents=True, exist_ok=True)
    layout.config.write_text(yaml.safe_dump(evaluation))


def make_outputs(layout: Layout) -> None:
    """`still` repeats the first frame in both tasks, and truncation changes nothing of it. `exact` returns the real
    frames, of which truncation takes one off in every other frame, and an L1 of .5 is on record."""
    pairs = [("d#0", "e#0"), ("e#1", "d#1")]
    for run, keypoints in (("still", 10), ("exact", 20)):
        folder = layout.outputs(run) / "reconstruction"
        (folder / "motion").mkdir(parents=True, exist_ok=True)
        errors = []
        for name in TESTS:
            clip = read_clip(layout.test_clip(name))
            frames = clip.frames if run == "exact" else np.broadcast_to(clip.frames[:1], clip.frames.shape)
            write_clip(folder, Clip(name, clip.identity, np.ascontiguousarray(frames), clip.fps))
            up = np.zeros(frames.shape, bool)
            up[1::2] = run == "exact"
            layout.rounded_up(run, name).parent.mkdir(exist_ok=True)
            np.savez(layout.rounded_up(run, name), bits=np.packbits(up))
            axis = np.linspace(-1, 1, SIZE)
            still = np.stack(np.meshgrid(axis, axis), axis=-1).astype(np.float16)
            np.savez(layout.motion(run, name), grid=np.stack([still] * FRAMES))
            errors.append(pd.DataFrame({"clip": name, "frame": np.arange(FRAMES), "l1": np.float32(0.5)}))
        pd.concat(errors).to_parquet(folder / "l1.parquet")
        model = layout.model(run)
        model.mkdir(parents=True)
        about = {"run": run, "method": "tps", "keypoints": keypoints, "parameters": 1234, "size": SIZE}
        about |= {"steps": 3, "batch": 8, "seed": 0, "precision": "fp32", "perceptual": "pixels"}
        (model / "summary.json").write_text(json.dumps(about))
        (folder / "model.json").write_text(json.dumps(about | {"weights": WEIGHTS[run]}))
        (model / "metrics.csv").write_text("step,epoch,perceptual,total\n0,0,2,3\n1,0,1,2\n")
    for mode in ("standard", "relative"):
        folder = layout.outputs("still") / "animation" / mode
        for source, driving in pairs:
            first, moving = read_clip(layout.test_clip(source)), read_clip(layout.test_clip(driving))
            frames = np.ascontiguousarray(np.broadcast_to(first.frames[:1], moving.frames.shape))
            write_clip(folder, Clip(f"{source}--{driving}", first.identity, frames, 25.0))
        rows = [(f"{source}--{driving}", source, driving) for source, driving in pairs]
        pd.DataFrame(rows, columns=["pair", "source", "driving"]).to_csv(folder / "pairs.csv", index=False)


def output_clip(layout: Layout, run: str, name: str) -> Path:
    return layout.outputs(run) / "reconstruction" / file_name(name)


def score(layout: Layout, run: str, values: dict[str, float]) -> None:
    """Scores of L1 as the stage writes them: each clip has one value in all 4 frames, by both protocols."""
    table = [
        {"dataset": "dots", "run": run, "task": "reconstruction", "mode": "", "clip": clip, "identity": clip[0]}
        | {
            "frame": frame,
            "metric": "l1",
            "protocol": protocol,
            "version": metrics.load("l1")[0].version,
            "value": value,
        }
        for protocol in ("strict", "legacy")
        for clip, value in values.items()
        for frame in range(4)
    ]
    layout.scores(run).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(table).to_parquet(layout.scores(run))
