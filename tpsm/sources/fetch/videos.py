"""Makes the clips of a published list: every video is downloaded once, and every row gets an outcome."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tpsm.core.errors import UserError
from tpsm.core.schema import Count, checked
from tpsm.data.config import SPLITS
from tpsm.sources.fetch.clip_list import SETS, ClipSpec, in_both_splits
from tpsm.sources.fetch.cut import SUFFIX, clip_path, cut
from tpsm.sources.fetch.downloaders import Downloader, Failure
from tpsm.sources.fetch.ledger import Key, Ledger, Outcome, opened, refuse_strangers

log = logging.getLogger(__name__)


@checked
@dataclass(frozen=True)
class Settings:
    """How to fetch: `jobs` videos at a time, and rows whose outcome is in `retry` again.

    After `refusals` videos in succession that were refused the command ends: the server wants a rest, or cookies, and
    would refuse all the others too.
    """

    jobs: Count = 4
    retry: frozenset[Outcome] = frozenset()
    keep_videos: bool = False
    refusals: Count = 20


def fetch_videos(
    dataset: str, rows: Sequence[ClipSpec], folder: Path, cache: Path, downloader: Downloader, settings: Settings
) -> str:
    """Makes the clips of `rows` in `folder/{train,test}`, notes their outcomes in `folder/ledger.csv`, and returns a
    summary.

    Rows with an outcome are left as they are. Videos pass through `cache`, where interrupted downloads wait for the
    next time.

    Raises:
        UserError: clips of unknown origin are there, the disk is full, or the server refuses everything.
    """
    refuse_strangers(folder)
    with opened(folder / "ledger.csv") as ledger:
        keys = number(rows)
        work = _plan(keys, folder, ledger, settings)
        _clear(folder, cache, set() if settings.keep_videos else {row.video for row in rows} - set(work))
        todo = sum(map(len, work.values()))
        log.info(
            "fetch %s: %d of %d rows to do, in %d videos; clips -> %s, outcomes -> %s, videos pass through %s",
            *(dataset, todo, len(rows), len(work), folder / "{train,test}", ledger.path, cache),
        )
        try:
            with tqdm(total=todo, desc=f"fetch {dataset}", unit="row", disable=None) as bar:
                _run(work, _Job(folder, cache, SETS[dataset].size, ledger, downloader, settings, bar))
        except BaseException:
            log.info("%s\nNot all is done: the same command goes on from here.", ledger.summary(keys))
            raise
        return "\n".join([ledger.summary(keys), *_leaks(rows), f"-> {ledger.path}"])


def number(rows: Sequence[ClipSpec]) -> dict[Key, ClipSpec]:
    """Returns a key for every row; rows that would be one file get different keys by their order."""
    keys: dict[Key, ClipSpec] = {}
    copies: dict[tuple[str, str], int] = {}
    for row in rows:
        copies[row.split, row.name] = copy = copies.get((row.split, row.name), 0) + 1
        keys[Key(row.split, row.name, copy)] = row
    return keys


def _plan(
    keys: dict[Key, ClipSpec], folder: Path, ledger: Ledger, settings: Settings
) -> dict[str, list[tuple[Key, ClipSpec]]]:
    """Returns the rows to do, by video. Rows that need no video get their outcome here."""
    work: dict[str, list[tuple[Key, ClipSpec]]] = {}
    for key, row in keys.items():
        there = key.copy == 1 and clip_path(folder, row).is_file()
        if key.copy > 1:
            if key not in ledger:
                ledger.record(key, row.video, Outcome.duplicate)
        elif there and (key not in ledger or ledger[key] is not Outcome.ok):  # killed between the clip and its record
            ledger.record(key, row.video, Outcome.ok)
        elif not there and (key not in ledger or ledger[key] in {Outcome.ok, *settings.retry}):  # ok, but taken away
            work.setdefault(row.video, []).append((key, row))
    return work


def _clear(folder: Path, cache: Path, done: set[str]) -> None:
    """Removes what a killed process left: half-written clips, and videos whose rows are all done."""
    for split in SPLITS:
        for draft in (folder / split).glob(f".*{SUFFIX}"):
            draft.unlink()
    for path in cache.glob("*.mp4*"):
        if path.name.split(".")[0] in done:
            path.unlink()


@dataclass(frozen=True)
class _Job:
    """Handles one video: downloads it if it is not there, cuts it, records the outcomes and deletes it."""

    folder: Path
    cache: Path
    size: int
    ledger: Ledger
    downloader: Downloader
    settings: Settings
    bar: tqdm

    def __call__(self, video: str, rows: list[tuple[Key, ClipSpec]]) -> set[Outcome]:
        """Makes the clips of `rows`, and returns their different outcomes."""
        path = self.cache / f"{video}.mp4"
        keys = {row: key for key, row in rows}
        self.downloader.access.proceed()
        try:
            if not path.is_file():
                self.downloader.download(video, path)
        except Failure as failure:
            for row in keys:
                self._record(keys[row], row, failure.outcome, failure.detail)
            return {failure.outcome}
        outcomes = set()
        for row, outcome, detail in cut(path, list(keys), self.folder, self.size, self.downloader.access.proceed):
            self._record(keys[row], row, outcome, detail)
            outcomes.add(outcome)
        if not self.settings.keep_videos or Outcome.undecodable in outcomes:
            path.unlink()
        return outcomes

    def _record(self, key: Key, row: ClipSpec, outcome: Outcome, detail: str) -> None:
        self.ledger.record(key, row.video, outcome, detail)
        self.bar.update()


def _run(work: dict[str, list[tuple[Key, ClipSpec]]], job: _Job) -> None:
    refused = 0
    with ThreadPoolExecutor(job.settings.jobs) as pool:
        videos = [pool.submit(job, video, rows) for video, rows in work.items()]
        try:
            for done in as_completed(videos):
                refused = refused + 1 if done.result() == {Outcome.refused} else 0
                if refused == job.settings.refusals:
                    raise UserError(
                        f"The last {refused} videos were refused, so the others are left for later: wait, go slower "
                        "(--pause, --rate), give --cookies or another --videos; `--retry refused` tries them again. "
                        f"Why each was stands in {job.ledger.path}."
                    )
        except BaseException as error:
            job.downloader.access.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, OSError):  # of the disk: the network's are outcomes
                raise UserError(f"A clip or video cannot be written or read ({error}).") from error
            raise


def _leaks(rows: Sequence[ClipSpec]) -> list[str]:
    return [
        f"{kind} in both train and test: {len(names)} ({', '.join(names[:5])}{' ...' if names[5:] else ''})"
        for kind, names in in_both_splits(rows).items()
        if names
    ]
