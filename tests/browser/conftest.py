"""One Chromium and one service for the browser tests of a process; each test has its own application."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from tests.support.browser import Watched, chromium
from tests.support.page_service import PageService
from tests.support.trained_service import A_FEW_USERS, Service, Trained, service_of, train_once

DESKTOP: ViewportSize = {"width": 1100, "height": 760}
PHONE: ViewportSize = {"width": 360, "height": 740}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def trained_sample() -> Trained:
    """A model of a part of the built-in sample, made once."""
    return train_once("trained-part-of-sample", "--dataset", "sample", sample=A_FEW_USERS)


@pytest.fixture(scope="package")
def sample_service(trained_sample: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """`movierank serve` in a process of its own, for tests that kill or halt it."""
    with service_of(trained_sample, tmp_path_factory.mktemp("service") / "home") as service:
        service.start()
        yield service


@pytest.fixture(scope="package")
def page_service(trained_sample: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageService]:
    with PageService(trained_sample, tmp_path_factory.mktemp("page-service")) as running:
        yield running


@pytest.fixture
def service(page_service: PageService) -> PageService:
    """The service without events and without faults."""
    page_service.start_afresh()
    return page_service


@pytest.fixture
def allowed() -> list[str]:
    """A test adds the messages that it expects in the browser's console."""
    return []


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser context for all tests without special wishes: they share its cache, but not its storage."""
    opened = browser.new_context(viewport=DESKTOP, locale="en-GB", reduced_motion="reduce")
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def kept_page(context: BrowserContext) -> Page:
    """The first page of each test: a new one would start a process and compile the page's code again."""
    return context.new_page()


@pytest.fixture
def open_page(
    browser: Browser, context: BrowserContext, kept_page: Page, service: PageService, allowed: list[str]
) -> Iterator[OpenPage]:
    """Opens an address of the service, the first one in `kept_page`.

    `media` has values of `emulate_media`. With other keywords, the page has a context of its own, with an
    empty cache; so it has with `changed_films`, where films have other facts than in earlier tests.
    """
    watched: list[Watched] = []
    own: list[BrowserContext] = []

    def page_with(options: dict[str, Any]) -> Page:
        if options:
            own.append(browser.new_context(**options))
            return own[-1].new_page()
        is_kept_free = all(each.page is not kept_page for each in watched)
        return kept_page if is_kept_free else context.new_page()

    def open_(
        path: str = "",
        wait: bool = True,
        viewport: ViewportSize = DESKTOP,
        media: dict[str, Any] | None = None,
        changed_films: bool = False,
        **options: Any,
    ) -> Page:
        page = page_with(options | ({"locale": "en-GB"} if changed_films else {}))
        page.set_viewport_size(viewport)
        page.emulate_media(**({"color_scheme": "light", "reduced_motion": "reduce"} | (media or {})))
        watched.append(Watched(page, urlsplit(service.url).netloc))
        page.goto(service.url + path)
        if wait:
            page.wait_for_selector("main > * h1:not(:empty)")
        return page

    yield open_
    for each in own:
        each.close()
    for page in context.pages:
        if page is not kept_page:
            page.close()
    for each_page in watched:
        each_page.stop()
    _clear(kept_page, service.url)
    for each_page in watched:
        each_page.expected = tuple(allowed)
        each_page.check()


def _clear(page: Page, url: str) -> None:
    """Leaves nothing of a test in a page: neither storage, nor requests, routes or the place of the mouse."""
    page.unroute_all()
    page.goto(f"{url}icon.svg")  # Of the same origin, so that the page stays in its process.
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.mouse.move(0, 0)
