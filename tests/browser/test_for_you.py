"""The list of a user: how it is found, shown, changed by clicks and settings, and kept in the address."""

import re
import urllib.error
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.support.browser import match_of, titles_of
from tests.support.page_service import PageService
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser

BECAUSE = "because_you_liked:"


def cards(page: Page) -> Page:
    """The page, once the list of cards is there."""
    page.get_by_role("article").first.wait_for()
    return page


def test_a_user_is_found_by_number_and_gets_cards(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Change who is watching, now Visitor").click()
    field = page.get_by_role("dialog", name="Who is watching?").get_by_role("combobox")
    field.fill("42")
    expect(page.get_by_role("option", name=re.compile(r"^User 42\b"))).to_be_visible()
    field.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("For user 42")
    cards(page)
    assert "user=42" in page.url
    assert len(titles_of(page)) == 24


def test_somebody_at_random_is_one_click_away(open_page: OpenPage) -> None:
    page = open_page()
    page.get_by_role("button", name="Surprise me").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"For user \d+"))
    cards(page)


def test_a_card_shows_title_match_and_reason(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    others = service.rank(user_id=42, k=24)[1:]  # The first card lists all its reasons instead.
    best = next(film for film in others if film["reasons"] and film["reasons"][0].startswith(BECAUSE))
    card = page.get_by_role("article", name=best["title"], exact=True)
    expect(card.get_by_text(", ".join(best["genres"][:3]))).to_be_visible()
    assert match_of(card.locator(".match").inner_text()) == round(best["score"] * 100)
    liked = service.ask(f"/movie/{best['reasons'][0].removeprefix(BECAUSE)}")
    expect(card.get_by_text(f"Because you liked {liked['title']}").first).to_be_visible()


def test_other_reasons_are_shown_on_demand_and_hidden_by_escape(open_page: OpenPage) -> None:
    page = cards(open_page("?user=42"))
    card = page.get_by_role("article").filter(has=page.get_by_role("button", name="more reason")).first
    more = card.get_by_role("button", name=re.compile("more reason"))
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    reasons = card.get_by_role("list", name=re.compile("^Why ")).get_by_role("listitem")
    expect(reasons.first).to_be_visible()
    assert reasons.count() >= 2
    more.press("Escape")
    expect(more).to_have_attribute("aria-expanded", "false")


def test_a_like_is_sent_moves_the_list_and_says_so(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    before = titles_of(page)
    title = before[2]
    page.get_by_role("button", name=f"Like {title}", exact=True).click()
    undo = page.get_by_role("button", name=f"Undo: {title}", exact=True)
    expect(undo.first).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text(f"Liked {title}. List updated.")
    sent = service.bodies("/feedback")
    assert [(event["user_id"], event["event_type"]) for event in sent] == [(42, "like")]
    assert [event["ranking_id"] for event in service.events(42)] == [sent[0]["ranking_id"]]
    after = titles_of(page)
    assert after != before
    assert after[2] == title, "the film with a verdict stays in its place, with its undo button"
    assert page.locator(".moved:visible").count() > 0


def test_undo_on_the_card_brings_the_list_back(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    before = titles_of(page)
    page.get_by_role("button", name=f"Dislike {before[1]}", exact=True).click()
    expect(page.locator("#announcer")).to_contain_text("Disliked")
    page.get_by_role("article", name=before[1], exact=True).get_by_role("button", name="Undo").click()
    expect(page.locator("#announcer")).to_contain_text(f"Undone: {before[1]}.")
    assert titles_of(page) == before
    assert service.events(42)[-1]["event_type"] == "undo"


@pytest.mark.parametrize(
    ("button", "event_type", "stamp"),
    [("Not interested in", "not_interested", "Hidden"), ("Seen", "seen", "Seen")],
)
def test_hidden_and_seen_films_leave_with_the_next_click(
    open_page: OpenPage, service: PageService, button: str, event_type: str, stamp: str
) -> None:
    page = cards(open_page("?user=42"))
    first = titles_of(page)[1]
    page.get_by_role("button", name=f"{button} {first}", exact=True).click()
    card = page.get_by_role("article", name=first, exact=True)
    expect(card.get_by_text(stamp, exact=True)).to_be_visible()
    wait_for(lambda: service.events(42), "the event")
    assert service.events(42)[-1]["event_type"] == event_type
    # The list arrives again after the verdict, and any other film may leave it: whichever is the third then.
    films = page.get_by_role("list", name="Recommendations")
    films.get_by_role("button", name=re.compile("^Like ")).nth(2).click()
    expect(card).to_have_count(0)
    recent = page.get_by_role("region", name="Just now")
    recent.get_by_role("button", name=f"Undo: {first}", exact=True).click()
    expect(card).to_be_visible()


def test_the_strip_of_undo_buttons_outlives_a_reload(open_page: OpenPage) -> None:
    page = cards(open_page("?user=42"))
    title = titles_of(page)[3]
    page.get_by_role("button", name=f"Like {title}", exact=True).click()
    strip = page.get_by_role("region", name="Just now")
    expect(strip.get_by_role("button", name=f"Undo: {title}")).to_be_visible()
    page.reload()
    expect(strip.get_by_role("button", name=f"Undo: {title}")).to_be_visible()


def test_verdicts_that_arrive_after_the_list_are_shown(open_page: OpenPage, service: PageService) -> None:
    service.ask("/feedback", {"user_id": 42, "movie_id": 550, "event_type": "like"})
    with service.holding("/users/42/verdicts"):
        page = cards(open_page("?user=42"))
    strip = page.get_by_role("region", name="Just now")
    expect(strip.get_by_role("button", name="Undo: Fight Club")).to_be_visible()


def test_knobs_filter_the_list_and_live_in_the_address(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    page.locator("summary", has_text="Tune the list").click()
    page.get_by_role("checkbox", name="Crime").check()
    expect(page).to_have_url(re.compile("genres=Crime"))
    page.get_by_role("spinbutton", name="From year").fill("1990")
    page.get_by_role("spinbutton", name="From year").press("Tab")
    expect(page).to_have_url(re.compile("from=1990"))
    assert "genres=Crime" in page.url
    expected = service.rank(user_id=42, k=24, filters={"genres_any": ["Crime"], "year_min": 1990})
    expect(page.get_by_role("article")).to_have_count(len(expected))
    wait_for(lambda: titles_of(page) == [film["title"] for film in expected], "the list of both settings")
    page.reload()
    expect(page.locator("summary")).to_contain_text("2 settings")
    page.go_back()
    page.go_back()
    expect(page.get_by_role("article")).to_have_count(24)


def test_a_list_that_arrives_while_somebody_types_leaves_what_was_typed(
    open_page: OpenPage, service: PageService
) -> None:
    first = {film["movie_id"] for film in service.rank(user_id=42, k=24)}
    crime = service.rank(user_id=42, k=24, filters={"genres_any": ["Crime"]})
    new = next(film["movie_id"] for film in crime if film["movie_id"] not in first)
    service.start_afresh(films={new: {"genres": ["Crime", "Heist"]}})
    page = cards(open_page("?user=42", changed_films=True))
    page.locator("summary", has_text="Tune the list").click()
    with service.holding("/rank"):
        page.get_by_role("checkbox", name="Crime").check()
        expect(page).to_have_url(re.compile("genres=Crime"))
        year = page.get_by_role("spinbutton", name="From year")
        year.press_sequentially("1990")
    expect(page.get_by_role("checkbox", name="Heist")).to_be_visible()
    expect(year).to_have_value("1990")
    expect(year).to_be_focused()
    year.press("Tab")
    expect(page).to_have_url(re.compile("from=1990"))


def body_of_the_list(service: PageService) -> dict[str, Any]:
    """The request for the list itself, with a diversity; the rows below it may ask before it."""
    return next(body for body in service.bodies("/rank") if "diversity" in body)


def test_how_many_and_variety_reach_the_service(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42&k=12&variety=0.5&runtime=120&language=en"))
    expect(page.get_by_role("article")).to_have_count(12)
    body = body_of_the_list(service)
    assert (body["k"], body["diversity"]) == (12, 0.5)
    assert body["filters"] == {"runtime_max": 120, "languages": ["en"]}


def test_nonsense_in_the_address_counts_as_not_set(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42&k=-3&from=abc&variety=7&language=%3Cb%3E&view=nowhere&movie=x"))
    expect(page.get_by_role("article")).to_have_count(24)
    body = body_of_the_list(service)
    assert body == {"user_id": 42, "k": 24, "diversity": 1}


def test_an_unknown_user_is_a_newcomer(open_page: OpenPage, allowed: list[str]) -> None:
    allowed.append("404")
    page = cards(open_page("?user=99999"))
    expect(page.get_by_text("User 99999 is new here. These are films that most people like.")).to_be_visible()
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("There is no history yet.")).to_be_visible()


def test_rows_below_the_list_load_when_scrolled_to(open_page: OpenPage) -> None:
    page = cards(open_page("?user=42"))
    page.locator("mr-rows").scroll_into_view_if_needed()
    page.mouse.wheel(0, 4000)
    row = page.get_by_role("region", name=re.compile("^Because you liked"))
    expect(row.get_by_role("link").first).to_be_visible()


def test_the_long_tail_is_what_few_people_have_seen(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    page.locator("mr-rows").scroll_into_view_if_needed()
    page.mouse.wheel(0, 6000)
    row = page.get_by_role("region", name="From the long tail")
    row.get_by_role("link").first.wait_for()
    n_most = max(5, round(0.02 * service.ask("/model")["n_users"]))
    filters = [body.get("filters") or {} for body in service.bodies("/rank")]
    assert [given["max_votes"] for given in filters if "max_votes" in given] == [n_most]
    shown = [int(link.get_attribute("data-movie") or 0) for link in row.get_by_role("link").all()]
    assert shown
    tail = service.rank(user_id=42, k=500, filters={"max_votes": n_most})
    assert set(shown) <= {film["movie_id"] for film in tail}
    titles = {film["title"] for film in tail if film["movie_id"] in shown}
    assert not titles & set(titles_of(page))


def test_history_and_tastes_of_a_user(open_page: OpenPage, service: PageService) -> None:
    page = open_page("?user=42&view=profile")
    user = service.ask("/users/42")
    expect(page.get_by_role("heading", name="Tastes by genre")).to_be_visible()
    row = page.get_by_role("row", name=user["genres"][0]["name"])
    expect(row).to_contain_text(f"{user['genres'][0]['n_movies']} films")
    title = user["history"][0]["title"]
    expect(page.get_by_role("link", name=re.compile(re.escape(title)))).to_be_visible()


def test_forgetting_a_user_asks_first(open_page: OpenPage, service: PageService) -> None:
    page = open_page("?user=42&view=profile")
    page.get_by_role("button", name="Forget me").click()
    ask = page.get_by_role("dialog", name="Forget me")
    ask.get_by_role("button", name="Keep").click()
    assert service.ask("/users/42")["n_events"] > 0
    page.get_by_role("button", name="Forget me").click()
    ask.get_by_role("button", name="Forget", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which films do you love?")
    assert [request.path for request in service.requests if request.method == "DELETE"] == ["/users/42"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        service.ask("/users/42")


def test_two_settings_are_compared_side_by_side(open_page: OpenPage) -> None:
    page = open_page("?user=42&view=compare&b-from=1980")
    expect(page.get_by_text(re.compile(r"of 20 films in both"))).to_be_visible()
    right = page.get_by_role("region", name="List B")
    expect(right.get_by_role("listitem").first).to_be_visible()
    years = [int(re.search(r"\d{4}", text)[0]) for text in right.locator(".facts").all_inner_texts()[::2]]  # type: ignore[index]
    assert min(years) >= 1980


def test_two_versions_are_compared_where_there_is_a_challenger(
    open_page: OpenPage, service: PageService
) -> None:
    service.start_afresh(serve_challenger=True)
    service.release("4", as_challenger=True)
    wait_for(lambda: service.ask("/model")["challenger"], "the challenger")
    page = open_page("?user=42&view=compare&from=1960")
    page.get_by_role("link", name="Two versions").click()
    right = page.get_by_role("region", name="Version 4, the challenger")
    expect(right.get_by_role("listitem")).to_have_count(20)
    expect(page.get_by_role("region", name="Version 3, in production").get_by_role("listitem")).to_have_count(
        20
    )
    bodies = service.bodies("/rank")[-2:]
    bodies.sort(key=lambda body: body.get("version") or "")  # They are sent at the same time.
    assert [body.get("version") for body in bodies] == [None, "challenger"]
    assert [body["filters"] for body in bodies] == [{"year_min": 1960}] * 2
    first, second = ([film["movie_id"] for film in service.rank(**body)] for body in bodies)
    moved = sum(first.index(film) != second.index(film) for film in set(first) & set(second))
    said = f"{moved} moved" if moved else "in the same order"
    expect(page.get_by_text(f"{len(set(first) & set(second))} of 20 films in both, {said}")).to_be_visible()
    expect(right.locator(".moved")).to_have_count(moved + len(set(second) - set(first)))
    expect(page).to_have_url(re.compile("against=challenger"))
    page.get_by_role("link", name="Two settings").click()
    expect(page.get_by_role("region", name="List B")).to_be_visible()


def test_without_a_challenger_no_versions_are_offered_and_a_link_to_them_says_why(
    open_page: OpenPage, allowed: list[str]
) -> None:
    allowed.append("404")
    page = open_page("?user=42&view=compare")
    page.get_by_text(re.compile("films in both")).wait_for()
    expect(page.get_by_role("link", name="Two versions")).to_have_count(0)
    page = open_page("?user=42&view=compare&against=challenger")
    expect(page.get_by_role("heading", name="There is no challenger to compare with")).to_be_visible()
    expect(page.get_by_text("set MOVIERANK_SERVE_CHALLENGER=true")).to_be_visible()


def test_behind_the_scenes_names_the_model(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    expect(page.locator(".tiles.model")).to_contain_text("sample")
    expect(page.get_by_role("contentinfo")).to_contain_text("Serving movie-ranker version 3")


def test_the_page_says_that_ratings_are_simulated(open_page: OpenPage) -> None:
    page = open_page("?user=42")
    expect(page.get_by_text("Sample data: real films, simulated ratings.")).to_be_visible()
    foot = page.get_by_role("contentinfo")
    expect(foot).to_contain_text("the audience and its ratings are simulated")
    expect(foot).to_contain_text("This product uses the TMDB API but is not endorsed or certified by TMDB.")
    expect(foot).to_contain_text("Harper")


def test_real_ratings_are_not_called_simulated(
    open_page: OpenPage, service: PageService, allowed: list[str]
) -> None:
    allowed.append("404")  # Histories of another data set are not used, so the user is unknown.
    service.start_afresh(manifest={"dataset": "ml-latest-small", "ratings_are_simulated": False})
    page = open_page("?user=42")
    expect(page.get_by_role("contentinfo")).to_contain_text("Ratings from ml-latest-small.")
    expect(page.get_by_text("simulated")).to_have_count(0)


def shown_films(service: PageService) -> dict[str, set[int]]:
    """The films that the page says it showed, by ranking."""
    found: dict[str, set[int]] = {}
    for body in service.bodies("/impressions"):
        assert body["user_id"] == 42
        found.setdefault(body["ranking_id"], set()).update(body["movie_ids"])
    return found


def test_films_in_view_are_told_and_no_others(open_page: OpenPage, service: PageService) -> None:
    page = cards(open_page("?user=42"))
    in_order = [film["movie_id"] for film in service.rank(user_id=42, k=24)]
    [(ranking_id, first)] = wait_for(lambda: shown_films(service).items(), what="the films in view")
    assert first < set(in_order), "the rest of the list is below the window"
    assert in_order[0] in first
    page.get_by_role("article").last.scroll_into_view_if_needed()
    more = wait_for(
        lambda: (films := shown_films(service).get(ranking_id, set())) > first and films, what="the others"
    )
    assert in_order[-1] in more
    assert more <= set(in_order)
    page.get_by_role("button", name=re.compile("^Like ")).first.click()
    wait_for(lambda: len(service.events(42)) == 1, what="the verdict")
    assert service.events(42)[0]["ranking_id"] == ranking_id


def test_opening_a_film_and_comparing_show_nothing(open_page: OpenPage, service: PageService) -> None:
    film = service.rank(user_id=42, k=1)[0]["movie_id"]
    page = open_page(f"?user=42&movie={film}", wait=False)
    expect(page.get_by_role("heading", name="Why this?")).to_be_visible()
    wait_for(lambda: len(service.bodies("/rank")) >= 2, what="the list and the reasons of the film")
    lists = wait_for(lambda: shown_films(service), what="the list behind the film")
    assert len(lists) == 1
    before = len(service.bodies("/impressions"))
    compared = open_page("?user=42&view=compare&b-from=1980")
    expect(compared.get_by_text(re.compile(r"of 20 films in both"))).to_be_visible()
    for each in (page, compared):  # A page that ends tells what it has not told yet.
        each.evaluate("dispatchEvent(new Event('pagehide'))")
    cards(open_page("?user=42"))
    wait_for(lambda: len(service.bodies("/impressions")) > before, what="the films of the next list")
    assert len(shown_films(service)) == 2
