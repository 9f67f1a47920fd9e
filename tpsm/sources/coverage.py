"""The certificate of a prepared data set: which clips should be there, which are, and what spoils a comparison."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.figure import Figure

from tpsm.config.params import read_yaml
from tpsm.core.files import atomic
from tpsm.core.layout import Layout
from tpsm.core.schema import build
from tpsm.data.clip import Entry
from tpsm.data.prepare import SPLITS
from tpsm.data.splits import Split, SplitConfig, frames_hashes
from tpsm.sources.fetch.ledger import Line, Outcome, read_ledger

ABSENT = "absent"  # nobody says why: no ledger, or the clip was fetched and is not in the raw folder
FILE = "coverage.json"
SHOWN = 10
_PUBLISHED = re.compile(r"(?:.*#)?([A-Za-z0-9_-]{11})(?:#[^#]*)?#\d{6}#\d{6}")  # person#VIDEO#part#start#end


@dataclass(frozen=True)
class Coverage:
    """`expected` is None where no split or ledger lists the clips. Clips are named `split/clip`.

    `missing` has the clips by reason, an outcome of `tpsm fetch` or "absent"; `repeated_rows` are rows of the published
    list that have an earlier row's name. `duplicates` are groups of clips with the same frames; `videos_known` is the
    number of clips whose source video is known. `sha256` is of the prepared files, `frames_sha256` of names and pixels,
    which are another machine's too. `content` has the hash of each test clip's frames, as a comparison wants it.
    """

    dataset: str
    size: int
    split: str | None
    split_sha256: str | None
    listed_by: str | None
    expected: dict[str, int] | None
    present: dict[str, int]
    missing: dict[str, list[str]]
    unlisted: list[str]
    repeated_rows: int
    other_content: list[str]
    duplicates: list[list[str]]
    identities_in_both: list[str]
    videos_in_both: list[str]
    videos_known: int
    sha256: str
    frames_sha256: str
    content: dict[str, str]


def write_coverage(layout: Layout) -> Path:
    """`coverage.json`, `coverage.md` and `coverage.png` under `reports/<data set>`; returns the page.

    Raises:
        UserError: the set is not prepared, or its ledger or split is unreadable.
    """
    section = read_yaml(layout.config.with_name("split.yaml"))
    split = build(SplitConfig, section, f"data.{layout.dataset}.split").read(layout.dataset, layout.root)
    ledger = read_ledger(layout.root / "data" / "raw" / layout.dataset / "ledger.csv")
    manifest = layout.manifest()
    hashes = frames_hashes([layout.clips / entry.file for entry in manifest.entries])
    frames = dict(zip(manifest.entries, hashes, strict=True))
    found = survey(layout.dataset, manifest.size, manifest.sha256, frames, ledger, split)
    page = layout.coverage.with_suffix(".md")
    for path, text in ((layout.coverage, json.dumps(asdict(found), indent=1) + "\n"), (page, coverage_page(found))):
        with atomic(path) as draft:
            draft.write_text(text, encoding="utf-8")
    with atomic(layout.coverage.with_suffix(".png")) as draft:
        picture(found).savefig(draft, dpi=100, metadata={"Software": None})
    return page


def survey(
    dataset: str,
    size: int,
    sha256: str,
    frames: Mapping[Entry, str],
    ledger: Sequence[Line],
    split: Split | None,
) -> Coverage:
    """What stands in the certificate. `frames` has the hash of every prepared clip's frames."""
    listed = _listed(ledger, split)
    there = {part: {entry.name for entry in frames if entry.split == part} for part in SPLITS}
    there[""] = there["train"] | there["test"]  # an archive's clips may lie in no split
    reasons = {line.key.clip: line.outcome for line in ledger if line.key.copy == 1}
    reasons |= {f"{line.key.split}/{line.key.clip}": line.outcome for line in ledger if line.key.copy == 1}
    missing: dict[str, list[str]] = {}
    for part, name in listed or ():
        if name not in there[part]:
            outcome = reasons.get(f"{part}/{name}", reasons.get(name, Outcome.ok))
            missing.setdefault(ABSENT if outcome is Outcome.ok else outcome.value, []).append(f"{part}/{name}")
    known = {line.key.clip: line.video for line in ledger if line.video}
    videos = {entry: video for entry in frames if (video := known.get(entry.name) or published_video(entry.name))}
    pinned = {} if split is None else {row.clip: row.sha256 for row in split.rows if row.sha256}
    strangers = [e for e in frames if listed is not None and not {(e.split, e.name), ("", e.name)} & listed.keys()]
    return Coverage(
        dataset=dataset,
        size=size,
        split=None if split is None else split.name,
        split_sha256=None if split is None else split.sha256,
        listed_by=None if listed is None else ("ledger" if split is None else "split"),
        expected=None if listed is None else dict(Counter(part for part, _ in listed)),
        present={part: len(there[part]) for part in SPLITS},
        missing=missing,
        unlisted=[_place(entry) for entry in strangers],
        repeated_rows=sum(line.key.copy > 1 for line in ledger),
        other_content=[_place(entry) for entry, sha in frames.items() if pinned.get(entry.name, sha) != sha],
        duplicates=_groups(frames),
        identities_in_both=_in_both({entry: entry.identity for entry in frames}),
        videos_in_both=_in_both(videos),
        videos_known=len(videos),
        sha256=sha256,
        frames_sha256=_hash(f"{_place(entry)} {sha}" for entry, sha in frames.items()),
        content={entry.name: sha for entry, sha in frames.items() if entry.split == "test"},
    )


def published_video(name: str) -> str | None:
    """The YouTube video in a name as the papers' loaders give it."""
    match = _PUBLISHED.fullmatch(name)
    return match[1] if match else None


def _listed(ledger: Sequence[Line], split: Split | None) -> dict[tuple[str, str], None] | None:
    """Split and name of every clip that should be there, in order; None where nothing lists them."""
    if split is not None:
        return {(row.split, row.clip): None for row in split.rows}
    return {(line.key.split, line.key.clip): None for line in ledger if line.key.copy == 1} if ledger else None


def _place(entry: Entry) -> str:
    return f"{entry.split}/{entry.name}"


def _groups(frames: Mapping[Entry, str]) -> list[list[str]]:
    """Clips with the same frames, two or more together."""
    alike: dict[str, list[str]] = {}
    for entry, sha in frames.items():
        alike.setdefault(sha, []).append(_place(entry))
    return [group for group in alike.values() if len(group) > 1]


def _in_both(of: Mapping[Entry, str]) -> list[str]:
    """What both train and test have: what is learnt of it leaks into the scores."""
    train, test = ({value for entry, value in of.items() if entry.split == split} for split in SPLITS)
    return sorted(train & test)


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


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


def picture(found: Coverage) -> Figure:
    """A bar a split: present, and missing by reason."""
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
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
