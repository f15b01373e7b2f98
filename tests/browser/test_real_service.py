"""The page on the real service with a real model, looked at and photographed."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Watched, overflow_of, titles_of

pytestmark = pytest.mark.browser

SHOTS = Path(os.environ.get("MOVIERANK_SCREENSHOTS", Path(__file__).parent / "screenshots"))
WINDOWS = {"desktop": {"width": 1366, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(params=[(window, theme) for window in WINDOWS for theme in ("light", "dark")], ids="-".join)
def watched(request: pytest.FixtureRequest, browser: Browser, real_service_url: str) -> Iterator[Watched]:
    window, theme = request.param
    context = browser.new_context(
        viewport=WINDOWS[window], color_scheme=theme, locale="en-GB", reduced_motion="reduce"
    )
    # Pictures may be out of reach where tests run; drawn posters stand in.
    yield Watched(
        context.new_page(), urlsplit(real_service_url).netloc, expected=("Failed to load resource",)
    )
    context.close()


def photograph(page: Page, name: str, request: pytest.FixtureRequest) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    label = request.node.callspec.id
    page.screenshot(path=SHOTS / f"{name}-{label}.png")
    assert overflow_of(page) == 0


def test_every_view_shows_and_says_what_it_should(
    watched: Watched, real_service_url: str, request: pytest.FixtureRequest
) -> None:
    page = watched.page
    page.goto(real_service_url + "?view=start")
    page.locator(".picks").get_by_role("button", pressed=False).first.wait_for()
    photograph(page, "start", request)
    page.get_by_role("button", name="Surprise me").first.click()
    page.get_by_role("article").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert len(titles_of(page)) == 24
    expect(page.locator(".match").first).to_contain_text("match")
    expect(page.get_by_role("contentinfo")).to_contain_text("Serving movie-ranker version")
    photograph(page, "for-you", request)
    for view in ("profile", "compare"):
        page.goto(page.url.replace("view=foryou", f"view={view}").replace("view=profile", f"view={view}"))
        page.get_by_role("link", name=titles_of_any(page)).first.wait_for()
        photograph(page, view, request)
    page.goto(real_service_url + "?view=behind")
    expect(page.get_by_role("heading", name="How good it is")).to_be_visible()
    page.wait_for_load_state("networkidle")
    photograph(page, "behind", request)
    watched.check()


def titles_of_any(page: Page) -> str:
    """The title of the first film that the view shows."""
    title = page.locator(".row-title").first
    title.wait_for()
    return title.inner_text()


def test_three_favourites_give_a_list_with_reasons_and_a_dislike_changes_it(
    watched: Watched, real_service_url: str, request: pytest.FixtureRequest
) -> None:
    page = watched.page
    page.goto(real_service_url + "?view=start")
    for place in range(3):
        pick = page.locator(".picks").get_by_role("button", pressed=False).nth(place)
        pick.wait_for()
        pick.click()
    page.get_by_role("link", name="See my list").click()
    page.get_by_role("list", name="Recommendations").get_by_role("article").first.wait_for()
    before = titles_of(page)
    assert page.locator(".first-reason:not(:empty)").count() >= len(before) // 2
    page.get_by_role("button", name=f"Dislike {before[1]}", exact=True).click()
    expect(page.locator("#announcer")).to_contain_text(f"Disliked {before[1]}.")
    assert titles_of(page) != before
    page.get_by_role("article").first.get_by_role("link").click()
    expect(page.get_by_role("dialog").get_by_role("rowheader", name="Sum")).to_be_visible()
    photograph(page, "film", request)
    watched.check()
