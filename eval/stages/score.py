"""The stage score: a run's clips and pairs, scored one by one wherever there is room, and brought together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd

from eval.config import config_key, read_config
from eval.evaluators.features import features_file, weights
from eval.scoring.controls import CONTROLS
from eval.scoring.scorer import Scorer, ScoringItem
from eval.scoring.scores_file import COLUMNS, ORDER, frame_rows, of_scores, write_scores
from eval.types import ROLES
from tpsm.core.errors import UserError
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import code_hash, outside_parts
from tpsm.core.layout import Layout, file_name
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import WORK, ResumeCache

ROWS = "rows.parquet"


def score_run(layout: Layout, run: str, workers: Workers = 1) -> Path:
    """Writes `scores/<data set>/<run>.parquet`, sorted. Rows that strict reconstruction has lack frame 0, which repeats
    the source; animation is not part of the legacy protocol.

    `run` may be a control, which needs no outputs. A control's animation is scored with every run that animates, on
    that run's pairs.

    Raises:
        UserError: outputs or features are missing or do not fit the data set, or no metric applies to it.
    """
    began = time.monotonic()
    task, items = score_job(layout, run)
    parts = [folder / ROWS for folder in map_clips(task, items, workers, f"{run}: score")]
    found = [pd.read_parquet(part) for part in parts if part.is_file()]
    if not found:
        raise UserError(f"None of {config_key(layout)}.metrics applies to the run '{run}'; name others in params.yaml.")
    rows = pd.concat(found, ignore_index=True)
    rows = rows.sort_values(ORDER, ignore_index=True)[COLUMNS]
    write_scores(layout.scores(run), rows, of_scores(layout, run, began))
    task.cache.remove()
    return layout.scores(run)


def score_job(layout: Layout, run: str) -> tuple[ScoreClip, list[ScoringItem]]:
    """What to do, and for which clips and pairs.

    Finished clips are named by all that decides their scores: code, configuration, metrics, evaluators, and the run's
    tables.
    """
    config = read_config(layout)
    scorer = Scorer(layout, config, run)
    names = [metric.name for metric, _ in scorer.metrics]  # without those whose weights are not here
    outputs = () if run in CONTROLS else sorted(layout.outputs(run).rglob("*"))
    read = [layout.config, layout.animate, *(weights(layout, role) for role in ROLES)]
    read += [path for path in outputs if path.suffix in (".parquet", ".csv")]
    hashes = [[layout.relative(path), sha256_of(path)] for path in read if path.is_file()]
    code = code_hash("tpsm", "eval"), outside_parts([*names, *config.evaluators.kinds])
    cache = ResumeCache.of("score", layout.dataset, run, hashes, names, *code, work=layout.root / WORK)
    return ScoreClip(layout, run, cache, tuple(path for path in outputs if path.is_dir())), scorer.items()


@dataclass(frozen=True)
class ScoreClip:
    """Scores a clip or pair into a folder that holds its rows; it is empty where no metric applies.

    `folders` are those that the run's outputs lie in.
    """

    layout: Layout
    run: str
    cache: ResumeCache
    folders: tuple[Path, ...]

    def __call__(self, item: ScoringItem) -> Path:
        files = [self.layout.test_clip(name) for name in self._real(item)]
        files += [features_file(self.layout, name) for name in self._real(item)]
        files += self._generated(item)
        hashes = [[self.layout.relative(path), sha256_of(path)] for path in files if path.is_file()]
        return self.cache.make(partial(self._write, item), [item.name, item.mode, item.controls], hashes)

    def _real(self, item: ScoringItem) -> tuple[str, ...]:
        return (item.source, item.driving) if item.mode else (item.name,)

    def _generated(self, item: ScoringItem) -> list[Path]:
        """All that the run may have made of it, named as the clip's file is."""
        top = self.layout.outputs(self.run) / (f"animation/{item.mode}" if item.mode else "reconstruction")
        clip = Path(file_name(item.name))
        folders = [folder for folder in self.folders if folder.is_relative_to(top)]
        return [folder / clip.with_suffix(suffix).name for folder in folders for suffix in (".zip", ".npz")]

    def _write(self, item: ScoringItem, folder: Path) -> None:
        scores = list(_scorer(self.layout, self.run, self.cache.common).scores(item))
        if scores:
            frame_rows(scores).to_parquet(folder / ROWS, index=False)


@lru_cache(maxsize=1)
def _scorer(layout: Layout, run: str, common: str) -> Scorer:
    """Once a process, as long as `common` stands for what it has read."""
    return Scorer(layout, read_config(layout), run)
