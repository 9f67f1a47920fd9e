"""What made a report: `tpsm.core.provenance`, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.scoring.controls import CONTROLS
from eval.tables.results import Results
from tpsm.core.files import sha256_of
from tpsm.core.fingerprint import hashes_by_name, sha256_of_text
from tpsm.core.provenance import record


def provenance(
    results: Results, numbers: Mapping[str, str], quality: Mapping[str, Any] | None, began: float
) -> dict[str, Any]:
    """The report's record; of every run, what training and scoring wrote down, as far as it is there; and the SHA-256
    of the report's `numbers`, by file. `quality` is the record of the evaluators' measurement."""
    layout = results.layout
    configs = layout.config.parent
    scores = {run: results.about(run).get("provenance") for run in results.scored}
    weights = {name: sha for made in scores.values() if made for name, sha in (made["weights"] or {}).items()}

    # What the report itself was made of.
    about = record(
        began,
        parameters={path.relative_to(configs).as_posix(): sha256_of(path) for path in sorted(configs.rglob("*.yaml"))},
        data=results.manifest.about(),
        evaluators=hashes_by_name(sorted(layout.networks.glob("*.pt"))),
        weights=weights or None,
        precision="fp64",
        seed=results.bootstrap.seed,
        outside=results.config.metrics,
    )

    # What training and scoring wrote down of each run.
    runs = dict.fromkeys((*results.config.tables.runs(), *results.scored))
    summaries = {run: results.summary(run) for run in runs if run not in CONTROLS}
    return about | {
        "runs": {
            run: {key: value for key, value in summary.items() if key not in ("run", "provenance")}
            | {"trained": summary.get("provenance")}
            for run, summary in summaries.items()
            if summary
        },
        "scores": scores,
        "quality": quality,
        "scored": list(results.scored),
        "protocols": list(results.config.protocols),
        "metrics": {name: metric.version for name, metric in results.metrics.items()},
        "files": {name: sha256_of_text(content) for name, content in numbers.items()},
    }


def in_words(about: Mapping[str, Any]) -> list[str]:
    """The record in sentences, without what differs each time that a report is written."""
    trained = [run["trained"] for run in about["runs"].values() if run["trained"]]
    return [
        f"Code: {_commit(about['code'])}.",
        f"Training: {_work(trained)}.",
        f"Evaluators: {_work([about['quality']] if about['quality'] else [])}.",
        f"Scoring: {_work([made for made in about['scores'].values() if made])}.",
        *from_outside(about),
    ]


def from_outside(about: Mapping[str, Any]) -> list[str]:
    """Names the modules from outside that had a part in anything, with their packages; nothing where there is none."""
    records = [about, about["quality"], *about["scores"].values(), *(run["trained"] for run in about["runs"].values())]
    found = {name: part for made in records if made for name, part in (made.get("outside") or {}).items()}
    named = [
        f"{name} of {part['package']} {part['version'] or '(no version)'}, source {part['sha256'][:12]}"
        for name, part in sorted(found.items())
    ]
    return [f"From outside this repository: {'; '.join(named)}."] if named else []


def _work(records: list[Mapping[str, Any]]) -> str:
    """Such as `3 in 4.2 min, each one's own added up, on AMD EPYC (2 cores, 1 thread, AVX2); fp32; seed 0`: works that
    shared a machine took less together, and no record says which did."""
    if not records:
        return "not recorded"
    minutes = sum(made["seconds"] for made in records) / 60
    where = dict.fromkeys(_machine(made["hardware"]) for made in records)
    code = dict.fromkeys(_commit(made["code"]) for made in records)
    seeds = dict.fromkeys(str(made["seed"]) for made in records if isinstance(made["seed"], int))
    precision = dict.fromkeys(made["precision"] for made in records)
    added = ", each one's own added up," if len(records) > 1 else ""
    parts = [f"{len(records)} in {minutes:.1f} min{added} on {' and '.join(where)}", *code, ", ".join(precision)]
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
