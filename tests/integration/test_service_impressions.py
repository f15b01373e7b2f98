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
from movierank_core.events.impressions import Impression, ServedMovie, ServedRanking
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


def rows_of(client: TestClient[Litestar], ranking_id: str) -> list[dict[str, Any]]:
    def rows() -> list[dict[str, Any]]:
        frame = client.app.state.worker.store().impressions()
        found: list[dict[str, Any]] = frame.filter(ranking_id=ranking_id).to_dicts()
        return found

    return wait_for(rows, what="the impressions")


def test_every_position_is_written_down_as_it_was_answered(client: TestClient[Litestar]) -> None:
    answer = rank(client, shown=10)
    rows = rows_of(client, answer["ranking_id"])
    assert [(row["position"], row["movie_id"], row["score"]) for row in rows] == [
        (place, result["movie_id"], result["score"])
        for place, result in enumerate(answer["results"], start=1)
    ]
    assert {(row["user_id"], row["model_version"], row["served_by"]) for row in rows} == {(3, "3", "model")}
    assert {(row["propensity"], row["explore"]) for row in rows} == {(1.0, 0.0)}


def show(client: TestClient[Litestar], ranking_id: str, movie_ids: list[int], user_id: int | None = 3) -> Any:
    body = {"ranking_id": ranking_id, "user_id": user_id, "movie_ids": movie_ids}
    return client.post("/impressions", json=body)


def test_a_ranking_alone_is_no_impression(client: TestClient[Litestar]) -> None:
    """Not even one that opens a film (`explain`) or compares two versions."""
    silent = [rank(client)["ranking_id"], rank(client, explain=True)["ranking_id"]]
    client.post("/explain", json={"user_id": 3, "movie_id": 7, "shown": 10})
    assert rows_of(client, rank(client, shown=1)["ranking_id"])  # Stored after the others.
    stored = set(client.app.state.worker.store().impressions()["ranking_id"])
    assert not stored & set(silent)


def test_a_client_says_later_which_movies_it_showed(client: TestClient[Litestar]) -> None:
    answer = rank(client, shown=2)
    movie_ids = [result["movie_id"] for result in answer["results"]]
    response = show(client, answer["ranking_id"], [movie_ids[5], movie_ids[1], 987_654])
    assert (response.status_code, response.json()) == (
        202,
        {"ranking_id": answer["ranking_id"], "accepted": True},
    )
    rows = wait_for(
        lambda: len(found := rows_of(client, answer["ranking_id"])) == 3 and found, what="the later ones"
    )
    assert [(row["position"], row["movie_id"]) for row in rows] == [
        (position, movie_ids[position - 1]) for position in (1, 2, 6)
    ]


def test_two_requests_with_one_id_have_two_rankings(client: TestClient[Litestar]) -> None:
    headers = {"X-Request-Id": "gateway-1"}
    answers = [
        client.post("/rank", json={"user_id": 3, "k": k, "shown": k}, headers=headers).json() for k in (4, 6)
    ]
    assert {answer["request_id"] for answer in answers} == {"gateway-1"}
    first, second = (answer["ranking_id"] for answer in answers)
    assert first != second
    assert "gateway-1" not in (first, second)
    assert [len(rows_of(client, ranking_id)) for ranking_id in (first, second)] == [4, 6]


def test_a_verdict_has_the_ranking_that_showed_the_movie(client: TestClient[Litestar]) -> None:
    answer = rank(client, user_id=77)
    event = {"user_id": 77, "movie_id": answer["results"][0]["movie_id"], "event_type": "like"}
    client.post("/feedback", json={**event, "ranking_id": answer["ranking_id"], "request_id": "trace"})
    stored = client.app.state.worker.store().read_all().filter(user_id=77).to_dicts()
    assert [(row["ranking_id"], row["request_id"]) for row in stored] == [(answer["ranking_id"], "trace")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ranking_id": "r", "movie_ids": []}, "movie_ids"),
        ({"ranking_id": "r", "movie_ids": [1] * 501}, "movie_ids"),
        ({"ranking_id": "", "movie_ids": [1]}, "ranking_id"),
        ({"movie_ids": [1]}, "ranking_id"),
        ({"ranking_id": "r", "movie_ids": ["1"]}, "movie_ids[0]"),
        ({"ranking_id": "r", "movie_ids": [1], "k": 1}, "k"),
    ],
)
def test_a_bad_message_about_impressions_is_refused(
    client: TestClient[Litestar], body: dict[str, Any], field: str
) -> None:
    response = client.post("/impressions", json=body)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


def test_a_full_buffer_refuses_impressions_so_that_the_client_can_send_them_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(settings) as client:
        monkeypatch.setattr(client.app.state.worker.impressions, "_add", lambda entry: False)
        response = show(client, "r", [1])
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["type"] == "urn:movierank:overloaded"


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
        answer = rank(client, k=12, explore=0.5, shown=12)
        drawn = [place_of[result["movie_id"]] for result in answer["results"]]
        lists.add(tuple(drawn))
        weights = np.exp((raw - raw.max()) / (raw.std() * 0.5))
        left = np.ones(len(raw), bool)
        for place, result in zip(drawn, answer["results"], strict=True):
            assert result["propensity"] == pytest.approx(weights[place] / weights[left].sum())
            assert result["score"] == by_score[place]["score"]
            left[place] = False
        rows = rows_of(client, answer["ranking_id"])
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
    answer = rank(client, user_id=None, history=[{"movie_id": 7, "rating": 4}], explore=1.0, shown=1)
    assert answer["served_by"] == "popularity"
    assert all(0 < result["propensity"] < 1 for result in answer["results"])
    assert {row["user_id"] for row in rows_of(client, answer["ranking_id"])} == {None}


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
        answer = rank(client, shown=10)
        assert show(client, answer["ranking_id"], [1]).status_code == 202
    store = open_event_store(settings.events_url)
    assert store.impressions().is_empty()
    store.close()


def test_what_waits_is_stored_when_the_service_ends(settings: Settings) -> None:
    with client_of(settings) as client:
        ids = [rank(client, shown=1)["ranking_id"] for _ in range(20)]
    store = open_event_store(settings.events_url)
    assert set(store.impressions()["ranking_id"]) == set(ids)
    assert len(set(ids)) == 20
    store.close()


def test_impressions_wait_for_a_store_that_is_away(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(settings.events_url.removeprefix("sqlite:///")).parent / "events.db"
    folder.mkdir(parents=True)
    with client_of(settings) as client:
        ranking_id = rank(client, shown=1)["ranking_id"]
        wait_for(lambda: "impressions" in [record.message for record in caplog.records], "a failed write")
        folder.rmdir()
        wait_for(lambda: client.get("/health/ready").json()["events"] == "available", what="the event store")
        assert rows_of(client, ranking_id)
        for kind in ("ranking", "impression"):
            assert metric(client, f'movierank_impressions_total{{kind="{kind}",outcome="dropped"}}') == 0
            assert metric(client, f'movierank_impressions_total{{kind="{kind}",outcome="stored"}}') == 1


class Stuck:
    """A store that stores nothing until it is let, and may then refuse."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.stored: list[str] = []
        self.trimmed: list[int] = []
        self.refuses = False

    def append_rankings(self, rankings: list[ServedRanking], impressions: list[Impression]) -> None:
        self.let.wait()
        if self.refuses:
            raise EventStoreError("It is away")
        self.stored += [ranking.ranking_id for ranking in rankings]

    def trim_rankings(self, keep: int) -> None:
        self.trimmed.append(keep)


def note(log: ImpressionLog, ranking_id: str) -> bool:
    return log.add_ranking(
        ranking_id=ranking_id,
        user_id=1,
        model_version="1",
        served_by="model",
        explore=0.0,
        movies=[ServedMovie(1, 0.5, 1.0)],
    )


def counted(metrics: Metrics, outcome: str) -> float:
    registry: CollectorRegistry = metrics._registry
    labels = {"kind": "ranking", "outcome": outcome}
    return registry.get_sample_value("movierank_impressions_total", labels) or 0.0


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
        log.add_impression(ranking_id=f"{number:04}", user_id=1, movie_ids=[1])
    log.close()
    kept = store.impressions()["ranking_id"].to_list()
    store.close()
    assert len(kept) < 600  # Thirty at each trimming, and what came since.
    assert kept[-1] == "1499"
