"""Failures: the page says what happened, and recovers by itself."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.support.browser import titles_of
from tests.support.page_service import PageService
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _failures_are_meant(allowed: list[str]) -> None:
    allowed.append("Failed to load resource")


def test_without_a_model_the_command_is_shown_and_the_page_goes_on_by_itself(
    open_page: OpenPage, service: PageService
) -> None:
    service.start_afresh(version=None)
    page = open_page("?user=42")
    notice = page.get_by_role("alert")
    expect(notice.get_by_role("heading", name="There is no model yet")).to_be_visible()
    expect(notice.get_by_text("movierank demo", exact=True)).to_be_visible()
    service.release("3")
    expect(page.get_by_role("article")).to_have_count(24)
    expect(notice).to_have_count(0)


def test_an_unreachable_service_is_said_and_noticed_when_back(
    open_page: OpenPage, service: PageService
) -> None:
    service.set_fault("down")
    page = open_page("?user=42")
    expect(page.get_by_role("heading", name="The service cannot be reached")).to_be_visible()
    service.set_fault("none")
    expect(page.get_by_role("article")).to_have_count(24)
    user = service.ask("/users/42")
    genres = [taste["name"] for taste in user["genres"][:2]]
    expect(page.get_by_text(f"{user['n_events']} films, mostly {' and '.join(genres)}")).to_be_visible()


def test_a_click_that_was_not_saved_is_sent_again_once_only(
    open_page: OpenPage, service: PageService
) -> None:
    page = open_page("?user=42")
    page.get_by_role("article").first.wait_for()
    title = titles_of(page)[1]
    service.set_fault("down")
    page.get_by_role("button", name=f"Like {title}", exact=True).click()
    card = page.get_by_role("article", name=title, exact=True)
    expect(card.get_by_text("Not saved")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="cannot be reached")).to_be_visible()
    assert len(titles_of(page)) == 24, "the old list stays"
    service.set_fault("none")
    expect(card.get_by_text("Liked", exact=True)).to_be_visible()
    sent = {body["event_id"] for body in service.bodies("/feedback")}
    assert len(sent) == 1, "the same event, however often it was tried"
    wait_for(lambda: service.events(42), "the event")
    assert [event["event_type"] for event in service.events(42)] == ["like"]


def test_an_error_can_be_tried_again(open_page: OpenPage, service: PageService) -> None:
    service.set_fault("error")
    page = open_page("?user=42")
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.get_by_text("Something failed inside the service.")).to_be_visible()
    service.set_fault("none")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("article")).to_have_count(24)


def test_a_slow_answer_shows_where_cards_will_be_and_a_word(
    open_page: OpenPage, service: PageService
) -> None:
    with service.holding():
        page = open_page("?user=42")
        expect(page.locator(".card.blank").first).to_be_visible()
        expect(page.get_by_text("The service takes longer than usual")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(24)


def test_half_an_answer_is_an_error_that_can_be_tried_again(
    open_page: OpenPage, service: PageService
) -> None:
    service.set_fault("broken_json")
    page = open_page("?user=42")
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.get_by_text("The service gave an answer that cannot be read.")).to_be_visible()
    service.set_fault("none")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("article")).to_have_count(24)


def test_settings_that_no_film_passes_can_be_cleared(open_page: OpenPage) -> None:
    page = open_page("?user=42&genres=Western&from=2050")
    expect(page.get_by_role("heading", name="No film passes all of these settings")).to_be_visible()
    page.get_by_role("button", name="Clear the settings").click()
    expect(page.get_by_role("article")).to_have_count(24)


@pytest.mark.parametrize(
    ("served_by", "said"),
    [("popularity", "popularity"), ("candidates", "the candidate sources")],
)
def test_a_list_that_does_not_come_from_the_model_says_so(
    open_page: OpenPage, service: PageService, served_by: str, said: str
) -> None:
    service.start_afresh(served_by=served_by)
    page = open_page("?user=42")
    expect(page.get_by_text(f"this list comes from: {said}.")).to_be_visible()


def test_a_list_without_the_newest_verdicts_is_asked_for_again(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("movierank_serving.users.history._news_of", lambda *_: None)
        page = open_page("?user=42")
        hint = page.get_by_text("The newest clicks cannot be read right now")
        expect(hint).to_be_visible()
    expect(hint).to_be_hidden()
    expect(page.get_by_role("article")).to_have_count(24)


def test_a_new_model_is_announced_and_its_list_shown(open_page: OpenPage, service: PageService) -> None:
    page = open_page("?user=42")
    page.get_by_role("article").first.wait_for()
    expect(page.get_by_role("contentinfo")).to_contain_text("version 3")
    service.release("4")
    wait_for(lambda: service.ask("/model")["model_version"] == "4", "version 4")
    page.get_by_role("button", name=f"Like {titles_of(page)[1]}", exact=True).click()
    expect(page.get_by_text("A new model is answering: version 4.")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_contain_text("version 4")


def test_favourites_can_be_picked_once_the_service_is_back(open_page: OpenPage, service: PageService) -> None:
    service.set_fault("down")
    page = open_page("?view=start")
    expect(page.get_by_role("heading", name="The service cannot be reached")).to_be_visible()
    service.set_fault("none")
    expect(page.locator(".picks").get_by_role("button", pressed=False).first).to_be_visible()


def test_an_exception_in_the_page_is_told(open_page: OpenPage, allowed: list[str]) -> None:
    allowed.append("on purpose")
    page = open_page("?view=behind")
    page.evaluate("setTimeout(() => { throw new Error('on purpose') })")
    expect(page.get_by_text("Something in this page broke.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Reload"))).to_be_visible()
