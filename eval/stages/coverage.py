"""The stage coverage: the certificate of a prepared data set, as a page, an image and JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from eval.templates import render
from tpsm.core.files import atomic, write_json, write_text
from tpsm.core.layout import Layout
from tpsm.core.reading import read_section
from tpsm.core.schema import from_mapping
from tpsm.data.config import SPLITS
from tpsm.data.manifest import read_manifest
from tpsm.data.splits import SplitConfig, frames_hashes
from tpsm.sources.coverage import Coverage, survey
from tpsm.sources.fetch.ledger import read_ledger


def write_coverage(layout: Layout) -> Path:
    """`coverage.json`, `coverage.md` and `coverage.png` under `reports/<data set>`; returns the page.

    Raises:
        UserError: the set is not prepared, or its ledger or split is unreadable.
    """
    section = read_section(layout, "split")
    split = from_mapping(SplitConfig, section, f"data.{layout.dataset}.split").read(layout.dataset, layout.root)
    ledger = read_ledger(layout.root / "data" / "raw" / layout.dataset / "ledger.csv")
    manifest = read_manifest(layout.clips)
    hashes = frames_hashes([layout.clips / entry.file for entry in manifest.entries])
    frames = dict(zip(manifest.entries, hashes, strict=True))
    found = survey(layout.dataset, manifest.size, manifest.sha256, frames, ledger, split)
    page = layout.coverage.with_suffix(".md")
    write_json(layout.coverage, asdict(found))
    write_text(page, coverage_page(found))
    write_picture(found, layout.coverage.with_suffix(".png"))
    return page


def coverage_page(found: Coverage) -> str:
    """The certificate in words and a table: `coverage.md`, a template."""
    parts = {part: part for part in SPLITS} | ({"": "no split"} if (found.expected or {}).get("") else {})
    rows = {"expected": found.expected} if found.expected is not None else {}
    rows |= {"present": found.present} | _missing(found)
    alike = [" = ".join(group) for group in found.duplicates]
    across = [" = ".join(group) for group in found.duplicates if len({_split(clip) for clip in group}) > 1]
    return render("eval.stages", "coverage.md", found=found, parts=parts, rows=rows, alike=alike, across=across)


def _missing(found: Coverage) -> dict[str, dict[str, int]]:
    """Reason -> how many clips of each split are missing for it."""
    return {f"missing: {why}": dict(Counter(map(_split, clips))) for why, clips in found.missing.items()}


def _split(clip: str) -> str:
    return clip.partition("/")[0]


def write_picture(found: Coverage, path: Path) -> None:
    """One bar per split: the clips that are present, and those that are missing by reason."""
    from matplotlib import rc_context  # Here: Matplotlib takes long to load.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.6), layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(SPLITS, 0)
    for title, counts in {"present": found.present, **_missing(found)}.items():
        widths = [counts.get(part, 0) for part in SPLITS]
        axes.barh(SPLITS, widths, left=[left[part] for part in SPLITS], label=title, height=0.6)
        left = {part: left[part] + width for part, width in zip(SPLITS, widths, strict=True)}
    axes.invert_yaxis()
    axes.set_xlabel("clips")
    axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"text.parse_math": False}):  # a reason is text: a `$` in it begins no formula
        figure.legend(loc="outside upper center", ncols=4, frameon=False)
    with atomic(path) as draft:
        figure.savefig(draft, dpi=100, metadata={"Software": None})
