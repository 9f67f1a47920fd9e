"""What made scores and reports: `tpsm.core.provenance`, and what each was made from. A run's record travels with its scores,
so that tables can be drawn from them where there is no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tpsm.core.errors import UserError
from tpsm.core.files import atomic, sha256_of
from tpsm.core.layout import CONTROLS, Layout
from tpsm.core.provenance import record

if TYPE_CHECKING:
    from eval.tables.results import Results

KEY = b"tpsm"
"""Of the Parquet file's metadata: JSON with the run in numbers (`run`), and what made the scores (`provenance`)."""


def write_scores(path: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(about).encode()})
    with atomic(path) as draft:
        pq.write_table(table, draft)


def about_scores(path: Path) -> dict[str, Any]:
    """What `write_scores` was told; empty for scores that say nothing of themselves."""
    return dict(json.loads((pq.read_schema(path).metadata or {}).get(KEY, b"{}")))


def of_scores(layout: Layout, run: str, began: float) -> dict[str, Any]:
    """For `write_scores`. The networks are those that outputs name in their model.json."""
    made = {path.parent.name: _read(layout, path) for path in sorted(layout.outputs(run).glob("**/model.json"))}
    weights = {name: sha256 for about in made.values() for name, sha256 in about["weights"].items()}
    run_facts = {key: value for key, value in made.get("reconstruction", {}).items() if key != "weights"}
    sections = ("animate", "evaluators", "metrics", "protocols")
    about = record(
        began,
        parameters=_hashes(layout.config.with_name(f"{name}.yaml") for name in sections),
        data=layout.manifest(),
        evaluators=_hashes(sorted(layout.networks.glob("*.pt"))),
        weights=weights or None,
        precision="fp32",
        seed=run_facts.get("seed"),
    )
    return {"run": run_facts, "provenance": about}


def provenance(layout: Layout, results: Results, quality: Mapping[str, Any], began: float) -> dict[str, Any]:
    """The report's record; of every run, what training and scoring wrote down, as far as it is there; and the SHA-256
    of the report's numbers, which must have been written."""
    configs = layout.config.parent
    scores = {run: results.about(run).get("provenance") for run in results.scored}
    weights = {name: sha for made in scores.values() if made for name, sha in (made["weights"] or {}).items()}
    about = record(
        began,
        parameters={path.relative_to(configs).as_posix(): sha256_of(path) for path in sorted(configs.rglob("*.yaml"))},
        data=layout.manifest(),
        evaluators=_hashes(sorted(layout.networks.glob("*.pt"))),
        weights=weights or None,
        precision="fp64",
        seed=results.bootstrap.seed,
    )
    runs = dict.fromkeys((*results.config.tables.runs(), *results.scored))
    summaries = {run: results.summary(run) for run in runs if run not in CONTROLS}
    numbers = [layout.report / "metrics.json", *sorted((layout.report / "tables").glob("*.*"))]
    return about | {
        "runs": {
            run: {key: value for key, value in summary.items() if key not in ("run", "provenance")}
            | {"trained": summary.get("provenance")}
            for run, summary in summaries.items()
            if summary
        },
        "scores": scores,
        "quality": quality.get("provenance"),
        "scored": list(results.scored),
        "protocols": list(results.config.protocols),
        "metrics": {name: metric.version for name, metric in results.metrics.items()},
        "files": {path.relative_to(layout.report).as_posix(): sha256_of(path) for path in numbers},
    }


def section(about: Mapping[str, Any]) -> str:
    """The end of README.md: provenance.json in words, without what differs each time that a report is written."""
    trained = [run["trained"] for run in about["runs"].values() if run["trained"]]
    lines = [
        f"Code: {_commit(about['code'])}.",
        f"Training: {_work(trained)}.",
        f"Evaluators: {_work([about['quality']] if about['quality'] else [])}.",
        f"Scoring: {_work([made for made in about['scores'].values() if made])}.",
    ]
    return "\n## What made this\n\n" + "".join(f"- {line}\n" for line in lines)


def _work(records: list[Mapping[str, Any]]) -> str:
    """Such as `3 runs, 4.2 min on AMD EPYC (2 cores, 1 thread, AVX2); fp32; seed 0`."""
    if not records:
        return "not recorded"
    minutes = sum(made["seconds"] for made in records) / 60
    where = dict.fromkeys(_machine(made["hardware"]) for made in records)
    code = dict.fromkeys(_commit(made["code"]) for made in records)
    seeds = dict.fromkeys(str(made["seed"]) for made in records if isinstance(made["seed"], int))
    precision = dict.fromkeys(made["precision"] for made in records)
    parts = [f"{len(records)} in {minutes:.1f} min on {' and '.join(where)}", *code, ", ".join(precision)]
    if seeds:
        parts.append(f"seed {', '.join(seeds)}")
    if any(made["resumed"] for made in records):
        parts.append("some after an interruption, the time before which is not counted")
    return "; ".join(parts)


def _machine(hardware: Mapping[str, Any]) -> str:
    if hardware["gpu"]:
        return f"{hardware['gpus']} x {hardware['gpu']}"
    return f"{hardware['cpu']} ({hardware['cores']} cores, {hardware['threads']} threads, {hardware['instructions']})"


def _commit(code: Mapping[str, Any]) -> str:
    if code["commit"] is None:
        return "no checkout, so the commit is not known"
    return f"commit {code['commit'][:12]}" + (" and changes that it lacks" if code["changed"] else "")


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in paths if path.is_file()}


def _read(layout: Layout, path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(
            f"{layout.relative(path)} is not valid JSON ({error}); run reconstruct and animate again."
        ) from error
