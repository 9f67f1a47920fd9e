"""Pages in a real browser: headless Chromium through Playwright, without a network, and nothing going wrong unseen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
LOCAL = ("file:", "data:", "blob:")


@dataclass
class Visit:
    """`page` is Playwright's. `complaints`: errors and warnings of the console, and exceptions that nobody caught.
    `requests`: addresses asked for that are not on this machine's disk."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def visit(file: Path, *, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Visit]:
    """Opens `file` in a new browser with a new profile; `context` goes to Playwright's `new_context`.

    At the end nothing may have been complained of or asked for. Skips where there is no Chromium or Playwright.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        try:
            page = browser.new_context(
                viewport={"width": width, "height": height}, offline=True, accept_downloads=True, **context
            ).new_page()
            page.set_default_timeout(180_000)  # a busy machine takes its time
            seen = Visit(page)
            page.on("console", lambda message: _heard(seen, message.type, message.text))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.on("request", lambda request: _asked(seen, request.url))
            page.goto(file.resolve().as_uri())
            yield seen
        finally:
            browser.close()
    assert not seen.complaints
    assert not seen.requests


def _heard(seen: Visit, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        seen.complaints.append(text)


def _asked(seen: Visit, address: str) -> None:
    if not address.startswith(LOCAL):
        seen.requests.append(address)
