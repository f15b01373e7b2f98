"""What was shown is written down with its propensity, away from the requests and within bounds."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client import CollectorRegistry

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.errors import EventStoreError
from movierank_core.events.impressions import Shown, ShownRanking
from movierank_core.events.store import open_event_store
from movierank_core.recommender.results import COLD_ITEM_REASONS
from movierank_core.reranking.exploration import draw_ranking
from movierank_pipeline.release.log_run import Release
from movierank_serving.settings import Settings
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.impression_log import ImpressionLog
from tests.support.service import client_of, metric, serve_version, settings_in
from tests.support.simulated import SimulatedRatings
from tests.support.waiting import wait_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    serve_version(settings, "3")
    return settings


@pytest.fixture(scope="module")
def client(
    release: Release, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient[Litestar]]:
    """With a recommender that was trained."""
    settings = settings_in(tmp_path_factory.mktemp("impressions"))
    serve_version(settings, "3")
    publish_histories(
        simulated.interactions,
        settings.paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    with client_of(settings, lambda _: read_bundle(release.bundle, verify=False)) as client:
        yield client


def rank(client: TestClient[Litestar], **body: Any) -> dict[str, Any]:
    response = client.post("/rank", json={"user_id": 3, "k": 10, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def rows_of(client: TestClient[Litestar], request_id: str) -> list[dict[str, Any]]:
    def rows() -> list[dict[str, Any]]:
        frame = client.app.state.worker.store().impressions()
        found: list[dict[str, Any]] = frame.filter(request_id=request_id).to_dicts()
        return found

    return wait_for(rows, what="the impressions")


def test_every_position_is_written_down_as_it_was_answered(client: TestClient[Litestar]) -> None:
    answer = rank(client)
    rows = rows_of(client, answer["request_id"])
    assert [(row["position"], row["movie_id"], row["score"]) for row in rows] == [
        (place, result["movie_id"], result["score"])
        for place, result in enumerate(answer["results"], start=1)
    ]
    assert {(row["user_id"], row["model_version"], row["served_by"]) for row in rows} == {(3, "3", "model")}
    assert {(row["propensity"], row["explore"]) for row in rows} == {(1.0, 0.0)}


def test_without_explore_the_order_is_that_of_the_scores_every_time(client: TestClient[Litestar]) -> None:
    answers = [rank(client, k=40) for _ in range(3)]
    assert "propensity" not in answers[0]["results"][0]
    assert len({tuple(result["movie_id"] for result in answer["results"]) for answer in answers}) == 1
    moved_up = [set(COLD_ITEM_REASONS) <= set(result["reasons"]) for result in answers[0]["results"]]
    assert set(np.flatnonzero(moved_up).tolist()) <= {19, 39}, "places that are reserved"
    scores = [r["score"] for r, is_moved in zip(answers[0]["results"], moved_up, strict=True) if not is_moved]
    assert scores == sorted(scores, reverse=True)


def test_explore_draws_and_logs_the_true_propensities(client: TestClient[Litestar]) -> None:
    by_score = rank(client, k=500, explain=True)["results"]
    place_of = {result["movie_id"]: place for place, result in enumerate(by_score)}
    raw = np.array([result["raw_score"] for result in by_score])
    lists = set()
    for _ in range(5):
        answer = rank(client, k=12, explore=0.5)
        drawn = [place_of[result["movie_id"]] for result in answer["results"]]
        lists.add(tuple(drawn))
        weights = np.exp((raw - raw.max()) / (raw.std() * 0.5))
        left = np.ones(len(raw), bool)
        for place, result in zip(drawn, answer["results"], strict=True):
            assert result["propensity"] == pytest.approx(weights[place] / weights[left].sum())
            assert result["score"] == by_score[place]["score"]
            left[place] = False
        rows = rows_of(client, answer["request_id"])
        assert [row["propensity"] for row in rows] == [r["propensity"] for r in answer["results"]]
        assert {row["explore"] for row in rows} == {0.5}
    assert len(lists) == 5


def test_a_draw_of_the_service_is_one_of_draw_ranking(
    client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbits", lambda _: 42)
    by_score = rank(client, k=500, explain=True)["results"]
    raw = np.array([result["raw_score"] for result in by_score])
    order, _ = draw_ranking(raw, 10, 0.3, np.random.default_rng(42))
    drawn = [result["movie_id"] for result in rank(client, explore=0.3)["results"]]
    assert drawn == [by_score[place]["movie_id"] for place in order]


def test_newcomers_and_visitors_are_explored_too(client: TestClient[Litestar]) -> None:
    answer = rank(client, user_id=None, history=[{"movie_id": 7, "rating": 4}], explore=1.0)
    assert answer["served_by"] == "popularity"
    assert all(0 < result["propensity"] < 1 for result in answer["results"])
    assert {row["user_id"] for row in rows_of(client, answer["request_id"])} == {None}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"explore": -0.1}, "The request is invalid: explore: Expected `float` >= 0.0."),
        ({"explore": 1.5}, "The request is invalid: explore: Expected `float` <= 1.0."),
        ({"explore": "yes"}, "The request is invalid: explore: Expected `float`, got `str`."),
        (
            {"explore": 0.2, "diversity": 0.2},
            "The request is invalid: explore: not allowed together with diversity (no propensities).",
        ),
    ],
)
def test_a_bad_explore_is_refused(client: TestClient[Litestar], body: dict[str, Any], detail: str) -> None:
    response = client.post("/rank", json={"user_id": 3, **body})
    assert (response.status_code, response.json()["detail"]) == (400, detail)


def test_impressions_can_be_turned_off(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, impressions_kept=0)
    serve_version(settings, "1")
    with client_of(settings) as client:
        rank(client)
    store = open_event_store(settings.events_url)
    assert store.impressions().is_empty()
    store.close()


def test_what_waits_is_stored_when_the_service_ends(settings: Settings) -> None:
    with client_of(settings) as client:
        ids = [rank(client)["request_id"] for _ in range(20)]
    store = open_event_store(settings.events_url)
    assert set(store.impressions()["request_id"]) == set(ids)
    store.close()


def test_impressions_wait_for_a_store_that_is_away(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(settings.events_url.removeprefix("sqlite:///")).parent / "events.db"
    folder.mkdir(parents=True)
    with client_of(settings) as client:
        request_id = rank(client)["request_id"]
        wait_for(lambda: "impressions" in [record.message for record in caplog.records], "a failed write")
        folder.rmdir()
        wait_for(lambda: client.get("/health/ready").json()["events"] == "available", what="the event store")
        assert rows_of(client, request_id)
        assert metric(client, 'movierank_impressions_total{outcome="dropped"}') == 0


class Stuck:
    """A store that stores nothing until it is let, and may then refuse."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.stored: list[str] = []
        self.trimmed: list[int] = []
        self.refuses = False

    def append_rankings(self, rankings: list[ShownRanking]) -> None:
        self.let.wait()
        if self.refuses:
            raise EventStoreError("It is away")
        self.stored += [ranking.request_id for ranking in rankings]

    def trim_rankings(self, keep: int) -> None:
        self.trimmed.append(keep)


def note(log: ImpressionLog, request_id: str) -> None:
    log.add(
        request_id=request_id,
        user_id=1,
        model_version="1",
        served_by="model",
        explore=0.0,
        shown=[Shown(1, 0.5, 1.0)],
    )


def counted(metrics: Metrics, outcome: str) -> float:
    registry: CollectorRegistry = metrics._registry
    return registry.get_sample_value("movierank_impressions_total", {"outcome": outcome}) or 0.0


def test_a_full_buffer_drops_and_counts_and_never_waits() -> None:
    store, metrics = Stuck(), Metrics()
    log = ImpressionLog(lambda: store, 50, metrics, max_buffered=100)  # type: ignore[arg-type, return-value]
    log.start()
    for number in range(2_000):  # The store takes nothing: if a note waited, this would not end.
        note(log, str(number))
    assert counted(metrics, "dropped") >= 800
    store.let.set()
    log.close()
    assert counted(metrics, "stored") == len(store.stored)
    assert counted(metrics, "stored") + counted(metrics, "dropped") == 2_000
    assert store.stored[:100] == [str(number) for number in range(100)]
    assert store.trimmed
    assert set(store.trimmed) == {50}


def test_what_a_store_refuses_to_the_end_is_counted_as_dropped(caplog: pytest.LogCaptureFixture) -> None:
    store, metrics = Stuck(), Metrics()
    store.refuses = True
    store.let.set()
    log = ImpressionLog(lambda: store, 50, metrics, max_buffered=100)  # type: ignore[arg-type, return-value]
    log.start()
    for number in range(10):
        note(log, str(number))
    log.close()
    assert counted(metrics, "dropped") == 10
    assert [record.message for record in caplog.records] == ["impressions"]


def test_the_store_is_kept_to_its_bound(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, impressions_kept=30)
    store = open_event_store(settings.events_url)
    log = ImpressionLog(lambda: store, 30, Metrics())
    log.start()
    for number in range(1_500):
        note(log, f"{number:04}")
    log.close()
    kept = store.impressions()["request_id"].to_list()
    store.close()
    assert len(kept) < 600  # Thirty at each trimming, and what came since.
    assert kept[-1] == "1499"
