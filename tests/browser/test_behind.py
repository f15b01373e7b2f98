"""Behind the scenes: the facts of the version and of the service; missing facts are named."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from movierank_core.manifest import Estimate, EvaluationSummary, ReliabilityBin
from tests.browser.conftest import OpenPage
from tests.support.browser import overflow_of
from tests.support.page_service import PageService

pytestmark = pytest.mark.browser


def estimate(mean: float, spread: float = 0.03) -> Estimate:
    return Estimate(mean, mean - spread, mean + spread)


EVALUATION = EvaluationSummary(
    protocol="temporal",
    split_time="2025-06-01T00:00:00+00:00",
    n_requests=1160,
    n_users=116,
    systems={
        "movierank": {"ndcg@10": estimate(0.187), "recall@100": estimate(0.37)},
        "ease_likes": {"ndcg@10": estimate(0.157), "recall@100": estimate(0.329)},
        "popularity_365d": {"ndcg@10": estimate(0.156), "recall@100": estimate(0.332)},
        "popularity": {"ndcg@10": estimate(0.105)},
        "random": {"ndcg@10": estimate(0.005, 0.002), "recall@100": estimate(0.012, 0.003)},
    },
    reliability=[
        ReliabilityBin(n=40, predicted=0.35, observed=0.31),
        ReliabilityBin(n=210, predicted=0.56, observed=0.58),
        ReliabilityBin(n=90, predicted=0.78, observed=0.74),
    ],
    expected_calibration_error=0.031,
)
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


@pytest.fixture
def evaluated(service: PageService) -> PageService:
    """A service whose version was evaluated with known figures."""
    service.start_afresh(manifest={"evaluation": EVALUATION})
    return service


def test_every_system_is_charted_with_its_interval_best_first(
    evaluated: PageService, open_page: OpenPage
) -> None:
    sources = {source["name"]: source["label"] for source in evaluated.ask("/model")["sources"]}
    page = open_page("?view=behind")
    ndcg = page.get_by_role("table", name=re.compile("^nDCG@10"))
    expect(ndcg.get_by_role("row")).to_have_count(5)
    assert rows_of(page, "nDCG@10")[:2] == [
        "The ranker 0.187 0.157 – 0.217",
        f"{sources['ease_likes']} 0.157 0.127 – 0.187",
    ]
    assert len(rows_of(page, "Recall@100")) == 4, "one system has no recall, and the chart leaves it out"
    places = ndcg.evaluate(PLACES)
    assert all(place["low"] < place["mean"] < place["high"] <= 1 for place in places)
    assert places[0]["high"] == 1
    assert places[0]["width"] > 100
    expect(page.get_by_text("1,160 later moments of 116 people")).to_be_visible()


@pytest.mark.usefixtures("evaluated")
def test_the_reliability_of_the_score_is_drawn_and_told_in_figures(open_page: OpenPage) -> None:
    page = open_page("?view=behind")
    expect(page.get_by_role("img", name=re.compile("56% predicted, 58% observed"))).to_be_visible()
    expect(page.locator(".reliability circle")).to_have_count(len(EVALUATION.reliability))
    expect(page.get_by_role("row", name="Average error 3.1%")).to_be_visible()


def test_figures_that_a_version_does_not_have_are_absent(open_page: OpenPage, service: PageService) -> None:
    service.start_afresh(manifest={"evaluation": None, "metrics": {"ndcg@10": 0.1873}})
    page = open_page("?view=behind")
    expect(page.get_by_text("This version has no such figures.")).to_have_count(2)
    expect(page.locator(".systems, .reliability")).to_have_count(0)
    expect(page.get_by_role("table", name="The ranker’s own figures")).to_contain_text("0.187")
    expect(page.get_by_role("link", name="This version in MLflow")).to_have_count(0)
    expect(page.get_by_role("link", name="Its asset in Dagster")).to_have_count(0)


def test_links_to_the_other_uis_are_shown_where_they_are_known(
    open_page: OpenPage, service: PageService
) -> None:
    service.start_afresh(mlflow_url="http://box:5000/", dagster_url="http://box:3000/")
    links = service.ask("/model")["links"]
    assert links["mlflow"] == "http://box:5000/#/models/movie-ranker/versions/3"
    page = open_page("?view=behind")
    for name, address in (("This version in MLflow", "mlflow"), ("Its asset in Dagster", "dagster")):
        expect(page.get_by_role("link", name=name)).to_have_attribute("href", links[address])


def test_calls_latencies_and_events_are_live(open_page: OpenPage, service: PageService) -> None:
    service.ask("/feedback", {"user_id": 42, "movie_id": 550, "event_type": "like"})
    page = open_page("?view=behind")

    def tile(label: str) -> Locator:
        return page.locator("mr-live .tiles div").filter(has_text=label).locator("dd")

    expect(tile("50% of rankings")).to_have_text("none yet")
    expect(tile("Events in")).to_have_text("1 (Liked 1)")
    page.evaluate(ASK, 4)
    expect(page.get_by_text("From 4 rankings of the last minute")).to_be_visible()
    expect(tile("50% of rankings")).to_have_text(re.compile(r"^[\d.,]+ ms$"))
    assert float(tile("Calls a second").inner_text()) > 0


def test_missing_metrics_are_not_an_error(
    open_page: OpenPage, service: PageService, allowed: list[str]
) -> None:
    allowed.append("Failed to load resource")
    page = open_page("?view=behind")
    page.locator("mr-live .tiles").wait_for()
    service.set_fault("down")
    expect(page.get_by_text("The service’s figures are not available right now.")).to_be_visible()
    service.set_fault("none")
    expect(page.locator("mr-live .tiles")).to_be_visible()


def test_long_names_and_figures_fit_a_phone(open_page: OpenPage) -> None:
    page = open_page("?view=behind", viewport={"width": 360, "height": 740})
    page.locator("mr-live .tiles").wait_for()
    assert overflow_of(page) == 0
