"""Surveys a prepared data set: which clips should be there, which are, and what spoils a comparison."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tpsm.core.fingerprint import sha256_of_text
from tpsm.data.config import SPLITS
from tpsm.data.manifest import Entry
from tpsm.data.splits import Split
from tpsm.sources.fetch.ledger import Line, Outcome

ABSENT = "absent"  # nobody says why: no ledger, or the clip was fetched and is not in the raw folder
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


def survey(
    dataset: str,
    size: int,
    sha256: str,
    frames: Mapping[Entry, str],
    ledger: Sequence[Line],
    split: Split | None,
) -> Coverage:
    """Returns what the certificate says. `frames` has the hash of every prepared clip's frames."""
    # The clips that are there.
    listed = _listed(ledger, split)
    there: dict[str, set[str]] = {part: {entry.name for entry in frames if entry.split == part} for part in SPLITS}
    there[""] = there["train"] | there["test"]  # an archive's clips may lie in no split

    # The clips that are missing, by the outcome that the ledger knows.
    reasons = {line.key.clip: line.outcome for line in ledger if line.key.copy == 1}
    reasons |= {f"{line.key.split}/{line.key.clip}": line.outcome for line in ledger if line.key.copy == 1}
    missing: dict[str, list[str]] = {}
    for part, name in listed or ():
        if name not in there[part]:
            outcome = reasons.get(f"{part}/{name}", reasons.get(name, Outcome.ok))
            missing.setdefault(ABSENT if outcome is Outcome.ok else outcome.value, []).append(f"{part}/{name}")

    # What spoils a comparison: a video in both splits, other frames than those of the split, clips that none lists.
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
        frames_sha256=sha256_of_text("\n".join(sorted(f"{_place(entry)} {sha}" for entry, sha in frames.items()))),
        content={entry.name: sha for entry, sha in frames.items() if entry.split == "test"},
    )


def published_video(name: str) -> str | None:
    """Returns the YouTube video in a clip's name as the papers' loaders give it; None for other names."""
    match = _PUBLISHED.fullmatch(name)
    return match[1] if match else None


def _listed(ledger: Sequence[Line], split: Split | None) -> dict[tuple[str, str], None] | None:
    """Returns split and name of every clip that should be there, in order; None where nothing lists them."""
    if split is not None:
        return {(row.split, row.clip): None for row in split.rows}
    return {(line.key.split, line.key.clip): None for line in ledger if line.key.copy == 1} if ledger else None


def _place(entry: Entry) -> str:
    return f"{entry.split}/{entry.name}"


def _groups(frames: Mapping[Entry, str]) -> list[list[str]]:
    """Returns the groups of two or more clips with the same frames."""
    alike: dict[str, list[str]] = {}
    for entry, sha in frames.items():
        alike.setdefault(sha, []).append(_place(entry))
    return [group for group in alike.values() if len(group) > 1]


def _in_both(of: Mapping[Entry, str]) -> list[str]:
    """Returns what both train and test have: what is learnt of it leaks into the scores."""
    train, test = ({value for entry, value in of.items() if entry.split == split} for split in SPLITS)
    return sorted(train & test)
