"""The stage coverage: the certificate of a prepared data set, as a page, an image and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tpsm.core.files import atomic, write_json, write_text
from tpsm.core.layout import Layout
from tpsm.core.reading import read_section
from tpsm.core.schema import from_mapping
from tpsm.data.config import SPLITS
from tpsm.data.manifest import read_manifest
from tpsm.data.splits import SplitConfig, frames_hashes
from tpsm.sources.coverage import Coverage, survey
from tpsm.sources.fetch.ledger import read_ledger

FILE = "coverage.json"
SHOWN = 10


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
    """The certificate in words and a table."""
    parts = [f"# {found.dataset}: which clips these are", f"![coverage]({Path(FILE).with_suffix('.png')})"]
    by = {"split": f"the split `{found.split}`", "ledger": "the ledger of `tpsm fetch`"}.get(found.listed_by or "")
    parts.append(
        f"What should be there is listed by {by}."
        if by
        else "Nothing lists what should be there: no split is named, and no ledger is."
    )
    splits = [*SPLITS, *(["no split"] if (found.expected or {}).get("") else [])]
    rows = [("expected", found.expected)] if found.expected is not None else []
    rows += [("present", found.present)]
    rows += [
        (f"missing: {why}", dict(Counter(clip.partition("/")[0] for clip in clips)))
        for why, clips in found.missing.items()
    ]
    table = [f"| | {' | '.join(splits)} |", "|---|" + "--:|" * len(splits)]
    for title, counts in rows:
        cells = (counts.get("" if part == "no split" else part, 0) for part in splits)
        table.append(f"| {title} | {' | '.join(f'{count:,}' for count in cells)} |")
    parts.append("\n".join(table))
    across = [group for group in found.duplicates if len({clip.partition("/")[0] for clip in group}) > 1]
    facts = [
        ("clips with the same frames under several names", [" = ".join(group) for group in found.duplicates]),
        ("of these, in train and in test", [" = ".join(group) for group in across]),
        ("identities in train and in test", found.identities_in_both),
        (f"source videos in train and in test (known of {found.videos_known:,} clips)", found.videos_in_both),
        ("clips that nothing lists", found.unlisted),
        ("clips with other frames than the split records (another size, or decoder)", found.other_content),
    ]
    parts.append("\n".join(f"- {title}: {_some(names)}" for title, names in facts))
    if found.repeated_rows:
        parts[-1] += f"\n- rows of the published list that repeat an earlier row's name: {found.repeated_rows:,}"
    hashes = [f"Hash of the prepared files: `{found.sha256}`.", f"Of names and pixels alone: `{found.frames_sha256}`."]
    if found.split:
        hashes.append(f"Of the split: `{found.split_sha256}`.")
    parts += [
        "  \n".join(hashes),
        "All names, and the hash of each test clip's frames: [coverage.json](coverage.json).",
    ]
    return "\n\n".join(parts) + "\n"


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{len(names):,}" + (f" ({', '.join(names[:SHOWN])}{more})" if names else "")


def write_picture(found: Coverage, path: Path) -> None:
    """A bar a split: present, and missing by reason."""
    from matplotlib import rc_context  # Here: Matplotlib takes long to load.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.6), layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(SPLITS, 0)
    for title, counts in [
        ("present", found.present),
        *(
            (f"missing: {why}", Counter(clip.partition("/")[0] for clip in clips))
            for why, clips in found.missing.items()
        ),
    ]:
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
