"""The page on `movierank serve` with a trained model, with screenshots.

The data are a part of the built-in sample and, in the heavy variants, all of it and MovieLens
ml-latest-small. MOVIERANK_BROWSER_URL names another running service to test. The screenshots are in
`screenshots/`, or in MOVIERANK_SCREENSHOTS.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Watched, match_of, overflow_of, titles_of
from tests.support.data import test_data
from tests.support.trained_service import ask, service_of, train_once

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHOTS = Path(os.environ.get("MOVIERANK_SCREENSHOTS", Path(__file__).parent / "screenshots"))
WINDOWS = {"desktop": {"width": 1366, "height": 900}, "phone": {"width": 390, "height": 844}}
GIVEN_URL = os.environ.get("MOVIERANK_BROWSER_URL")
SHOWN = 24
ML_SMALL = "ml-latest-small"


@dataclass(frozen=True)
class RealService:
    """A running service with a trained model, and one user of its data."""

    label: str
    url: str
    user_id: int
    model: dict[str, Any]
    """What `GET /model` answers."""


@pytest.fixture(
    scope="module",
    params=["given"]
    if GIVEN_URL
    else ["sample", *(pytest.param(name, marks=pytest.mark.heavy) for name in ("whole-sample", ML_SMALL))],
)
def real_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealService]:
    if GIVEN_URL:
        yield look_at(request.param, GIVEN_URL)
        return
    label = request.param
    if label == "sample":
        trained = request.getfixturevalue("trained_sample")
    elif label == "whole-sample":
        label = "sample"
        trained = train_once("trained-sample", "--dataset", "sample")
    else:
        folder = test_data(ML_SMALL)
        facts = folder.parent / "tmdb" / "movies_metadata.parquet"
        enriched = ["--tmdb-file", str(facts)] if facts.exists() else []
        trained = train_once(f"trained-{ML_SMALL}", "--data-dir", str(folder), *enriched)
    with service_of(trained, tmp_path_factory.mktemp("service") / "home") as service:
        service.start()
        yield look_at(label, service.url)


def look_at(label: str, url: str) -> RealService:
    """With the first user who has a history of some length."""
    users = ask(url, "/users?limit=100")["results"]
    user_id = next(user["user_id"] for user in users if 40 <= user["n_events"] <= 400)
    return RealService(label, url.rstrip("/") + "/", user_id, ask(url, "/model"))


@pytest.fixture(
    params=[
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param(("desktop", "dark"), marks=pytest.mark.heavy),
        pytest.param(("phone", "light"), marks=pytest.mark.heavy),
    ],
    ids="-".join,
)
def watched(request: pytest.FixtureRequest, browser: Browser, real_service: RealService) -> Iterator[Watched]:
    window, theme = request.param
    context = browser.new_context(
        viewport=WINDOWS[window], color_scheme=theme, locale="en-GB", reduced_motion="reduce"
    )
    # Pictures may be out of reach where tests run; drawn posters stand in.
    yield Watched(
        context.new_page(), urlsplit(real_service.url).netloc, expected=("Failed to load resource",)
    )
    context.close()


def photograph(page: Page, name: str, request: pytest.FixtureRequest, *, full_page: bool = False) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{request.node.callspec.id}-{name}.png", full_page=full_page)
    assert overflow_of(page) == 0


def pick_user(page: Page, user_id: int) -> None:
    """As a visitor of the page does who wants to see somebody's list."""
    page.get_by_role("button", name="Change who is watching").click()
    panel = page.get_by_role("dialog", name="Who is watching?")
    panel.get_by_role("combobox").fill(str(user_id))
    panel.get_by_role("option", name=re.compile(rf"^User {user_id}\b")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"For user {user_id}")
    page.get_by_role("list", name="Recommendations").get_by_role("article").first.wait_for()


def check_that_the_data_is_named(page: Page, model: dict[str, Any]) -> None:
    strip, foot = page.get_by_role("complementary", name="Which data"), page.get_by_role("contentinfo")
    if model["ratings_are_simulated"]:
        expect(strip).to_have_text("Sample data: real films, simulated ratings.")
        expect(foot).to_contain_text("the films are real, the audience and its ratings are simulated.")
    else:
        expect(strip).to_have_text(f"Ratings from {model['dataset']}.")
        expect(foot).not_to_contain_text("simulated")
    served = f"version {model['model_version']}, trained on {model['dataset']} with data up to"
    expect(foot).to_contain_text(f"Serving movie-ranker {served}")


def test_the_data_is_what_it_says(real_service: RealService) -> None:
    if GIVEN_URL:
        pytest.skip("the service at MOVIERANK_BROWSER_URL may serve any data")
    model = real_service.model
    assert (model["dataset"], model["ratings_are_simulated"]) == (
        real_service.label,
        real_service.label == "sample",
    )
    assert model["n_movies"] > 1000
    assert model["metrics"]["ndcg@10"] > 0.05


def test_a_picked_user_gets_films_with_scores_and_reasons(
    watched: Watched, real_service: RealService, request: pytest.FixtureRequest
) -> None:
    page, user_id = watched.page, real_service.user_id
    page.goto(real_service.url)
    page.locator(".picks").get_by_role("button", pressed=False).first.wait_for()
    photograph(page, "start", request)
    pick_user(page, user_id)
    answer = ask(real_service.url, "/rank", {"user_id": user_id, "k": SHOWN})
    assert answer["known_user"]
    assert answer["served_by"] == "model"
    expect(page.locator(".match")).to_have_count(SHOWN)
    assert titles_of(page) == [result["title"] for result in answer["results"]]
    matches = [match_of(text) for text in page.locator(".match").all_inner_texts()]
    assert matches == [round(100 * result["score"]) for result in answer["results"]]
    assert page.locator(".first-reason:not(:empty)").count() == sum(
        bool(result["reasons"]) for result in answer["results"]
    )
    assert page.get_by_role("list", name="Recommendations").get_by_text("undefined").count() == 0
    check_that_the_data_is_named(page, real_service.model)
    page.wait_for_load_state("networkidle")
    photograph(page, "user", request)
    watched.check()


def test_every_view_of_a_user_shows_what_it_should(
    watched: Watched, real_service: RealService, request: pytest.FixtureRequest
) -> None:
    page, user_id = watched.page, real_service.user_id
    profile = ask(real_service.url, f"/users/{user_id}")
    page.goto(f"{real_service.url}?user={user_id}&view=profile")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"User {user_id}")
    row = page.get_by_role("row", name=profile["genres"][0]["name"]).first
    expect(row).to_contain_text(f"{profile['genres'][0]['n_movies']} films")
    expect(page.get_by_role("link", name=profile["history"][0]["title"]).first).to_be_visible()
    photograph(page, "profile", request)
    page.goto(f"{real_service.url}?user={user_id}&view=compare&b-variety=0.6")
    expect(page.get_by_text(re.compile(r"\d+ of 20 films in both"))).to_be_visible()
    photograph(page, "compare", request)
    page.goto(f"{real_service.url}?view=behind")
    tiles = page.locator(".tiles.model")
    expect(tiles).to_contain_text(real_service.model["dataset"])
    expect(tiles).to_contain_text(f"{real_service.model['n_movies']:,} films")
    evaluation = real_service.model["evaluation"]
    for metric in ("ndcg@10", "recall@100"):
        chart = page.get_by_role("table", name=re.compile(f"^{metric}", re.IGNORECASE))
        expect(chart.get_by_role("row")).to_have_count(len(evaluation["systems"]))
    assert {"movierank", "random", "popularity", "popularity_365d"} <= evaluation["systems"].keys()
    expect(page.locator(".reliability circle")).to_have_count(len(evaluation["reliability"]))
    page.locator("mr-live .tiles").wait_for()
    check_that_the_data_is_named(page, real_service.model)
    photograph(page, "behind", request, full_page=True)
    watched.check()


@pytest.mark.parametrize("watched", [("desktop", "light"), ("phone", "dark")], indirect=True, ids="-".join)
def test_three_favourites_give_a_list_with_reasons_and_a_dislike_changes_it(
    watched: Watched, real_service: RealService, request: pytest.FixtureRequest
) -> None:
    page = watched.page
    page.goto(real_service.url + "?view=start")
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
    photograph(page, "visitor", request)
    page.get_by_role("article").first.get_by_role("link").click()
    expect(page.get_by_role("dialog").get_by_role("rowheader", name="Sum")).to_be_visible()
    photograph(page, "film", request)
    watched.check()
