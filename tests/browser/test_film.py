"""One film: its facts, why it is in the list or why not, and the ways in and out of it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.fake_api import FakeService

pytestmark = pytest.mark.browser


def bars_of(page: Page) -> dict[str, float]:
    """The figures of "Why this?", by name."""
    rows = page.get_by_role("dialog").get_by_role("row").all()
    return {
        row.get_by_role("rowheader").inner_text(): float(row.locator(".value").inner_text().replace("−", "-"))
        for row in rows
    }


def test_a_card_opens_the_film_and_escape_goes_back_to_it(open_page: OpenPage) -> None:
    page = open_page("?user=42")
    link = page.get_by_role("article").nth(2).get_by_role("link")
    link.wait_for()
    title = link.inner_text()
    link.click()
    film = page.get_by_role("dialog", name=title)
    expect(film.get_by_role("heading", level=2, name=title, exact=True)).to_be_focused()
    expect(film.get_by_text(re.compile("^Directed by "))).to_be_visible()
    expect(film.get_by_role("link", name="On TMDB")).to_have_attribute(
        "href", re.compile(r"^https://www\.themoviedb\.org/movie/\d+$")
    )
    page.keyboard.press("Escape")
    expect(film).to_be_hidden()
    expect(page).not_to_have_url(re.compile("movie="))
    expect(link).to_be_focused()


def test_contributions_add_up(open_page: OpenPage, service: FakeService) -> None:
    best = service.rank({"user_id": 42, "k": 1, "explain": True})["results"][0]
    page = open_page(f"?user=42&movie={best['movie_id']}")
    film = page.get_by_role("dialog")
    expect(film.get_by_role("heading", name="Why this?")).to_be_visible()
    expect(film.get_by_text("Number 1 in the list")).to_be_visible()
    bars = bars_of(page)
    total = bars.pop("Sum")
    assert total == pytest.approx(sum(bars.values()), abs=0.02)
    assert total == pytest.approx(best["raw_score"], abs=0.01)
    assert bars["Where every film starts"] == pytest.approx(-0.2)


def test_why_not_is_answered(open_page: OpenPage, service: FakeService) -> None:
    ranked = service.rank({"user_id": 42, "k": 500})["results"]
    beyond = ranked[40]["movie_id"]
    page = open_page(f"?user=42&movie={beyond}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Why not?")).to_be_visible()
    expect(dialog.get_by_text("It is number 41 of all films for User 42")).to_be_visible()
    seen = service.past(42)[0]["movie_id"]
    page = open_page(f"?user=42&movie={seen}")
    expect(page.get_by_text("It is already in the history")).to_be_visible()
    page = open_page(f"?user=42&to=1930&movie={ranked[0]['movie_id']}")
    expect(page.get_by_text("Your settings leave it out. Without them it is number 1")).to_be_visible()


def test_similar_films_lead_on_and_close_leads_back_to_the_list(open_page: OpenPage) -> None:
    page = open_page("?user=42")
    link = page.get_by_role("article").first.get_by_role("link")
    link.wait_for()
    title = link.inner_text()
    link.click()
    first = page.get_by_role("dialog", name=title, exact=True)
    similar = first.get_by_role("region", name="Similar films").get_by_role("link").first
    similar.click()
    expect(first).to_be_hidden()
    page.go_back()
    expect(first).to_be_visible()
    similar.click()
    expect(first).to_be_hidden()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("movie="))
    page.go_forward()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_verdict_and_stars_in_the_film_view_are_sent(open_page: OpenPage, service: FakeService) -> None:
    page = open_page("?user=42&movie=550")
    page.get_by_role("article").first.wait_for(state="attached")
    film = page.get_by_role("dialog", name="Fight Club")
    like = film.get_by_role("button", name="Like", exact=True)
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    film.get_by_role("radio", name="4 stars").check()
    expect(page.locator("#announcer")).to_contain_text("Rated Fight Club.")
    rated = service.events[42][-1]
    assert (rated["event_type"], rated["rating"]) == ("rating", 4)
    film.get_by_role("button", name="Undo: Fight Club").click()
    expect(film.get_by_role("button", name="Undo: Fight Club")).to_have_count(0)


def test_a_film_is_found_by_title_from_anywhere(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    field = page.get_by_role("combobox", name="Find a film")
    field.fill("vert")
    expect(page.get_by_role("option", name=re.compile("Vertigo"))).to_be_visible()
    field.press("Enter")
    expect(page.get_by_role("dialog", name="Vertigo")).to_be_visible()


def test_a_search_without_results_says_so(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("combobox", name="Find a film").fill("zzzz")
    expect(page.get_by_text("No film with that title")).to_be_visible()


def test_a_film_that_does_not_exist_is_told_so(open_page: OpenPage, allowed: list[str]) -> None:
    allowed.append("404")
    page = open_page("?user=42&movie=123456789")
    expect(page.get_by_role("dialog", name="This film is not in the catalogue")).to_be_visible()
