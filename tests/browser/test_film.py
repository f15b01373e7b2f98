"""The film dialog: facts, why the film is in the list or not, and how it opens and closes."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.page_service import PageService
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser


def bars_of(page: Page) -> dict[str, float]:
    """The figures of "Why this?", by name."""
    page.get_by_role("rowheader", name="Sum").wait_for()
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


def test_contributions_add_up(open_page: OpenPage, service: PageService) -> None:
    best = service.rank(user_id=42, k=1, explain=True)[0]
    page = open_page(f"?user=42&movie={best['movie_id']}")
    film = page.get_by_role("dialog")
    expect(film.get_by_role("heading", name="Why this?")).to_be_visible()
    expect(film.get_by_text("Number 1 in the list")).to_be_visible()
    check_bars(page, service, best)


def check_bars(page: Page, service: PageService, film: dict[str, Any]) -> None:
    """The dialog shows every contribution that is not very small, and their sum."""
    bars = bars_of(page)
    labels = {family["name"]: family["label"] for family in service.ask("/model")["families"]}
    contributions = {labels[name]: value for name, value in film["contributions"].items()}
    assert bars.pop("Sum") == pytest.approx(film["raw_score"], abs=0.01)
    assert sum(contributions.values()) == pytest.approx(film["raw_score"], abs=1e-6)
    assert {name: contributions[name] for name in bars} == pytest.approx(bars, abs=0.006)
    assert all(abs(contributions[name]) < 0.006 for name in contributions.keys() - bars.keys())
    assert "Where every film starts" in bars


def explained(service: PageService, movie_id: int, **more: Any) -> dict[str, Any]:
    return service.explain(user_id=42, movie_id=movie_id, k=24, **more)


def test_why_not_is_answered_for_a_film_further_down(open_page: OpenPage, service: PageService) -> None:
    film = service.rank(user_id=42, k=100)[40]
    page = open_page(f"?user=42&movie={film['movie_id']}")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Why not?")).to_be_visible()
    answer = explained(service, film["movie_id"])
    n = answer["n_candidates"]
    expect(
        dialog.get_by_text(re.compile(f"It is number 41 of the {n} candidates for User 42.*stops at 24"))
    ).to_be_visible()
    check_bars(page, service, answer)
    dialog.get_by_text("Candidate sources").click()
    labels = {source["name"]: source["label"] for source in service.ask("/model")["sources"]}
    for source in answer["sources"]:
        row = dialog.get_by_role("row").filter(has_text=labels[source["name"]]).first
        expect(row).to_contain_text(f"number {source['rank']:,}" if source["rank"] else "no score")


def test_why_not_is_answered_for_a_film_that_is_known_or_hidden(
    open_page: OpenPage, service: PageService
) -> None:
    seen = service.ask("/users/42")["history"][-1]["movie_id"]
    page = open_page(f"?user=42&movie={seen}")
    expect(page.get_by_text("It is already in the history")).to_be_visible()
    would = explained(service, seen)
    expect(
        page.get_by_text(f"it would be number {would['would_rank']} of {would['n_candidates']}")
    ).to_be_visible()
    hidden = service.rank(user_id=42, k=1)[0]["movie_id"]
    service.ask("/feedback", {"user_id": 42, "movie_id": hidden, "event_type": "not_interested"})
    page = open_page(f"?user=42&movie={hidden}")
    expect(page.get_by_text("because you are not interested in it")).to_be_visible()


def test_why_not_names_the_settings_that_leave_a_film_out(open_page: OpenPage, service: PageService) -> None:
    film = service.rank(user_id=42, k=1, filters={"year_min": 1931})[0]
    page = open_page(f"?user=42&to=1930&runtime=1&movie={film['movie_id']}")
    expect(page.get_by_text("Your settings leave it out: the last year and the length.")).to_be_visible()
    assert service.bodies("/explain")[0] == {
        "user_id": 42,
        "k": 24,
        "movie_id": film["movie_id"],
        "filters": {"year_max": 1930, "runtime_max": 1},
    }


def test_why_not_says_that_too_few_sources_propose_a_film(open_page: OpenPage, service: PageService) -> None:
    answer = not_a_candidate(service)
    n = sum(source["proposes"] for source in answer["sources"])
    page = open_page(f"?user=42&movie={answer['movie']['movie_id']}")
    of = f"Of the {len(answer['sources'])} sources that propose films for User 42, {n} propose"
    expect(page.get_by_text(re.compile(f"{of}s? this one"))).to_be_visible()


def not_a_candidate(service: PageService) -> dict[str, Any]:
    """The explanation of the first film that the sources do not propose to user 42."""
    everything = service.rank(user_id=987_654, k=500)
    answers = (explained(service, film["movie_id"]) for film in reversed(everything))
    return next(answer for answer in answers if answer["verdict"] == "not_a_candidate")


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


def test_verdict_and_stars_in_the_film_view_are_sent(open_page: OpenPage, service: PageService) -> None:
    page = open_page("?user=42&movie=550")
    page.get_by_role("article").first.wait_for(state="attached")
    film = page.get_by_role("dialog", name="Fight Club")
    like = film.get_by_role("button", name="Like", exact=True)
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    wait_for(lambda: service.events(42), "the like")
    like.click()
    film.get_by_role("radio", name="4 stars").check()
    expect(page.locator("#announcer")).to_contain_text("Rated Fight Club.")
    said = [(event["event_type"], event["value"]) for event in service.events(42)]
    assert said == [("like", None), ("rating", 4)], "the second press changes nothing"
    undo = film.get_by_role("button", name="Undo: Fight Club")
    undo.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    undo.click()
    expect(like).to_have_attribute("aria-pressed", "false")
    expect(undo).to_have_count(0)


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
