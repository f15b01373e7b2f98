"""The page on a service in its own process: killed, halted, without a model; two tabs, links, many clicks."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import DESKTOP
from tests.support.browser import Watched, titles_of
from tests.support.trained_service import Service, Trained, ask, service_of
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


CLICKS = """async (n) => {
  const said = document.getElementById('announcer');
  const idle = () => new Promise((resolve) => setTimeout(resolve, 0));
  for (let i = 0; i < n; i += 1) {
    said.textContent = '';
    const card = [...document.querySelectorAll('mr-card')].find((one) => !one.verdict);
    card.querySelector('[data-act=like]').click();
    while (!said.textContent.startsWith('Liked')) await idle();
  }
}"""

OpenTab = Callable[[str], Page]


@pytest.fixture
def user_ids(sample_service: Service) -> list[int]:
    """Users with some history, so that each test has somebody whom no other test has changed."""
    users = ask(sample_service.url, "/users?limit=100")["results"]
    return [user["user_id"] for user in users if user["n_events"] >= 20]


@pytest.fixture
def tab(browser: Browser, sample_service: Service) -> Iterator[OpenTab]:
    """Opens tabs of one browser on the service, and checks in the end that none complained."""
    context = browser.new_context(viewport=DESKTOP, locale="en-GB", reduced_motion="reduce")
    watched: list[Watched] = []

    def open_(path: str) -> Page:
        page = context.new_page()
        host = urlsplit(sample_service.url).netloc
        watched.append(Watched(page, host, expected=("Failed to load resource",)))
        page.goto(sample_service.url + path)
        page.wait_for_selector("main > * h1:not(:empty)")
        return page

    yield open_
    context.close()
    for each in watched:
        each.check()


def listed(page: Page, n: int = 24) -> list[str]:
    expect(page.get_by_role("list", name="Recommendations").get_by_role("article")).to_have_count(n)
    return titles_of(page)


def likes_of(service: Service, user_id: int) -> list[str]:
    history = ask(service.url, f"/users/{user_id}")["history"]
    return [item["title"] for item in history if item["event_type"] == "like"]


def test_a_killed_service_is_said_and_the_page_goes_on_when_it_is_back(
    tab: OpenTab, sample_service: Service, user_ids: list[int]
) -> None:
    page = tab(f"?user={user_ids[0]}")
    title = listed(page)[1]
    sample_service.kill()
    page.get_by_role("button", name=f"Like {title}", exact=True).click()
    card = page.get_by_role("article", name=title, exact=True)
    expect(card.get_by_text("Not saved")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The service cannot be reached")).to_be_visible()
    assert len(titles_of(page)) == 24, "the old list stays"
    sample_service.start()
    expect(card.get_by_text("Liked", exact=True)).to_be_visible()
    expect(page.get_by_text("cannot be reached")).to_have_count(0)
    wait_for(lambda: likes_of(sample_service, user_ids[0]) == [title], what="the like in the history, once")


def test_a_view_whose_code_cannot_be_fetched_comes_when_the_service_is_back(
    tab: OpenTab, sample_service: Service
) -> None:
    page = tab("?view=behind")
    page.locator(".tiles.model dd").first.wait_for()
    sample_service.kill()
    page.get_by_role("link", name="Favourites").click()
    expect(page.get_by_role("heading", name="The service cannot be reached")).to_be_visible()
    sample_service.start()
    pick = page.locator(".picks").get_by_role("button", pressed=False).first
    expect(pick).to_be_visible()


def test_a_halted_service_is_said_to_be_slow_and_its_answer_is_shown(
    tab: OpenTab, sample_service: Service, user_ids: list[int]
) -> None:
    page = tab(f"?user={user_ids[1]}")
    before = listed(page)
    sample_service.signal(signal.SIGSTOP)
    try:
        page.get_by_role("link", name="For you").click()
        page.evaluate(f"history.pushState(null, '', '?user={user_ids[2]}')")
        page.evaluate("dispatchEvent(new Event('routechange'))")
        expect(page.locator(".card.blank").first).to_be_visible()
        expect(page.get_by_text("The service takes longer than usual")).to_be_visible()
    finally:
        sample_service.signal(signal.SIGCONT)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"For user {user_ids[2]}")
    assert listed(page) != before


def test_without_a_model_the_page_names_the_command_and_goes_on_when_there_is_one(
    browser: Browser, trained_sample: Trained, tmp_path: Path
) -> None:
    store = tmp_path / "late.db"
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}"}
    with service_of(trained_sample, tmp_path / "home", **variables) as service:
        service.start(is_ready=False)
        page = browser.new_page(viewport=DESKTOP, locale="en-GB")
        watched = Watched(page, urlsplit(service.url).netloc, expected=("Failed to load resource",))
        page.goto(f"{service.url}?user=12")
        notice = page.get_by_role("alert")
        expect(notice.get_by_role("heading", name="There is no model yet")).to_be_visible()
        expect(notice.get_by_text("movierank demo", exact=True)).to_be_visible()
        shutil.copy(trained_sample.root / "mlruns" / "mlflow.db", store)
        articles = page.get_by_role("list", name="Recommendations").get_by_role("article")
        expect(articles).to_have_count(24)
        expect(notice).to_have_count(0)
        watched.check()
        page.close()


def test_back_and_forward_and_a_shared_address_lead_to_the_same(
    tab: OpenTab, browser: Browser, sample_service: Service, user_ids: list[int]
) -> None:
    def ranked(**settings: Any) -> list[str]:
        """By the service itself: opening a film is an event, which moves the list."""
        answer = ask(sample_service.url, "/rank", {"user_id": user_ids[3], **settings})
        return [result["title"] for result in answer["results"]]

    recent = {"k": 12, "filters": {"year_min": 1990}}
    page = tab(f"?user={user_ids[3]}")
    assert listed(page) == ranked(k=24)
    page.goto(page.url + "&from=1990&k=12")
    titles = listed(page, 12)
    assert titles == ranked(**recent)
    page.get_by_role("link", name=titles[0], exact=True).click()
    film = page.get_by_role("dialog", name=titles[0], exact=True)
    expect(film).to_be_visible()
    address = page.url
    page.go_back()
    expect(film).to_be_hidden()
    page.go_back()
    assert listed(page) == ranked(k=24)
    page.go_forward()
    assert listed(page, 12) == ranked(**recent)
    page.go_forward()
    expect(film).to_be_visible()
    before = ranked(**recent)
    somebody = browser.new_page(viewport=DESKTOP, locale="en-GB")
    somebody.goto(address)
    expect(somebody.get_by_role("dialog", name=titles[0], exact=True)).to_be_visible()
    somebody.get_by_role("button", name="Close").click()
    # Opening the film is an event as well, which comes before or after the list is asked for.
    assert listed(somebody, 12) in (before, ranked(**recent))
    somebody.close()


def test_a_shared_list_of_a_visitor_is_the_same_list(tab: OpenTab, browser: Browser) -> None:
    page = tab("?picks=603,-597,78&view=foryou")
    mine = listed(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Share this list").click()
    expect(page.get_by_text("Link copied")).to_be_visible()
    somebody = browser.new_page(viewport=DESKTOP, locale="en-GB")
    somebody.goto(page.evaluate("navigator.clipboard.readText()"))
    assert listed(somebody) == mine
    somebody.close()


@pytest.mark.parametrize("who", ["user", "visitor"])
def test_what_is_said_in_one_tab_moves_the_list_in_the_other(
    tab: OpenTab, user_ids: list[int], who: str
) -> None:
    path = f"?user={user_ids[4]}" if who == "user" else "?view=foryou"
    one, other = tab(path), tab(path)
    title = listed(one)[0]
    assert listed(other)[0] == title
    one.get_by_role("button", name=f"Like {title}", exact=True).click()
    expect(other.get_by_role("article", name=title, exact=True)).to_have_count(0)
    second = titles_of(other)[0]
    other.get_by_role("button", name=f"Dislike {second}", exact=True).click()
    expect(one.get_by_role("article", name=second, exact=True)).to_have_count(0)


@pytest.mark.parametrize("n_likes", [60, pytest.param(1000, marks=pytest.mark.heavy)])
def test_many_likes_leave_nothing_behind(
    tab: OpenTab, sample_service: Service, user_ids: list[int], n_likes: int
) -> None:
    user_id = user_ids[6]
    page = tab(f"?user={user_id}")
    listed(page)
    liked = ask(sample_service.url, f"/users/{user_id}")["n_likes"]
    page.evaluate(CLICKS, 20)
    before = counted(page)
    page.evaluate(CLICKS, n_likes - 20)
    assert ask(sample_service.url, f"/users/{user_id}")["n_likes"] == liked + n_likes
    # About a card, that is being shown. What was removed may be collected later; what is held never is.
    more = {"JSEventListeners": 20, "Nodes": 600, "JSHeapUsedSize": 8_000_000}

    def is_nothing_left() -> bool:
        after = counted(page)
        return all(after[name] <= before[name] + limit for name, limit in more.items())

    wait_for(is_nothing_left, "the removal of what the clicks made")


def counted(page: Page) -> dict[str, float]:
    """Chromium's own figures of the page, after its garbage was collected."""
    context: BrowserContext = page.context
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}
