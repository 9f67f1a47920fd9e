"""Downloads videos and other files from the web, each whole or with a reason why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

from tpsm.core.errors import UserError
from tpsm.downloads.http import TIMEOUT, Access, DownloadError, Progress, Stopped, complete
from tpsm.sources.fetch.ledger import Outcome

_BY_STATUS = {404: Outcome.gone, 410: Outcome.gone, 401: Outcome.private, 403: Outcome.private}


class Failure(Exception):
    """Says why a file could not be downloaded: an outcome for the ledger, and its details."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome, self.detail = outcome, detail


@runtime_checkable
class Downloader(Protocol):
    """Downloads videos by their ids."""

    @property
    def access(self) -> Access: ...

    def download(self, video: str, target: Path) -> None:
        """Downloads the video of that id as the file `target`, which appears whole.

        Raises:
            Failure: it cannot be downloaded.
            Stopped: `access.stop` was set meanwhile.
        """


@dataclass(frozen=True)
class HttpDownloader:
    """Downloads videos from an address with `{video_id}` in it: a mirror, or a server of one's own."""

    template: str
    access: Access = field(default_factory=Access)

    def __post_init__(self) -> None:
        if "{video_id}" not in self.template or not is_url(self.template):
            raise UserError(f"--videos is {self.template}; it must be an address with {{video_id}} in it.")

    def download(self, video: str, target: Path) -> None:
        download(self.template.replace("{video_id}", quote(video)), target, self.access)


def is_url(text: str) -> bool:
    """Whether `text` is an address of the web."""
    return re.match(r"https?://", text) is not None


def download(url: str, target: Path, access: Access, progress: Progress | None = None) -> None:
    """Downloads the file at `url` as `target`. One that breaks off is continued, now or at the next call.

    `progress` is called with the bytes that are there, and how many there will be (0: the server does not say).

    Raises:
        Failure: the server has no such file, refuses it, or cannot be reached.
        Stopped: `access.stop` was set.
    """
    part = target.with_name(target.name + ".part")
    try:
        complete(url, part, access, progress)
    except DownloadError as error:
        raise Failure(_BY_STATUS.get(error.status or 0, Outcome.refused), error.detail) from error
    part.rename(target)


@dataclass(frozen=True)
class YtDlp:
    """Downloads videos of YouTube with yt-dlp: the image alone, up to 1080 lines, from which clips are cut."""

    access: Access = field(default_factory=Access)
    page: str = "https://www.youtube.com/watch?v={video_id}"

    def __post_init__(self) -> None:
        _yt_dlp()

    def download(self, video: str, target: Path) -> None:
        module, access = _yt_dlp(), self.access
        target.parent.mkdir(parents=True, exist_ok=True)
        access.wait(access.pause)

        def check(_: dict[str, Any]) -> None:
            if access.stop.is_set():
                raise module.utils.DownloadCancelled("the command is ending")

        options = {
            "format": "bv*[ext=mp4]/b[ext=mp4]/bv*/b",
            "format_sort": ["res:1080", "vcodec:h264"],
            "outtmpl": {"default": str(target).replace("%", "%%")},
            "noplaylist": True,
            "retries": access.tries - 1,
            "extractor_retries": access.tries - 1,
            "fragment_retries": access.tries - 1,
            "skip_unavailable_fragments": False,  # a video with holes would give clips that jump
            "socket_timeout": TIMEOUT,
            "ratelimit": access.rate,
            "cookiefile": None if access.cookies is None else str(access.cookies),
            "progress_hooks": [check],
            "quiet": True,
            "noprogress": True,
            "logger": _Silent(),
        }
        try:
            with module.YoutubeDL(options) as client:
                client.download([self.page.replace("{video_id}", quote(video))])
        except module.utils.DownloadCancelled as error:
            raise Stopped from error
        except module.utils.YoutubeDLError as error:
            access.proceed()
            raise yt_dlp_failure(str(error)) from error
        if not target.is_file():
            raise Failure(Outcome.refused, "yt-dlp ended without an error and without a file")


class _Silent:
    """Prints nothing: what yt-dlp would print is in its exceptions."""

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


def _yt_dlp() -> Any:
    try:
        import yt_dlp
    except ImportError as error:
        raise UserError("Videos come by yt-dlp, which is not installed: pip install 'tpsm[fetch]'.") from error
    return yt_dlp


# The first that matches decides: yt-dlp also calls "unavailable" what is private, or kept from a country.
_SAID = (
    (Outcome.private, ("private", "members-only", "members only", "available to this channel's members", "join this")),
    (
        Outcome.refused,
        (
            *("not a bot", "confirm your age", "age-restricted", "inappropriate for some users", "sign in", "log in"),
            *("your country", "your location", "geo-restrict", "geo restrict"),
            *("http error 403", "http error 429", "too many requests"),
            *("rate-limited", "rate limit", "try again later", "timed out", "connection", "requested format"),
        ),
    ),
    (
        Outcome.gone,
        (
            *("video unavailable", "not available", "isn't available", "no longer available", "has been removed"),
            *("removed by the uploader", "terminated", "does not exist", "been deleted", "closed their"),
            *("http error 404", "http error 410", "violating", "copyright"),
        ),
    ),
)
_DISK = ("unable to open for writing", "unable to write data", "no space left", "permission denied", "read-only file")


def yt_dlp_failure(message: str) -> Failure:
    """Returns the reason behind a message of yt-dlp.

    An unknown message counts as refused, which is tried again on demand, whereas `gone` is final.

    Raises:
        UserError: the trouble is this machine's disk.
    """
    said = re.sub(r"\x1b\[[0-9;]*m", "", message).replace("\u2019", "'")
    detail = said.removeprefix("ERROR:").strip().split("; please report this issue")[0]
    sentence = re.sub(r"^\[[^\]]*\] \S+: ", "", detail).lower()  # without the video's id, whose letters are chance
    if any(words in sentence for words in _DISK):
        raise UserError(f"A video could not be written ({detail}); make room, and type the same command again.")
    for outcome, phrases in _SAID:
        if any(phrase in sentence for phrase in phrases):
            return Failure(outcome, detail)
    return Failure(Outcome.refused, detail)
