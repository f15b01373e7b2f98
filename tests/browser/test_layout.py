"""Layout: windows from 360 pixels to 4K, both themes, keyboard, touch, right to left."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.support.browser import overflow_of, titles_of
from tests.support.page_service import PageService
from tests.support.waiting import wait_for

pytestmark = pytest.mark.browser

VIEWS = [
    "?user=42",
    "?view=start",
    "?user=42&view=profile",
    "?user=42&view=compare&b-variety=1",
    "?view=behind",
]

TOO_SMALL = """() => [...document.querySelectorAll('a[href], button, select, summary, input')]
  .filter((element) => element.type !== 'range')
  .filter((element) => element.checkVisibility())
  .filter((element) => !element.closest('p, h3, [aria-hidden=true], .skip, .more, .row-films'))
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.height < 43.5 || box.width < 43.5))
  .map(([element, box]) => `${element.outerHTML.slice(0, 90)} ${box.width}x${box.height}`)"""

MEASURES = """() => new Promise((resolve) => {
  let shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => resolve({
    shift,
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    bytes: performance.getEntriesByType('resource').filter((entry) => /\\.(js|css|svg)$/.test(entry.name))
      .reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    requests: performance.getEntriesByType('resource').length,
  }), 300);
})"""


def settled(page: Page) -> Page:
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("path", VIEWS)
def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page: OpenPage, path: str) -> None:
    page = settled(open_page(path, viewport=PHONE, has_touch=True))
    assert overflow_of(page) == 0
    assert page.evaluate(TOO_SMALL) == []


def test_a_film_on_a_phone_fills_the_screen(open_page: OpenPage) -> None:
    page = settled(open_page("?user=42&movie=550", viewport=PHONE))
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert (round(box["x"]), round(box["width"])) == (0, 360)
    assert page.evaluate(TOO_SMALL) == []


@pytest.mark.parametrize("user_id", [7, 100, 162541, 2**53 - 1])
def test_the_head_keeps_its_line_however_long_the_name_is(
    open_page: OpenPage, allowed: list[str], user_id: int
) -> None:
    allowed.append("404")
    page = open_page(f"?user={user_id}", viewport=PHONE)
    brand, theme = page.locator(".brand").bounding_box(), page.locator("#theme").bounding_box()
    assert brand is not None
    assert theme is not None
    assert abs(brand["y"] - theme["y"]) < 4
    assert overflow_of(page) == 0
    button = page.get_by_role("button", name=f"now User {user_id}")
    assert button.evaluate("button => button.getBoundingClientRect().width") >= 44


@pytest.mark.parametrize("path", ["?user=42", "?view=start"])
def test_right_to_left_and_4k_do_not_overflow(open_page: OpenPage, path: str) -> None:
    page = settled(open_page(path, viewport=PHONE))
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert overflow_of(page) == 0
    page.set_viewport_size({"width": 3840, "height": 2160})
    assert overflow_of(page) == 0


BROKEN_WORDS = """() => [...document.querySelectorAll('.lettered-title')].flatMap((title) =>
  [...title.textContent.matchAll(/[^\\s-]+/g)].filter(({ index, 0: word }) => {
    const range = document.createRange();
    range.setStart(title.firstChild, index);
    range.setEnd(title.firstChild, index + word.length);
    return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1;
  }).map(([word]) => `${word} of ${title.textContent}`))"""


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1366, "height": 900}], ids=["phone", "desktop"])
def test_no_word_on_a_drawn_poster_is_broken(open_page: OpenPage, viewport: dict[str, int]) -> None:
    page = settled(open_page("?user=42", viewport=viewport))
    assert page.locator(".lettered-title").count() >= 24
    assert page.evaluate(BROKEN_WORDS) == []


def test_the_tools_stay_where_they_are_when_they_open(open_page: OpenPage) -> None:
    page = settled(open_page("?user=42"))
    tools = page.locator("summary", has_text="Tune the list")
    before = tools.bounding_box()
    tools.click()
    expect(page.get_by_role("spinbutton", name="From year")).to_be_visible()
    assert tools.bounding_box() == before


def test_the_theme_follows_the_system_until_it_is_chosen(open_page: OpenPage) -> None:
    page = open_page("?view=behind", media={"color_scheme": "dark"})
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch to light theme").click()
    light = page.evaluate(ground)
    assert sum(map(int, re.findall(r"\d+", dark))) < 120 < 600 < sum(map(int, re.findall(r"\d+", light)))
    page.reload()
    expect(page.get_by_role("button", name="Switch to dark theme")).to_be_visible()
    assert page.evaluate(ground) == light


def test_a_whole_visit_by_keyboard_alone(open_page: OpenPage, service: PageService) -> None:
    page = settled(open_page("?user=42"))
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the films")).to_be_focused()
    keys.press("Enter")
    for _ in range(6):
        keys.press("Tab")
        if page.evaluate("document.activeElement.className") == "card-title":
            break
    titles = titles_of(page)
    expect(page.get_by_role("link", name=titles[0], exact=True)).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("ArrowRight")
    expect(page.get_by_role("link", name=titles[1], exact=True)).to_be_focused()
    keys.press("l")
    undo = page.get_by_role("article", name=titles[1], exact=True).get_by_role("button", name="Undo")
    expect(undo).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text(f"Liked {titles[1]}.")
    keys.press("u")
    expect(page.locator("#announcer")).to_contain_text(f"Undone: {titles[1]}.")
    assert [event["event_type"] for event in service.events(42)] == ["like", "undo"]
    expect(page.get_by_role("button", name=f"Like {titles[1]}", exact=True)).to_be_focused()
    keys.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.act") == "like"
    keys.press("ArrowUp")
    keys.press("Shift+Tab")
    keys.press("Shift+Tab")
    expect(page.get_by_role("link", name=titles_of(page)[1], exact=True)).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_motion_is_reduced_where_that_is_asked_for(open_page: OpenPage) -> None:
    moving = settled(open_page("?user=42", media={"reduced_motion": "no-preference"}))
    still = settled(open_page("?user=7"))
    for page in (moving, still):
        page.evaluate(
            """() => {
              const animate = Element.prototype.animate;
              Element.prototype.animate = function (...rest) {
                if (this.tagName === 'LI') window.moves = (window.moves ?? 0) + 1;
                return animate.apply(this, rest);
              };
            }"""
        )
        page.get_by_role("button", name=f"Dislike {titles_of(page)[0]}", exact=True).click()
        expect(page.locator("#announcer")).to_contain_text("Disliked")
    assert moving.evaluate("window.moves") > 0
    assert still.evaluate("window.moves") is None


@pytest.mark.parametrize("path", ["?user=42", "?view=start"])
def test_first_paint_layout_shift_and_weight(open_page: OpenPage, path: str) -> None:
    page = settled(open_page(path))
    measured = page.evaluate(MEASURES)
    assert measured["paint"] > 0, "something is painted"
    assert measured["shift"] < 0.02
    assert 50_000 < measured["bytes"] < 80_000, "files of the page; test_real_weight bounds the answers too"
    assert measured["requests"] < 80


def test_many_clicks_leave_nothing_behind(open_page: OpenPage) -> None:
    page = settled(open_page("?user=42", locale="en-GB"))  # Not in a page that has old documents to free.
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def counted() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}

    clicks = """async (n) => {
      const idle = () => new Promise((resolve) => setTimeout(resolve, 0));
      const until = async (met) => { while (!met()) await idle(); };
      for (let i = 0; i < n; i += 1) {
        const card = document.querySelectorAll('mr-card')[1];
        card.querySelector('[data-act=like]').click();
        await until(() => document.getElementById('announcer').textContent.startsWith('Liked'));
        card.querySelector('[data-act=undo]').click();
        await until(() => document.getElementById('announcer').textContent.startsWith('Undone'));
      }
    }"""
    page.evaluate(clicks, 4)
    before = counted()
    page.evaluate(clicks, 15)

    def is_nothing_left() -> bool:
        """What was removed may be collected later; what is held never is."""
        after = counted()
        # About one card, that is being shown.
        is_small = after["Nodes"] <= before["Nodes"] + 400
        return is_small and after["JSEventListeners"] <= before["JSEventListeners"] + 10

    wait_for(is_nothing_left, "the removal of what the clicks made")
