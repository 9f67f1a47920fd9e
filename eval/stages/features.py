"""The stage features: what the evaluators find in the real test clips, once for all runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from eval.config import read_config
from eval.evaluators.features import (
    Evaluators,
    evaluators_key,
    features_file,
    features_key,
    load_evaluators,
    write_features,
)
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.data.arrays import opened_arrays
from tpsm.data.clip import ClipFile
from tpsm.data.manifest import Entry, read_manifest
from tpsm.jobs.map import Workers, map_clips


def compute_features(layout: Layout, workers: Workers = 1) -> None:
    """Writes `features/<data set>/<clip>.npz` for every test clip. Those of the same clip and evaluators are kept."""
    config = read_config(layout)
    entries = read_manifest(layout.clips).clips("test")
    task = FeaturesOfClip(layout, evaluators_key(layout, config))
    _evaluators.cache_clear()
    _evaluators(layout, task.evaluators)  # changed weights are refused, also where all features are kept
    map_clips(task, entries, workers, "features of real clips")
    kept = {features_file(layout, entry.name) for entry in entries}
    for path in layout.features.glob("*.npz"):
        if path not in kept:
            path.unlink()


@dataclass(frozen=True)
class FeaturesOfClip:
    """A test clip -> its file, unless it is there from the same clip and `evaluators`, which is their key."""

    layout: Layout
    evaluators: str

    def __call__(self, entry: Entry) -> None:
        path, key = features_file(self.layout, entry.name), features_key(self.evaluators, entry)
        if _stored_key(path) != key:
            with ClipFile(self.layout.clips / entry.file) as clip:
                write_features(path, _evaluators(self.layout, self.evaluators).of_clip(clip), key)


@lru_cache(maxsize=1)
def _evaluators(layout: Layout, key: str) -> Evaluators:
    """Once a process, as long as they have the same `key`."""
    return load_evaluators(layout, read_config(layout))


def _stored_key(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        with opened_arrays(path, "run features again") as arrays:
            return str(arrays["key"]) if "key" in arrays else None
    except UserError:  # damaged: they are made again
        return None
