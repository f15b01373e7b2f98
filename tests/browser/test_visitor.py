"""A visitor: favourites, the list that follows from them, storage in this browser, shared links."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.browser import titles_of
from tests.support.page_service import PageService

pytestmark = pytest.mark.browser

SO_FAR = "So far, for you"


def pick_by_typing(page: Page, typed: str, title: str) -> None:
    field = page.get_by_role("combobox", name="Type a title you love")
    field.fill(typed)
    expect(page.get_by_role("option", name=re.compile(rf"^{re.escape(title)} \d{{4}} "))).to_be_visible()
    field.press("Enter")


def test_favourites_are_typed_and_the_list_grows(open_page: OpenPage, service: PageService) -> None:
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which films do you love?")
    pick_by_typing(page, "spirited", "Spirited Away")
    expect(page.get_by_text("1 picked")).to_be_visible()
    expect(page.get_by_text("2 more for a first good list")).to_be_visible()
    shelf = page.get_by_role("list", name=SO_FAR)
    expect(shelf.get_by_role("article")).to_have_count(8)
    first = titles_of(page, SO_FAR)
    pick_by_typing(page, "totoro", "My Neighbor Totoro")
    pick_by_typing(page, "princess mono", "Princess Mononoke")
    expect(page.get_by_text("3 picked")).to_be_visible()
    expect(shelf.get_by_role("heading", name="Princess Mononoke")).to_have_count(0)
    assert titles_of(page, SO_FAR) != first
    page.get_by_role("link", name="See my list").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("For you")
    expect(page.get_by_text("From 3 films you told us about")).to_be_visible()
    history = service.bodies("/rank")[-1]["history"]
    assert [event["movie_id"] for event in history] == [129, 8392, 128]
    assert {event["event_type"] for event in history} == {"like"}
    assert service.bodies("/feedback") == [], "it stays in the browser"


def test_a_film_of_the_grid_is_picked_and_taken_back(open_page: OpenPage) -> None:
    page = open_page()
    pick = page.locator(".picks").get_by_role("button", pressed=False).first
    pick.wait_for()
    title = pick.locator(".row-title").inner_text()
    pick.click()
    remove = page.get_by_role("button", name=f"Remove {title}")
    expect(page.get_by_role("button", pressed=True)).to_have_count(1)
    remove.click()
    expect(page.get_by_role("button", pressed=True)).to_have_count(0)
    expect(remove).to_have_count(0)


def test_favourites_outlive_the_page_and_reach_a_second_tab(open_page: OpenPage) -> None:
    page = open_page()
    other = open_page()
    pick_by_typing(page, "heat", "Heat")
    expect(other.get_by_role("button", name="Remove Heat")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("For you")
    told = page.get_by_role("region", name="You told us")
    expect(told.get_by_role("button", name="Undo: Heat")).to_be_visible()


def test_a_visitor_dislikes_and_starts_over(open_page: OpenPage) -> None:
    page = open_page()
    pick_by_typing(page, "heat", "Heat")
    page.get_by_role("link", name="See my list").click()
    page.get_by_role("list", name="Recommendations").get_by_role("article").first.wait_for()
    before = titles_of(page)
    page.get_by_role("button", name=f"Dislike {before[0]}", exact=True).click()
    expect(page.locator("#announcer")).to_contain_text(f"Disliked {before[0]}.")
    assert titles_of(page) != before
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which films do you love?")
    expect(page.get_by_role("link", name="See my list")).to_be_hidden()


def test_a_shared_link_shows_the_favourites_and_keeps_ones_own(open_page: OpenPage) -> None:
    page = open_page()
    pick_by_typing(page, "heat", "Heat")
    expect(page.get_by_text("1 picked")).to_be_visible()
    guest = open_page("?picks=129,-680,999999999&view=foryou")
    told = guest.get_by_role("region", name="You told us")
    expect(told.get_by_role("button", name="Undo: Spirited Away")).to_be_visible()
    expect(told.get_by_role("button", name="Undo: Pulp Fiction")).to_be_visible()
    assert "picks" not in guest.url
    guest.get_by_role("button", name="Back to mine").click()
    expect(told.get_by_role("button", name="Undo: Heat")).to_be_visible()


@pytest.fixture(autouse=True)
def _unknown_films_are_refused(allowed: list[str]) -> None:
    allowed.append("404")


def test_a_link_to_the_list_can_be_copied(open_page: OpenPage) -> None:
    page = open_page("?picks=129,8392", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share this list").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    assert re.search(r"picks=129,8392", page.evaluate("navigator.clipboard.readText()"))
