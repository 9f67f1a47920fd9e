"""Vote files, checked against the key, and what they say once un-blinded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eval.study.key import QUESTIONS, Key
from tpsm.core.errors import UserError
from tpsm.core.reading import read_json
from tpsm.core.schema import NotNegative, Whole, from_mapping

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """`choice` is the token of the video preferred; `seconds` is how long the rater took."""

    item: str
    question: str
    choice: str
    seconds: NotNegative


@dataclass(frozen=True)
class VoteFile:
    """What the page saves: one session's answers in the order given, `asked` being the order of the questions."""

    study: str
    session: str
    sheet: Whole
    asked: tuple[str, ...]
    answers: tuple[Answer, ...]
    format: Literal[1]


@dataclass(frozen=True)
class Vote:
    """One rater's answer, un-blinded: which of the two runs it prefers on a clip."""

    session: str
    question: str
    item: str
    clip: str
    winner: str
    loser: str
    winner_left: bool


@dataclass(frozen=True)
class Ballot:
    """Votes of the raters that count. `slips`: by session, wrong answers to the checks, of those dropped too."""

    votes: tuple[Vote, ...]
    slips: dict[str, int]
    dropped: tuple[str, ...]
    allowed: int

    @property
    def raters(self) -> tuple[str, ...]:
        return tuple(session for session in self.slips if session not in self.dropped)


def read_votes(paths: Sequence[Path], key: Key, allowed: int) -> Ballot:
    """Every session once. A rater with more than `allowed` wrong answers to the attention checks is dropped.

    Raises:
        UserError: a file is no vote file, belongs to another study, is not complete, or contradicts another of the
            same session.
    """

    # Each session's file once; a copy of it may lie about.
    files: dict[str, tuple[Path, VoteFile]] = {}
    for path in paths:
        read = read_vote_file(path, key)
        first, known = files.setdefault(read.session, (path, read))
        if first is path:
            continue
        if known != read:
            raise UserError(f"{path} and {first} are of the same session and differ; keep the right one.")
        log.warning("%s is the same session as %s; it counts once.", path, first)

    # The votes of raters who pass the checks.
    votes: list[Vote] = []
    slips, dropped = {}, []
    for session, (path, file) in files.items():
        slips[session] = sum(
            answer.choice != right for answer in file.answers if (right := key.by_id[answer.item].right_answer)
        )
        if slips[session] > allowed:
            dropped.append(session)
            log.warning("%s does not count: %d answers to attention checks are wrong.", path, slips[session])
        else:
            votes += _unblind(file, key)
    return Ballot(tuple(votes), slips, tuple(dropped), allowed)


def read_vote_file(path: Path, key: Key) -> VoteFile:
    """One session, with every item of its sheet answered once for every question."""
    if not path.is_file():
        raise UserError(f"There is no vote file {path}.")
    content = read_json(path, "vote file")
    if isinstance(content, dict) and content.get("study", key.study) != key.study:
        raise UserError(f"{path} is not of this study: its votes need another key.")

    # A sheet of the study, each of its questions answered once, with a video that was shown.
    file = from_mapping(VoteFile, content, str(path))
    if not 0 <= file.sheet < len(key.sheets):
        raise UserError(f"{path} names sheet {file.sheet}, and the study has {len(key.sheets)}; it was altered.")
    due = {(shown.item, question) for shown in key.sheets[file.sheet] for question in QUESTIONS}
    given = [(answer.item, answer.question) for answer in file.answers]
    if sorted(given) != sorted(due):
        raise UserError(
            f"{path} does not answer each question of its sheet once ({len(due)} are due, {len(given)} are there); "
            "ask for the file that the page saves at its end."
        )
    for answer in file.answers:
        if answer.choice not in key.by_id[answer.item].videos:
            raise UserError(
                f"{path} prefers '{answer.choice}', which item '{answer.item}' does not show; it was altered."
            )
    return file


def _unblind(file: VoteFile, key: Key) -> list[Vote]:
    left = {shown.item: shown.left for shown in key.sheets[file.sheet]}
    votes = []
    for answer in file.answers:
        item = key.by_id[answer.item]
        if item.right_answer is None:
            loser = next(run for token, run in item.videos.items() if token != answer.choice)
            winner, on_left = item.videos[answer.choice], answer.choice == left[item.id]
            votes.append(Vote(file.session, answer.question, item.id, item.clip, winner, loser, on_left))
    return votes
