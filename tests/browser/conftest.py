"""One Chromium for all browser tests; for each test a fake service and a page that is watched."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.awkward import serve_with_titles
from tests.support.browser import Watched, chromium
from tests.support.fake_api import FakeServer, FakeService
from tests.support.trained_service import Service, Trained, service_of, train_once

AWKWARD_TITLES = {
    550: """Fight 'Club' <img src=x onerror="window.__xss=1"> & "more\"""",
    13: "Forrest 🏃‍♂️ Gump 🍫",
    27205: "بداية: رحلة في الحلم",
}
"""By the id of a film of the sample, a title that a careless page would break on."""
DESKTOP = {"width": 1100, "height": 760}
PHONE = {"width": 360, "height": 740}

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def shared_server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        running.cache = "max-age=3600"
        yield running


@pytest.fixture(scope="session")
def trained_sample() -> Trained:
    """A model of the built-in sample, made once."""
    return train_once("trained-sample", "--dataset", "sample")


@pytest.fixture(scope="package")
def sample_service(trained_sample: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service on it, with a few awkward titles."""
    with service_of(trained_sample, tmp_path_factory.mktemp("service") / "home") as service:
        serve_with_titles(service, AWKWARD_TITLES)
        yield service


@pytest.fixture
def server(shared_server: FakeServer) -> FakeServer:
    """The fake as nobody has touched it yet."""
    shared_server.start_afresh()
    return shared_server


@pytest.fixture
def service(server: FakeServer) -> FakeService:
    return server.service


@pytest.fixture
def allowed() -> list[str]:
    """A test adds what its page is expected to complain of."""
    return []


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What tests share that ask for nothing special: the cache, but no storage (see `open_page`)."""
    opened = browser.new_context(viewport=DESKTOP, locale="en-GB", reduced_motion="reduce")
    yield opened
    opened.close()


@pytest.fixture
def open_page(
    browser: Browser, context: BrowserContext, server: FakeServer, allowed: list[str]
) -> Iterator[OpenPage]:
    """Opens an address below the service; keywords make a context of its own (viewport, colour scheme, …)."""
    watched: list[Watched] = []
    own: list[BrowserContext] = []

    def open_(path: str = "", wait: bool = True, **options: Any) -> Page:
        place = context
        if options:
            place = browser.new_context(
                **({"viewport": DESKTOP, "locale": "en-GB", "reduced_motion": "reduce"} | options)
            )
            own.append(place)
        page = place.new_page()
        watched.append(Watched(page, urlsplit(server.url).netloc))
        page.goto(server.url + path)
        if wait:
            page.wait_for_selector("main > * h1:not(:empty)")
        return page

    yield open_
    for place in own:
        place.close()
    for page in context.pages:
        page.evaluate("localStorage.clear()")
        page.close()
    for each in watched:
        each.expected = tuple(allowed)
        each.check()
