"""All scores of a data set, and the estimates drawn from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from eval import metrics
from eval.config import EvalConfig, config_key, read_config
from eval.metrics import Metric
from eval.scoring.controls import CONTROLS
from eval.scoring.scores_file import about_scores, check_run, read_scores
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import Averaging, ClipSums, Estimate, difference, mean
from eval.stats.pairwise import Comparison, compare, compare_pairs
from eval.tables.published import PublishedRow, read_published
from eval.tables.rates import within_range
from eval.types import Protocol
from tpsm.core.animation import MODES
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.provenance import check_record
from tpsm.core.reading import read_json, read_labels, read_section
from tpsm.core.schema import typed
from tpsm.data.manifest import Manifest, read_manifest

log = logging.getLogger(__name__)
AVERAGING: dict[Protocol, Averaging] = {"strict": "clip", "legacy": "frame"}
"""Strict means take each clip once; the papers average frames."""
RELEASED = "{run}-released"
"""What params.yaml calls a run that takes the weights which the authors of `run` released."""
NEEDED = {
    "landmarks": "no landmarks evaluator",
    "identity": "no identity evaluator",
    "motion": "predicts no motion",
    "truth": "no ground truth",
}


@dataclass(frozen=True)
class Series:
    """What is estimated: one run on one task, in one animation mode ('' for reconstruction), by one protocol."""

    run: str
    task: str = "reconstruction"
    mode: str = ""
    protocol: Protocol = "strict"


def read_results(layout: Layout) -> Results:
    """What has been scored of a data set. Raises UserError where nothing has been scored, or an input is unreadable."""
    results = Results(layout, read_config(layout))
    if not results.scored:
        raise UserError(
            f"Nothing is scored for '{layout.dataset}'; run `python -m eval score --dataset {layout.dataset} --run "
            f"...` for the runs of {config_key(layout)}.tables first."
        )
    return results


class Results:
    """Scores of the runs that a report names, read as far as they exist."""

    def __init__(self, layout: Layout, config: EvalConfig) -> None:
        self.layout, self.config = layout, config
        section = f"{config_key(layout)}.published"
        self.published = None if config.published is None else read_published(config.published, section)
        self.metrics: dict[str, Metric] = {name: metrics.load(name)[0] for name in config.metrics}

        # Which runs: those of tables, their released weights and repeats, and the controls.
        tabled = config.tables.runs()
        beside = [RELEASED.format(run=run) for run in tabled] + [run for group in self.seeds.values() for run in group]
        beside = [run for run in beside if run in self.labels]
        self.runs = (*dict.fromkeys((*tabled, *beside)), *CONTROLS)

        # Their scores, as far as they exist, and each series of them.
        self._scores: dict[str, pd.DataFrame] = {}
        for run in self.runs:
            path = layout.scores(run)
            listed = run in CONTROLS or run in self.labels  # what an earlier set of runs left is not this one's
            if listed and path.is_file():
                self._scores[run] = self._current(path)
            else:
                log.warning("Run '%s' has no scores; its cells will say n/a.", run)
        self._series: dict[tuple[Series, str], pd.DataFrame] = {
            (Series(run, str(task), str(mode), protocol), str(metric)): rows
            for run, scores in self._scores.items()
            for protocol in config.protocols
            for (task, mode, metric), rows in scores[scores["protocol"] == protocol].groupby(
                ["task", "mode", "metric"], observed=True
            )
        }

        # What is computed once.
        self._estimates: dict[tuple[Series, str], Estimate | None] = {}
        self._comparisons: dict[tuple[tuple[Series, ...], str], dict[tuple[Series, Series], Comparison]] = {}

    def _current(self, path: Path) -> pd.DataFrame:
        """The rows of configured metrics.

        Raises:
            UserError: it is no file of scores, or a metric was scored by another formula than the code's.
        """
        again = f"run `python -m eval score --dataset {self.layout.dataset} --run {path.stem}` again."
        scores = read_scores(path, again)
        scores = scores[scores["metric"].isin(list(self.metrics))]
        for name, version in scores[["metric", "version"]].drop_duplicates().itertuples(index=False):
            if version != self.metrics[name].version:
                raise UserError(
                    f"{self.layout.relative(path)} has {name} by version {version} of its formula, and the code is at "
                    f"version {self.metrics[name].version}; {again}"
                )
        return scores

    @property
    def bootstrap(self) -> BootstrapConfig:
        return self.config.bootstrap

    @property
    def protocol(self) -> Protocol:
        """That of figures and videos: strict, unless only the other is configured."""
        return "strict" if "strict" in self.config.protocols else self.config.protocols[0]

    @property
    def scored(self) -> tuple[str, ...]:
        return tuple(run for run in self.runs if run in self._scores)

    @property
    def measured(self) -> list[Metric]:
        """The metrics of reconstruction; rates of detection have a table of their own."""
        return [metric for metric in self.metrics.values() if metric.reconstruction and not metric.detection]

    @property
    def animations(self) -> list[Series]:
        """The runs of the table of animation, each in every mode that it was scored in."""
        return [Series(run, "animation", mode) for run in self.config.tables.animation for mode in self.modes(run)]

    @property
    def animation_modes(self) -> list[str]:
        """The modes that any of these runs was scored in, once."""
        return list(dict.fromkeys(series.mode for series in self.animations))

    def printed(self, run: str) -> tuple[PublishedRow, ...]:
        """What the papers print for `run`."""
        return () if self.published is None else self.published.rows.get(self.config.published_as.get(run, run), ())

    def modes(self, run: str) -> tuple[str, ...]:
        """The animation modes that `run` was scored in, without the controls."""
        found = {s.mode for s, _ in self._series if s.run == run and s.task == "animation"}
        return tuple(mode for mode in MODES if mode in found)

    def estimate(self, series: Series, metric: str) -> Estimate | None:
        """None where there is nothing to estimate; `reason` says why."""
        key = (series, metric)
        if key not in self._estimates:
            rows = self._series.get(key)
            sums = None if rows is None else ClipSums.of(rows, self.bootstrap.unit, AVERAGING[series.protocol])
            found = None if sums is None else mean(sums, self.bootstrap)
            self._estimates[key] = None if found is None else within_range(found, self.metrics[metric])
        return self._estimates[key]

    def difference(self, mine: Series, other: Series, metric: str) -> Estimate | None:
        """`mine` less `other` on common clips and frames; None where either was not scored."""
        left, right = self._series.get((mine, metric)), self._series.get((other, metric))
        if left is None or right is None:
            return None
        return difference(left, right, self.bootstrap, AVERAGING[mine.protocol])

    def comparisons(self, family: Sequence[Series], metric: str) -> dict[tuple[Series, Series], Comparison]:
        """Each two of `family`, of one protocol, both ways, p corrected for all its pairs; none where not scored."""
        key = (tuple(family), metric)
        if key not in self._comparisons:
            scored = {series: self._series[series, metric] for series in family if (series, metric) in self._series}
            averaging = AVERAGING[family[0].protocol] if scored else "clip"
            self._comparisons[key] = compare(scored, self.bootstrap, averaging)
        return self._comparisons[key]

    def compared(self, pairs: Sequence[tuple[Series, Series]], metric: str) -> dict[tuple[Series, Series], Comparison]:
        """Each of `pairs`, of one protocol, the first less the second, p corrected for all; none where not scored."""
        rows = {one: self._series[one, metric] for pair in pairs for one in pair if (one, metric) in self._series}
        averaging = AVERAGING[pairs[0][0].protocol] if rows else "clip"
        return compare_pairs(pairs, rows, self.bootstrap, averaging)

    def frames(self, series: Series, metric: str) -> int:
        """Scored frames, whether they count or not."""
        rows = self._series.get((series, metric))
        return 0 if rows is None else len(rows)

    def values(self, series: Series, metric: str) -> pd.DataFrame:
        """Rows with `clip`, `frame` and `value` of the frames that count; none where it was not scored."""
        rows = self._series.get((series, metric), pd.DataFrame(columns=["clip", "frame", "value"]))
        return rows.loc[rows["value"].notna(), ["clip", "frame", "value"]]

    def by_clip(self, series: Series, metric: str) -> pd.Series:
        """Mean over a clip's frames that count, by clip."""
        return self.values(series, metric).groupby("clip", observed=True)["value"].mean()

    def reason(self, series: Series, metric: str) -> str:
        """Why there is no estimate."""
        if series.run not in self._scores:
            return "not run"
        if series.protocol not in self.metrics[metric].protocols:
            return "strict protocol only"
        for need in self.metrics[metric].needs:
            missing_role = need in ("landmarks", "identity") and self.config.evaluators[need] is None  # type: ignore[index]
            if missing_role or (need == "truth" and not self.has_truth):
                return NEEDED[need]
        if (series, metric) in self._series:
            return "no frame counts"
        if command := metrics.install_hint(self.metrics[metric]):
            return f"not installed; `{command}`, then score again"
        modes = self.metrics[metric].modes
        if series.task == "animation" and modes is not None and series.mode not in modes:
            return f"{' and '.join(modes)} mode only"
        if series.task == "animation" and not self.modes(series.run):
            return "not animated"
        predicts_none = "motion" in self.metrics[metric].needs
        return NEEDED["motion"] if predicts_none else "not scored; run score again"

    @cached_property
    def has_truth(self) -> bool:
        return any(entry.has_truth for entry in self.manifest.clips("test"))

    @cached_property
    def manifest(self) -> Manifest:
        return read_manifest(self.layout.clips)

    def about(self, run: str) -> dict[str, Any]:
        """What the scores of `run` say of themselves."""
        return about_scores(self.layout.scores(run)) if run in self._scores else {}

    def summary(self, run: str) -> dict[str, Any]:
        """What its scores say of the run, and what training wrote down where the model is; empty where neither is."""
        path = self.layout.model(run) / "summary.json"
        scored = dict(self.about(run).get("run", {}))
        if not path.is_file():
            return scored
        trained = read_json(path, "record of a training")
        try:
            if not isinstance(trained, dict):
                raise ValueError("it is no section of keys and values")
            check_run(trained)
        except ValueError as error:
            where = self.layout.relative(path)
            raise UserError(f"{where} is no record of a training ({error}); train the run again.") from error
        if (made := trained.get("provenance")) is not None:
            check_record(made, f"{self.layout.relative(path)}: provenance", "Train the run again")
        return scored | trained

    @cached_property
    def seeds(self) -> dict[str, dict[str, int]]:
        """Run -> the training seeds of it and of each that repeats it, by name; runs without repeats are left out."""
        where = str(self.layout.relative(self.layout.seeds))
        return typed(dict[str, dict[str, int]], read_section(self.layout, "seeds"), where)

    @property
    def animated(self) -> list[tuple[Series, str]]:
        """Every animation and metric that was scored."""
        return [(series, metric) for series, metric in self._series if series.task == "animation"]

    @cached_property
    def labels(self) -> dict[str, str]:
        """Run -> what tables and figures call it."""
        return read_labels(self.layout)

    def label(self, run: str) -> str:
        return CONTROLS.get(run) or self.labels.get(run, run)

    def method_title(self, method: str) -> str:
        """What a method is called: as the run that bears its name is."""
        return self.labels.get(method, method.upper())

    def as_dict(self) -> dict[str, dict[str, dict[str, dict[str, float | int | None]]]]:
        """Run -> protocol -> metric -> estimate, `animation/<mode>/<metric>` for animation; only what was scored."""
        found: dict[str, dict[str, dict[str, dict[str, float | int | None]]]] = {}
        for series, metric in self._series:
            estimate = self.estimate(series, metric)
            if estimate is not None:
                name = metric if series.task == "reconstruction" else f"animation/{series.mode}/{metric}"
                found.setdefault(series.run, {}).setdefault(series.protocol, {})[name] = _plain(estimate)
        return found


def _plain(estimate: Estimate) -> dict[str, float | int | None]:
    """JSON has no NaN: absent bounds are null."""

    def rounded(value: float) -> float | None:
        return None if value != value else round(value, 6) + 0.0

    return {
        "mean": rounded(estimate.mean),
        "low": rounded(estimate.low),
        "high": rounded(estimate.high),
        "clips": estimate.clips,
        "frames": estimate.frames,
    }
