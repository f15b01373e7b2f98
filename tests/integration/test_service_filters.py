"""Every filter of `/rank`: what it lets through, and what it refuses to understand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.reranking.filters import Filters
from movierank_pipeline.release.log_run import Release
from tests.support.service import client_of, serve_version, settings_in
from tests.support.simulated import SimulatedRatings

Movie = dict[str, Any]


@pytest.fixture(scope="module")
def client(
    release: Release, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(tmp_path_factory.mktemp("filters"))
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


@pytest.fixture(scope="module")
def movies(client: TestClient[Litestar], simulated: SimulatedRatings) -> dict[int, Movie]:
    recommender = client.app.state.worker.model.recommender
    votes = recommender.model.state.movies.n_events.tolist()
    rows = simulated.catalogue.frame.to_dicts()
    return {row["movie_id"]: {**row, "votes": n} for row, n in zip(rows, votes, strict=True)}


def shown(client: TestClient[Litestar], **body: Any) -> set[int]:
    response = client.post("/rank", json={"user_id": 3, "k": 500, **body})
    assert response.status_code == 200, response.text
    return {result["movie_id"] for result in response.json()["results"]}


GOOD: list[tuple[dict[str, Any], Callable[[Movie], bool]]] = [
    ({"genres_any": ["drama", "Thriller"]}, lambda m: bool({"Drama", "Thriller"} & set(m["genres"]))),
    ({"genres_all": ["Comedy", "DRAMA"]}, lambda m: {"Comedy", "Drama"} <= set(m["genres"])),
    ({"genres_none": ["comedy"]}, lambda m: "Comedy" not in m["genres"]),
    ({"year_min": 2000}, lambda m: m["release_year"] >= 2000),
    ({"year_max": 1999}, lambda m: m["release_year"] <= 1999),
    ({"year_min": 1990, "year_max": 1992}, lambda m: m["release_year"] in (1990, 1991, 1992)),
    ({"runtime_min": 120}, lambda m: m["runtime_minutes"] >= 120),
    ({"runtime_max": 100}, lambda m: m["runtime_minutes"] <= 100),
    ({"languages": ["FR"]}, lambda m: m["original_language"] == "fr"),
    ({"min_votes": 20}, lambda m: m["votes"] >= 20),
    ({"max_votes": 20}, lambda m: m["votes"] <= 20),
    ({"exclude_movie_ids": list(range(10, 410, 10))}, lambda m: m["movie_id"] > 400),
    (
        {"genres_none": ["drama"], "languages": ["en"], "year_min": 1985, "runtime_max": 130},
        lambda m: (
            "Drama" not in m["genres"]
            and m["original_language"] == "en"
            and m["release_year"] >= 1985
            and m["runtime_minutes"] <= 130
        ),
    ),
]


@pytest.mark.parametrize(("filters", "passes"), GOOD, ids=[str(filters)[:40] for filters, _ in GOOD])
def test_only_what_passes_is_shown_and_the_list_is_filled_up_with_it(
    client: TestClient[Litestar], movies: dict[int, Movie], filters: Any, passes: Callable[[Movie], bool]
) -> None:
    found = shown(client, filters=filters)
    history = client.app.state.worker.histories.histories.history_of(3)
    could_be = {n for n, movie in movies.items() if passes(movie)} - set(history.movie_ids.tolist())
    assert found
    assert found <= could_be
    # Filters come before retrieval: few movies that pass are found, not only those of the unfiltered list.
    assert len(found) == min(len(could_be), 40) or len(found) >= 0.8 * len(could_be)
    assert found != shown(client)


def test_every_field_of_the_filters_is_tried() -> None:
    tried = {name for filters, _ in GOOD for name in filters}
    assert tried == set(Filters.__struct_fields__)


def test_seen_movies_come_back_when_asked_for_and_hidden_ones_never(client: TestClient[Litestar]) -> None:
    history = [
        {"movie_id": 110, "rating": 5},
        {"movie_id": 120, "event_type": "not_interested"},
        {"movie_id": 130, "event_type": "like"},
    ]
    few = {"year_min": 1990, "year_max": 1992}
    without = shown(client, user_id=None, history=history, filters=few)
    everything = shown(client, user_id=None, history=history, filters=few, exclude_seen=False)
    assert not {110, 120, 130} & without
    assert {110, 130} <= everything
    assert 120 not in everything


def test_where_nothing_passes_the_list_is_empty(client: TestClient[Litestar]) -> None:
    for filters in ({"genres_any": ["Western"]}, {"genres_any": []}, {"year_min": 2999}):
        assert shown(client, filters=filters) == set()


BAD = [
    ({"genres_any": "drama"}, "filters.genres_any", "Expected `array | null`, got `str`"),
    ({"genres_all": [1]}, "filters.genres_all[0]", "Expected `str`, got `int`"),
    ({"genres_none": {"a": 1}}, "filters.genres_none", "Expected `array | null`, got `object`"),
    ({"year_min": "1990"}, "filters.year_min", "Expected `int | null`, got `str`"),
    ({"year_max": 1990.5}, "filters.year_max", "Expected `int | null`, got `float`"),
    (
        {"year_min": 1991, "year_max": 1990},
        "filters.year_min",
        "1991 is greater than year_max, which is 1990",
    ),
    ({"runtime_min": True}, "filters.runtime_min", "Expected `int | null`, got `bool`"),
    (
        {"runtime_max": 2**60},
        "filters.runtime_max",
        "Expected `int` between -9007199254740992 and 9007199254740992",
    ),
    ({"languages": [None]}, "filters.languages[0]", "Expected `str`, got `null`"),
    ({"min_votes": "many"}, "filters.min_votes", "Expected `int | null`, got `str`"),
    ({"max_votes": 2.5}, "filters.max_votes", "Expected `int | null`, got `float`"),
    ({"exclude_movie_ids": ["550"]}, "filters.exclude_movie_ids[0]", "Expected `int`, got `str`"),
    ({"directors": ["x"]}, "filters.directors", "unknown field"),
]


@pytest.mark.parametrize(("filters", "field", "message"), BAD)
def test_a_bad_filter_is_refused(
    client: TestClient[Litestar], filters: dict[str, Any], field: str, message: str
) -> None:
    for path, more in (("/rank", {}), ("/explain", {"movie_id": 10})):
        response = client.post(path, json={"user_id": 3, "filters": filters, **more})
        assert response.status_code == 400
        assert response.json()["errors"] == [{"field": field, "message": message}]


def test_a_bad_exclude_seen_is_refused(client: TestClient[Litestar]) -> None:
    response = client.post("/rank", json={"user_id": 3, "exclude_seen": "no"})
    assert response.json()["errors"] == [{"field": "exclude_seen", "message": "Expected `bool`, got `str`"}]


def test_the_time_of_filters_is_in_the_stages(client: TestClient[Litestar]) -> None:
    recommender = client.app.state.worker.model.recommender
    assert "facets" in vars(recommender.catalogue)  # Made at load, before the first request.
    shown(client, filters={"genres_any": ["drama"]})
    assert 'movierank_rank_stage_seconds_count{stage="eligibility"}' in client.get("/metrics").text
