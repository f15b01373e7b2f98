"""`POST /explain`: why a movie is where it is in a ranking, or why it is not there."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.kernels.top_k import best_rows
from movierank_core.retrieval.fusion import fuse
from movierank_pipeline.release.log_run import Release
from tests.support.service import client_of, serve_version, settings_in
from tests.support.simulated import SimulatedRatings

N_LITTLE_KNOWN = 2
"""Candidates of user 3 that no sources but content would have found."""


@pytest.fixture(scope="module")
def client(
    release: Release, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(tmp_path_factory.mktemp("explain"))
    serve_version(settings, "1")
    publish_histories(
        simulated.interactions,
        settings.paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    with client_of(settings, lambda _: read_bundle(release.bundle, verify=False)) as client:
        yield client


def explain(client: TestClient[Litestar], movie_id: int, **body: Any) -> dict[str, Any]:
    response = client.post("/explain", json={"user_id": 3, "movie_id": movie_id, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert sum(answer["contributions"].values()) == pytest.approx(answer["raw_score"], abs=1e-9)
    if answer["served_by"] == "model":
        by_feature = sum(feature["contribution"] for feature in answer["features"])
        assert by_feature + answer["contributions"]["base"] == pytest.approx(answer["raw_score"], abs=1e-9)
    return answer


def rank(client: TestClient[Litestar], **body: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = client.post(
        "/rank", json={"user_id": 3, "k": 500, "explain": True, **body}
    ).json()["results"]
    return results


def test_every_ranked_movie_is_explained_as_it_was_ranked(client: TestClient[Litestar]) -> None:
    results = rank(client)
    assert len(results) == 40 + N_LITTLE_KNOWN
    for place, result in enumerate(results, start=1):
        answer = explain(client, result["movie_id"], k=10)
        assert (answer["rank"], answer["would_rank"], answer["n_candidates"]) == (place, place, len(results))
        assert answer["verdict"] == ("shown" if place <= 10 else "below_k")
        assert (answer["is_candidate"], answer["filtered_by"]) == (True, [])
        for name in ("score", "raw_score", "contributions", "reasons"):
            assert answer[name] == result[name]


def test_the_sources_of_a_candidate_are_those_that_propose_it(client: TestClient[Litestar]) -> None:
    model = client.app.state.worker.model.recommender.model
    history = client.app.state.worker.histories.histories.history_of(3)
    query = model.state.query(history, model.catalogue, 2_000_000_000)
    mask = model.eligible(query)
    proposals = {
        name: best_rows(source.scores(query), source.support.rows, mask, model.state.n_per_source)
        for name, source in model.state.sources.items()
        if model.state.fusion.get(name, 1.0) > 0
    }
    rows, _, _ = fuse(proposals, model.state.fusion, model.state.n_candidates)
    for row in [*rows[:5], *rows[-5:]]:
        answer = explain(client, int(model.catalogue.movie_ids[row]))
        assert [view["name"] for view in answer["sources"]] == list(model.state.sources)
        for view in answer["sources"]:
            proposed = proposals.get(view["name"], rows[:0])
            assert view["proposes"] == (row in proposed)
            if view["proposes"]:
                assert view["rank"] == proposed.tolist().index(row) + 1
            assert (view["rank"] is None) == (view["score"] <= 0)


def test_a_seen_movie_says_so_and_what_it_would_have_got(
    client: TestClient[Litestar], simulated: SimulatedRatings
) -> None:
    seen = simulated.ratings.filter(user_id=3)["movie_id"].to_list()
    brought_back = {r["movie_id"]: r for r in rank(client, exclude_seen=False)}
    for movie_id in seen[:5]:
        answer = explain(client, movie_id)
        assert (answer["verdict"], answer["filtered_by"], answer["rank"]) == ("filtered", ["seen"], None)
        assert 1 <= answer["would_rank"] <= answer["n_candidates"]
        assert 0 <= answer["score"] <= 1
    movie_id = next(movie_id for movie_id in seen if movie_id in brought_back)
    assert explain(client, movie_id, exclude_seen=False)["raw_score"] == brought_back[movie_id]["raw_score"]


def test_every_rule_that_keeps_a_movie_out_is_named(client: TestClient[Litestar]) -> None:
    movie = client.get("/movie/110").json()  # A comedy of 1990 in English.
    assert (movie["genres"], movie["release_year"], movie["runtime_minutes"]) == (
        ["Comedy", "Drama"], 1990, 100,
    )  # fmt: skip
    history = [{"movie_id": 110, "event_type": "not_interested"}]
    filters = {
        "genres_any": ["thriller"],
        "genres_all": ["comedy", "thriller"],
        "genres_none": ["drama"],
        "year_min": 1991,
        "year_max": 2020,
        "runtime_max": 99,
        "languages": ["de"],
        "min_votes": 10_000,
        "exclude_movie_ids": [110],
    }
    answer = explain(client, 110, user_id=None, history=history, filters=filters)
    assert answer["filtered_by"] == [
        "hidden",
        *(f"filters.{name}" for name in filters if name != "year_max"),
    ]
    assert answer["verdict"] == "filtered"


def test_a_movie_that_is_no_candidate_is_scored_as_one_more(client: TestClient[Litestar]) -> None:
    ranked = {result["movie_id"] for result in rank(client)}
    history = client.app.state.worker.histories.histories.history_of(3)
    others = set(range(10, 810, 10)) - ranked - set(history.movie_ids.tolist())
    assert others
    for movie_id in sorted(others)[:5]:
        answer = explain(client, movie_id)
        assert (answer["verdict"], answer["filtered_by"]) == ("not_a_candidate", [])
        assert (answer["is_candidate"], answer["rank"]) == (False, None)
        assert 1 <= answer["would_rank"] <= answer["n_candidates"] == len(ranked) + 1
        assert len(answer["features"]) > 20


def test_a_visitor_s_history_and_diversity_count(client: TestClient[Litestar]) -> None:
    body = {"user_id": None, "history": [{"movie_id": 20, "rating": 5}], "diversity": 0.9, "k": 5}
    shown = [result["movie_id"] for result in rank(client, **body)]
    for movie_id in shown:
        assert explain(client, movie_id, **body)["verdict"] == "shown"
    by_score = [result["movie_id"] for result in rank(client, **{**body, "diversity": 0, "k": 500})]
    passed_over = next(movie_id for movie_id in by_score if movie_id not in shown)
    answer = explain(client, passed_over, **body)
    assert (answer["verdict"], answer["rank"]) == ("below_k", by_score.index(passed_over) + 1)


def test_for_a_newcomer_popularity_is_explained(client: TestClient[Litestar]) -> None:
    [first] = rank(client, user_id=999_999, k=1)
    answer = explain(client, first["movie_id"], user_id=999_999)
    assert (answer["served_by"], answer["rank"], answer["features"]) == ("popularity", 1, [])
    assert answer["raw_score"] == first["raw_score"]
    assert answer["contributions"] == first["contributions"]
    ranked = {result["movie_id"] for result in rank(client, user_id=999_999)}
    outside = next(movie_id for movie_id in range(10, 810, 10) if movie_id not in ranked)
    answer = explain(client, outside, user_id=999_999)
    assert (answer["verdict"], answer["raw_score"]) == ("not_a_candidate", 0.0)
    assert answer["would_rank"] == answer["n_candidates"] == len(ranked) + 1


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"user_id": 3, "movie_id": 7}, 404, "The catalogue has no movie with id 7."),
        ({"user_id": 3}, 400, "The request is invalid: movie_id: required field is missing."),
        (
            {"movie_id": 10},
            400,
            "The request is invalid: user_id: required field is missing (or give a history).",
        ),
        (
            {"user_id": 3, "movie_id": "10"},
            400,
            "The request is invalid: movie_id: Expected `int`, got `str`.",
        ),
        ({"user_id": 3, "movie_id": 10, "x": 1}, 400, "The request is invalid: x: unknown field."),
    ],
)
def test_a_bad_question_is_refused(
    client: TestClient[Litestar], body: dict[str, Any], status: int, detail: str
) -> None:
    response = client.post("/explain", json=body)
    assert (response.status_code, response.json()["detail"]) == (status, detail)
    assert response.headers["content-type"] == "application/problem+json"


def test_an_explanation_that_fails_is_503(
    client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(client.app.state.worker.model.recommender, "explain", fail)
    response = client.post("/explain", json={"user_id": 3, "movie_id": 10})
    assert (response.status_code, response.json()["type"]) == (503, "urn:movierank:ranking-failed")
