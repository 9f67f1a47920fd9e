"""Downloads files from the web. What has come stays in the file, and the next try goes on from there."""

from __future__ import annotations

import http
import http.client
import http.cookiejar
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from tpsm.core.errors import UserError

CHUNK = 1 << 18
TIMEOUT = 60.0
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_PASSING = {408, 425, 429}  # what a server answers for the moment only, unlike the other 4xx

_NUMBER = r"[0-9]{1,18}"  # of bytes

Progress = Callable[[int, int], None]


class DownloadError(Exception):
    """Says why a file could not be downloaded; `status` is the server's answer, None where none of use came."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.status = detail, status


class Stopped(Exception):
    """Is raised when the command is ending; what was fetched so far is kept."""


@dataclass(frozen=True)
class Access:
    """How to ask a server for files.

    `cookies` is a file as browsers export it (Netscape's format), `rate` the most bytes per second of each download,
    `pause` the seconds to wait before each, `tries` how often to try, and `patience` the seconds to wait after the
    first failure, doubled after each. Whoever sets `stop` ends all downloads.
    """

    cookies: Path | None = None
    rate: float | None = None
    pause: float = 0.0
    tries: int = 4
    patience: float = 2.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.cookies is not None and not self.cookies.is_file():
            raise UserError(f"There is no cookies file {self.cookies}; export it from a browser, or leave it out.")

    def wait(self, seconds: float) -> None:
        """Waits so long. Raises Stopped where `stop` is set meanwhile."""
        if self.stop.wait(seconds):
            raise Stopped

    def proceed(self) -> None:
        """Raises Stopped where `stop` is set."""
        if self.stop.is_set():
            raise Stopped


def complete(url: str, part: Path, access: Access, progress: Progress | None = None) -> None:
    """Makes `part` the whole file at `url`: fetches what it lacks, or all where the server gives no pieces of it.

    `progress` is called with the bytes that are there, and how many there will be (0: the server does not say).

    Raises:
        DownloadError: the server has no such file, refuses it, or cannot be reached. `part` keeps what came.
        Stopped: `access.stop` was set.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    access.wait(access.pause)
    for attempt in range(access.tries):
        status = None
        try:
            return _continue(url, part, access, progress)
        except urllib.error.HTTPError as error:
            problem, status = f"HTTP {error.code} {str(error.reason)[:200]}", error.code
            if 400 <= status < 500 and status not in _PASSING:
                raise DownloadError(problem, status) from error
        except _NETWORK as error:
            problem = str(getattr(error, "reason", error))[:200] or type(error).__name__
        if attempt == access.tries - 1:
            raise DownloadError(f"{problem}, {access.tries} times", status)
        access.wait(access.patience * 2**attempt)


@contextmanager
def bar(name: str) -> Iterator[Progress]:
    """Shows a bar in the terminal, and gives the function that a download tells its progress."""
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None) as shown:

        def progress(have: int, total: int) -> None:
            shown.total = total or None
            shown.update(have - shown.n)

        yield progress


def _continue(url: str, part: Path, access: Access, progress: Progress | None) -> None:
    # Ask for what is lacking.
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "tpsm"} | ({"Range": f"bytes={have}-"} if have else {})
    opener = _opener(access.cookies)
    try:
        request = urllib.request.Request(url, headers=headers)
        answer = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return  # nothing is lacking
            part.unlink()  # the file there is another by now
            raise ConnectionError("the file has changed on the server") from error
        raise
    except (ValueError, http.client.InvalidURL) as error:  # that of the file, or the one that the server sends us on to
        raise DownloadError(f"the address makes no sense ({_brief(error)})") from error

    # The server sends that piece, or all of it.
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length")  # absent where the server sends in chunks; those end properly
        total = have + _bytes(length) if length else 0
        if goes_on:
            piece = re.fullmatch(
                rf"bytes ({_NUMBER})-{_NUMBER}/({_NUMBER}|\*)", answer.headers.get("Content-Range") or ""
            )
            if piece is None or int(piece[1]) != have:
                part.unlink(missing_ok=True)
                raise ConnectionError("the server sent another piece than was asked for")
            total = total if piece[2] == "*" else int(piece[2])

        # Bytes are written as they come, and not faster than allowed.
        began, here = time.monotonic(), 0
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read1(CHUNK):  # what has come, so that little is lost when the process dies
                file.write(chunk)
                file.flush()
                here += len(chunk)
                if progress:
                    progress(have + here, total)
                ahead = 0.0 if access.rate is None else here / access.rate - (time.monotonic() - began)
                access.wait(max(ahead, 0.0))
    if total and have + here < total:
        raise ConnectionError(f"the connection broke off after {have + here} of {total} bytes")


def _bytes(length: str) -> int:
    if not re.fullmatch(_NUMBER, length):
        raise DownloadError(f"the server says that the file has {length[:40]!r} bytes")
    return int(length)


def _brief(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def _opener(cookies: Path | None) -> urllib.request.OpenerDirector:
    if cookies is None:
        return urllib.request.build_opener()
    jar = http.cookiejar.MozillaCookieJar(cookies)
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (http.cookiejar.LoadError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"The cookies file {cookies} cannot be read ({error}); export it anew.") from error
    for cookie in jar:
        cookie.expires = cookie.expires or None  # browsers export 0 where a cookie lives as long as the session
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
