"""The papers' evaluation program, written out from its description in lists and loops; nothing here comes from eval."""

from __future__ import annotations

from dataclasses import dataclass

from eval.types import ScoredClip

Joint = tuple[float, float]
MISSING = -1.0


@dataclass
class File:
    """What the papers' program reads of one file: a list a frame, joints in pixels with x = -1 where one is missing."""

    joints: list[list[Joint]]
    identity: list[list[float]]


def papers_akd(real: list[File], generated: list[File]) -> list[float]:
    scores = []
    for true, made in zip(real, generated, strict=True):
        for there, here in zip(true.joints, made.joints, strict=True):
            differences = []
            for (x, y), (u, v) in zip(there, here, strict=True):
                if x != MISSING and u != MISSING:
                    differences += [abs(x - u), abs(y - v)]
            if differences:
                scores.append(sum(differences) / len(differences))
    return scores


def papers_mkr(real: list[File], generated: list[File]) -> list[float]:
    scores = []
    for true, made in zip(real, generated, strict=True):
        for there, here in zip(true.joints, made.joints, strict=True):
            present = missed = 0
            for (x, _), (u, _) in zip(there, here, strict=True):
                if x != MISSING:
                    present += 1
                    missed += u == MISSING
            if present:
                scores.append(missed / present)
    return scores


def papers_aed(real: list[File], generated: list[File]) -> list[float]:
    return [
        sum((a - b) ** 2 for a, b in zip(there, here, strict=True))
        for true, made in zip(real, generated, strict=True)
        for there, here in zip(true.identity, made.identity, strict=True)
    ]


PAPERS = {"akd": papers_akd, "mkr": papers_mkr, "aed": papers_aed}


def as_file(seen: ScoredClip) -> File:
    """A clip's features as the program would have them."""
    height, width = seen.size
    assert seen.landmarks is not None and seen.embedding is not None
    frames = []
    for points, found in zip(seen.landmarks.xy.tolist(), seen.landmarks.found.tolist(), strict=True):
        frames.append(
            [
                ((x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)) if there else (MISSING, MISSING)
                for (x, y), there in zip(points, found, strict=True)
            ]
        )
    return File(frames, seen.embedding.tolist())
