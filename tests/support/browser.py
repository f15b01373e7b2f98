"""The system's Chromium under Playwright, and a page that notices what it should not do."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.support.missing import skip_without
from tests.support.waiting import PATIENCE_MS

POSTER_HOST = "image.tmdb.org"
ARGUMENTS = (
    # Pictures fail at once. An interception in Playwright would do the same, but it turns the cache off.
    f"--host-resolver-rules=MAP {POSTER_HOST} ~NOTFOUND",
    "--no-proxy-server",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium_path() -> str:
    """Where Chromium is: CHROMIUM, else the first found on the path; skips the test if there is none."""
    given = os.environ.get("CHROMIUM")
    found = given or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        skip_without("Chromium", "install the package chromium, or set CHROMIUM to its executable")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium without background traffic."""
    path = chromium_path()
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page and everything a well-behaved page leaves empty."""

    page: Page
    own_host: str
    complaints: list[str] = field(default_factory=list)
    """Console errors, uncaught exceptions, violations of the policy."""
    strangers: list[str] = field(default_factory=list)
    """Requests to anybody but the service and TMDB's pictures."""
    expected: tuple[str, ...] = ()
    """Parts of complaints that this test causes on purpose."""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self._listeners: dict[Any, Callable[..., None]] = {
            "console": lambda message: self._complain(message.type, message.text),
            "pageerror": lambda error: self.complaints.append(str(error)),
            "request": self._request,
        }
        for event, listener in self._listeners.items():
            self.page.on(event, listener)

    def stop(self) -> None:
        """Notices nothing more."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _request(self, request: Request) -> None:
        host = urlsplit(request.url).netloc
        if request.url.startswith("data:") or host in (self.own_host, POSTER_HOST):
            return
        self.strangers.append(request.url)

    def check(self) -> None:
        """Fails on anything that was not expected."""
        unexpected = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert unexpected == []
        assert self.strangers == []


def overflow_of(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return max(0, int(wider))


def titles_of(page: Page, label: str = "Recommendations") -> list[str]:
    """The titles of a list of cards, in the order in which they stand."""
    return page.get_by_role("list", name=label).get_by_role("heading").all_inner_texts()


def match_of(text: str) -> int:
    """`92% match` as a number."""
    return int(text.split("%")[0])
