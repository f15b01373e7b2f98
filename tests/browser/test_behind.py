"""Behind the scenes: what is known of the version and the service is shown; what is not is said to be."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.support.browser import overflow_of
from tests.support.fake_api import EVALUATION, FakeService

pytestmark = pytest.mark.browser

ASK = """(n) => Promise.all(Array.from({ length: n }, () => fetch("rank", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: '{"user_id": 42, "k": 3}' })))"""
PLACES = """(chart) => [...chart.querySelectorAll('.track')].map((track) => {
  const box = track.getBoundingClientRect();
  const place = (name) => Number(track.querySelector('.spread').style.getPropertyValue(name));
  return { low: place('--low'), mean: place('--mean'), high: place('--high'), width: box.width };
})"""


def rows_of(page: Page, chart: str) -> list[str]:
    rows = page.get_by_role("table", name=chart).get_by_role("row").all_inner_texts()
    return [" ".join(row.split()) for row in rows]


def test_every_system_is_charted_with_its_interval_best_first(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    ndcg = page.get_by_role("table", name=re.compile("^nDCG@10"))
    expect(ndcg.get_by_role("row")).to_have_count(5)
    assert rows_of(page, "nDCG@10")[:2] == [
        "The ranker 0.187 0.157 – 0.217",
        "Liked together (EASE) 0.157 0.127 – 0.187",
    ]
    assert len(rows_of(page, "Recall@100")) == 4, "one system has no recall, and none is made up for it"
    places = ndcg.evaluate(PLACES)
    assert all(place["low"] < place["mean"] < place["high"] <= 1 for place in places)
    assert places[0]["high"] == 1
    assert places[0]["width"] > 100
    expect(page.get_by_text("1,160 later moments of 116 people")).to_be_visible()


def test_the_reliability_of_the_score_is_drawn_and_told_in_figures(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    expect(page.get_by_role("img", name=re.compile("56% predicted, 58% observed"))).to_be_visible()
    expect(page.locator(".reliability circle")).to_have_count(len(EVALUATION["reliability"]))
    expect(page.get_by_role("row", name="Off by, on average 3.1%")).to_be_visible()


def test_what_a_version_does_not_know_of_itself_is_absent(open_page: OpenPage, service: FakeService) -> None:
    service.evaluation = None
    page = open_page("?view=behind")
    expect(page.get_by_text("Nothing about this was kept with this version.")).to_have_count(2)
    expect(page.locator(".systems, .reliability")).to_have_count(0)
    expect(page.get_by_role("table", name="The ranker’s own figures")).to_contain_text("0.187")
    expect(page.get_by_role("link", name="This version in MLflow")).to_have_count(0)
    expect(page.get_by_role("link", name="Its asset in Dagster")).to_have_count(0)


def test_links_to_the_other_uis_are_shown_where_they_are_known(
    open_page: OpenPage, service: FakeService
) -> None:
    service.links = {"mlflow": "http://box:5000/#/models/movie-ranker/versions/3", "dagster": "http://box/x"}
    page = open_page("?view=behind")
    for name, address in (("This version in MLflow", "mlflow"), ("Its asset in Dagster", "dagster")):
        expect(page.get_by_role("link", name=name)).to_have_attribute("href", service.links[address])


def test_calls_latencies_and_events_are_live(open_page: OpenPage, service: FakeService) -> None:
    service.events[42] = [{"event_type": "like", "movie_id": 550, "timestamp": 1}]
    page = open_page("?view=behind")

    def tile(label: str) -> Locator:
        return page.locator("mr-live .tiles div").filter(has_text=label).locator("dd")

    expect(tile("50% of rankings")).to_have_text("none yet")
    expect(tile("Events in")).to_have_text("1 (Liked 1)")
    page.evaluate(ASK, 4)
    expect(page.get_by_text("From 4 rankings of the last minute")).to_be_visible()
    expect(tile("50% of rankings")).to_have_text("3 ms")
    assert float(tile("Calls a second").inner_text()) > 0


def test_a_service_that_keeps_its_figures_to_itself_is_no_error(
    open_page: OpenPage, service: FakeService, allowed: list[str]
) -> None:
    allowed.append("Failed to load resource")
    page = open_page("?view=behind")
    page.locator("mr-live .tiles").wait_for()
    service.mode = "down"
    expect(page.get_by_text("The service does not tell its figures right now.")).to_be_visible()
    service.mode = "ok"
    expect(page.locator("mr-live .tiles")).to_be_visible()


def test_long_names_and_figures_fit_a_phone(open_page: OpenPage) -> None:
    page = open_page("?view=behind", viewport={"width": 360, "height": 740})
    page.locator("mr-live .tiles").wait_for()
    assert overflow_of(page) == 0
