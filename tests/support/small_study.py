"""A study of three runs on the small pipeline, and raters who answer it as they are told to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from small_pipeline import animate, dots, make_data

from eval.__main__ import main
from eval.study.key import QUESTIONS, Item, Key, read_key
from tpsm.core.clips import Clip
from tpsm.core.layout import Layout
from tpsm.data.clip import read_clip, write_clip

RUNS = ("alpha-run", "beta-run", "gamma-run")
LABELS = {"alpha-run": "Alphamethod", "beta-run": "Betamethod", "gamma-run": "Gammamethod"}
PAIRS = (("d#0", "e#0"), ("e#1", "d#1"))
Choice = Callable[[Item, str], str]
"""Which run a rater prefers of an item's, for a question."""


def make_runs(root: Path) -> Layout:
    """Animations that differ by run: dots of other seeds."""
    layout = make_data(root)
    animate(layout, list(RUNS))
    layout.labels.write_text(yaml.safe_dump(LABELS))
    for number, run in enumerate(RUNS):
        folder = layout.outputs(run) / "animation" / "relative"
        rows = []
        for place, (source, driving) in enumerate(PAIRS):
            name = f"{source}--{driving}"
            moving = read_clip(layout.test_clip(driving))
            frames = dots(source, 100 + 10 * number + place, frames=len(moving.frames)).frames
            write_clip(folder, Clip(name, source.split("#")[0], np.ascontiguousarray(frames), moving.fps))
            rows.append((name, source, driving))
        pd.DataFrame(rows, columns=["pair", "source", "driving"]).to_csv(folder / "pairs.csv", index=False)
    return layout


def make(layout: Layout, *options: str) -> int:
    return main(["study", "make", "--dataset", "dots", "--root", str(layout.root), *options])


def read(layout: Layout, *votes: Path) -> int:
    key = layout.root / "study" / "dots" / "key.json"
    return main(["study", "read", *map(str, votes), "--key", str(key), "--root", str(layout.root)])


def key_of(layout: Layout) -> Key:
    return read_key(layout.root / "study" / "dots" / "key.json")


def vote_file(folder: Path, key: Key, session: str, sheet: int, prefers: Choice, *, attentive: bool = True) -> Path:
    """A session as the page saves it."""
    answers = []
    for shown in random.Random(session).sample(key.sheets[sheet], len(key.sheets[sheet])):
        item = key.by_id[shown.item]
        tokens = {run: token for token, run in item.videos.items()}
        for question in QUESTIONS:
            if item.right_answer is None:
                choice = tokens[prefers(item, question)]
            else:
                choice = tokens["real" if attentive else "broken"]
            answers.append({"item": item.id, "question": question, "choice": choice, "seconds": 1.5})
    about = {"format": 1, "study": key.study, "session": session, "sheet": sheet, "asked": list(QUESTIONS)}
    path = folder / f"votes-{session}.json"
    path.write_text(json.dumps(about | {"answers": answers}))
    return path
