"""What made a report: versions, and hashes of parameters, data and evaluators. No path, no host, no date."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eval.layout import Layout
from eval.results import Results
from tpsm.files import sha256_of

PACKAGES = ("torch", "torchvision", "torchreid", "numpy", "scipy", "pandas", "matplotlib", "pillow", "dvc")
KEPT = ("method", "keypoints", "parameters", "size", "steps", "batch", "perceptual", "released")


def provenance(layout: Layout, results: Results) -> dict[str, Any]:
    """Of the runs, what training wrote down, as far as it is there."""
    manifest = layout.manifest()
    summaries = {run: results.summary(run) for run in results.config.tables.runs()}
    configs = layout.config.parent
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "parameters": {
            path.relative_to(configs).as_posix(): sha256_of(path) for path in sorted(configs.rglob("*.yaml"))
        },
        "data": {
            "name": manifest.dataset,
            "size": manifest.size,
            "sha256": manifest.sha256,
            "clips": len(manifest.entries),
        },
        "evaluators": {path.name: sha256_of(path) for path in sorted(layout.evaluators.glob("*.pt"))},
        "runs": {run: {key: about[key] for key in KEPT if key in about} for run, about in summaries.items() if about},
        "scored": list(results.scored),
        "protocols": list(results.config.protocols),
        "metrics": {name: metric.version for name, metric in results.metrics.items()},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
