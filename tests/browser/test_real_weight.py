"""A first visit to the real service: layout shift, bytes on the wire, requests."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import DESKTOP, PHONE
from tests.support.browser import POSTER_HOST, Watched
from tests.support.trained_service import Service, ask

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST_BYTES = 140_000
"""Maximum weight of a first visit, in bytes. Files take 76,000, answers 33,000, the rest is headers."""
MEASURES = """() => new Promise((resolve) => {
  let shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => resolve({
    shift, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
  }), 100);
})"""


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("view", ["user", "start", "behind"])
def test_a_first_visit_is_light_and_steady(
    browser: Browser,
    sample_service: Service,
    window: dict[str, int],
    view: str,
    record_property: Any,
) -> None:
    users = ask(sample_service.url, "/users?limit=100")["results"]
    path = f"?user={users[-1]['user_id']}" if view == "user" else f"?view={view}"
    context = browser.new_context(viewport=window, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    watched = Watched(page, urlsplit(sample_service.url).netloc, expected=("Failed to load resource",))
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    addresses: dict[str, str] = {}
    received: dict[str, float] = {}
    session.on(
        "Network.requestWillBeSent",
        lambda event: addresses.update({event["requestId"]: event["request"]["url"]}),
    )
    session.on(
        "Network.loadingFinished",
        lambda event: received.update({event["requestId"]: event["encodedDataLength"]}),
    )
    page.goto(sample_service.url + path)
    page.wait_for_selector("main article, main .picks button[aria-pressed=false], .tiles.model dd")
    page.wait_for_timeout(800)  # As long as `networkidle` waits, which a page that polls may never reach.
    own = [key for key, url in addresses.items() if urlsplit(url).netloc != POSTER_HOST]
    n_bytes = sum(received.get(key, 0) for key in own)
    measured = page.evaluate(MEASURES)
    context.close()
    for name, value in {**measured, "bytes": n_bytes, "requests": len(own)}.items():
        record_property(name, value)
    print(f"{view}: {n_bytes:,.0f} bytes in {len(own)} requests, paint {measured['paint']:.0f} ms, "
          f"shift {measured['shift']:.4f}")  # fmt: skip
    watched.check()
    assert n_bytes <= MOST_BYTES
    assert len(own) <= 80
    assert measured["paint"] > 0, "something is painted"
    assert measured["shift"] < 0.02
