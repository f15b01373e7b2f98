"""When a part of the model fails or the time is short: a lesser answer that says what it is, never a 500."""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.recommender import Recommender
from movierank_pipeline.release.log_run import Release
from tests.support.service import client_of, metric, serve_version, settings_in
from tests.support.simulated import SimulatedRatings

LEFT_OUT = "movierank_ranking_parts_left_out_total"


class Broken:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} today")


class BrokenSource(Broken):
    """A candidate source that raises when it is asked for scores."""

    cold_user_weight = 0.0


@pytest.fixture
def recommender(release: Release) -> Recommender:
    return read_bundle(release.bundle, verify=False)


@pytest.fixture
def client(
    recommender: Recommender, simulated: SimulatedRatings, tmp_path: Path
) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    publish_histories(
        simulated.interactions,
        settings.paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    with client_of(settings, lambda _: recommender) as client:
        yield client


def replace_part(recommender: Recommender, **parts: Any) -> None:
    recommender.model = dataclasses.replace(recommender.model, **parts)


def rank(client: TestClient[Litestar], **more: Any) -> dict[str, Any]:
    response = client.post("/rank", json={"user_id": 3, "k": 10, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def movies(answer: dict[str, Any]) -> list[int]:
    return [result["movie_id"] for result in answer["results"]]


def seen(simulated: SimulatedRatings) -> set[int]:
    return set(simulated.ratings.filter(user_id=3)["movie_id"])


def without_trees(recommender: Recommender, patch: pytest.MonkeyPatch) -> None:
    replace_part(recommender, trees=Broken())


def without_features(recommender: Recommender, patch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("a feature")

    patch.setattr("movierank_core.recommender.model.assemble", fail)


def with_scores_that_are_no_numbers(recommender: Recommender, patch: pytest.MonkeyPatch) -> None:
    values = np.full_like(recommender.model.trees.leaf_value, np.nan)
    replace_part(recommender, trees=dataclasses.replace(recommender.model.trees, leaf_value=values))


@pytest.mark.parametrize("trouble", [without_trees, without_features, with_scores_that_are_no_numbers])
def test_without_the_ranker_the_fused_candidates_are_shown(
    client: TestClient[Litestar],
    recommender: Recommender,
    simulated: SimulatedRatings,
    trouble: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_model = rank(client)
    assert (by_model["served_by"], "left_out" in by_model) == ("model", False)
    trouble(recommender, monkeypatch)
    answer = rank(client, explain=True)
    assert answer["served_by"] == "candidates"
    assert answer["left_out"] == [{"part": "model", "why": "failure"}]
    model: RankingModel = recommender.model
    history = client.app.state.worker.histories.histories.history_of(3)
    query = model.state.query(history, model.catalogue, 2_000_000_000)
    fused = model.state.candidates(query, model.eligible(query))
    assert movies(answer) == model.catalogue.movie_ids[fused.rows[:10]].tolist()
    assert [result["raw_score"] for result in answer["results"]] == fused.fused[:10].tolist()
    assert not seen(simulated) & set(movies(answer))
    for result in answer["results"]:
        assert result["reasons"] == []
        assert sum(result["contributions"].values()) == result["raw_score"]
        assert 0 <= result["score"] <= 1


def test_without_candidates_recent_popularity_is_shown(
    client: TestClient[Litestar], recommender: Recommender, simulated: SimulatedRatings
) -> None:
    sources = dict(recommender.model.state.sources, ease_likes=BrokenSource())
    replace_part(recommender, state=dataclasses.replace(recommender.model.state, sources=sources))
    answer = rank(client)
    assert answer["served_by"] == "popularity"
    assert answer["left_out"] == [{"part": "candidates", "why": "failure"}]
    assert len(movies(answer)) == 10
    assert not seen(simulated) & set(movies(answer))
    assert {tuple(result["reasons"]) for result in answer["results"]} == {("popular_lately",)}
    newcomer = rank(client, user_id=987_654)
    assert (newcomer["served_by"], "left_out" in newcomer) == ("popularity", False)


def test_without_reasons_the_model_s_order_stays(
    client: TestClient[Litestar], recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rank(client)
    monkeypatch.setattr(type(recommender.model.trees), "shapley_values", Broken().__getattr__)
    answer = rank(client, explain=True)
    assert (answer["served_by"], answer["left_out"]) == ("model", [{"part": "reasons", "why": "failure"}])
    assert [(r["movie_id"], r["score"]) for r in answer["results"]] == [
        (r["movie_id"], r["score"]) for r in whole["results"]
    ]
    assert all(r["reasons"] == [] and "contributions" not in r for r in answer["results"])


def test_filters_hold_in_every_degraded_answer(
    client: TestClient[Litestar], recommender: Recommender
) -> None:
    comedies = {"filters": {"genres_any": ["comedy"], "year_min": 1990}}
    expected = set(movies(rank(client, k=500, **comedies)))
    replace_part(recommender, trees=Broken())
    by_candidates = rank(client, k=500, **comedies)
    state = recommender.model.state
    sources = dict(state.sources, hazard_markov=BrokenSource())
    replace_part(recommender, state=dataclasses.replace(state, sources=sources))
    by_popularity = rank(client, k=500, **comedies)
    assert (by_candidates["served_by"], by_popularity["served_by"]) == ("candidates", "popularity")
    assert set(movies(by_candidates)) == expected
    assert set(movies(by_popularity)) >= expected
    catalogue = recommender.catalogue.frame
    for row in catalogue.filter(catalogue["movie_id"].is_in(movies(by_popularity))).iter_rows(named=True):
        assert "Comedy" in row["genres"]
        assert row["release_year"] >= 1990


def test_a_failure_is_logged_once_and_counted_each_time(
    client: TestClient[Litestar], recommender: Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    replace_part(recommender, trees=Broken())
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            rank(client)
    [record] = [record for record in caplog.records if record.message == "ranking failed"]
    assert record.error == "RuntimeError: no predict today"  # type: ignore[attr-defined]
    assert record.exc_info
    assert metric(client, f'{LEFT_OUT}{{part="model",why="failure"}}') == 3
    assert metric(client, 'movierank_rankings_total{served_by="candidates"}') == 3


def test_where_nothing_can_be_ranked_it_is_503_and_not_500(
    client: TestClient[Litestar], recommender: Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    replace_part(recommender, state=Broken())
    response = client.post("/rank", json={"user_id": 3})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:movierank:ranking-failed"
    assert "no query today" not in response.text
    assert "no query today" in caplog.text


@pytest.mark.parametrize(
    ("slow", "served_by"), [("candidates", "popularity"), ("model", "candidates"), ("reasons", "model")]
)
def test_what_would_come_after_the_deadline_is_left_out(
    client: TestClient[Litestar], slow: Any, served_by: str
) -> None:
    client.app.state.worker.model.latency.observe(slow, 120.0)
    answer = rank(client)
    assert answer["served_by"] == served_by
    assert answer["left_out"] == [{"part": slow, "why": "deadline"}]
    assert len(answer["results"]) == 10
    assert metric(client, f'{LEFT_OUT}{{part="{slow}",why="deadline"}}') == 1


def test_the_deadline_counts_from_the_request_s_arrival(
    recommender: Recommender, simulated: SimulatedRatings, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, rank_deadline_ms=0.001)
    serve_version(settings, "1")
    with client_of(settings, lambda _: recommender) as client:
        history = [{"movie_id": 10, "rating": 5}]
        answer = client.post("/rank", json={"history": history, "k": 5}).json()
    assert (answer["served_by"], len(answer["results"])) == ("popularity", 5)
    assert answer["left_out"] == [{"part": "candidates", "why": "deadline"}]
