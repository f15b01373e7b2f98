"""What the service answers, and the exact error for everything that it refuses."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from movierank_serving.settings import Settings
from tests.support.service import FakeRecommender, client_of, publish, serve_version, settings_in

JSON = {"Content-Type": "application/json"}
EVENT_TYPES = "rating, like, dislike, click, not_interested, seen"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    serve_version(settings, "3")
    publish(settings, (7, 550, "rating", 4.0, 100), (7, 603, "click", None, 200), (12, 1, "like", 4.5, 50))
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient[Litestar]]:
    with client_of(settings) as client:
        yield client


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    """For requests that change nothing."""
    settings = settings_in(tmp_path_factory.mktemp("shared"))
    serve_version(settings, "3")
    publish(settings, (7, 550, "rating", 4.0, 100))
    with client_of(settings) as client:
        yield client


def recommender_of(client: TestClient[Litestar]) -> FakeRecommender:
    recommender: FakeRecommender = client.app.state.worker.model.recommender
    return recommender


def assert_problem(response: Response, status: int, code: str, detail: str) -> dict[str, Any]:
    """A problem document with these members, and the headers that go with it."""
    problem: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"]) == (status, status)
    assert problem["type"] == f"urn:movierank:{code}"
    assert problem["detail"] == detail
    assert problem["title"]
    assert response.headers["x-request-id"]
    return problem


def test_rank_answers_in_the_shape_that_applications_rely_on(client: TestClient[Litestar]) -> None:
    response = client.post("/rank", json={"user_id": 7, "k": 2})
    answer = response.json()
    assert response.status_code == 200
    assert answer.pop("latency_ms") > 0
    assert answer.pop("request_id") == response.headers["x-request-id"]
    assert len(answer.pop("ranking_id")) == 24
    assert answer == {
        "user_id": 7,
        "results": [
            {
                "movie_id": 1,
                "score": 0.9,
                "title": "Amélie",
                "poster_url": None,
                "reasons": ["popular_lately"],
                "tmdb_id": 194,
                "release_year": 2001,
                "genres": ["Comedy", "Romance"],
            },
            {
                "movie_id": 603,
                "score": pytest.approx(0.7),
                "title": "The Matrix",
                "poster_url": None,
                "reasons": ["popular_lately"],
                "tmdb_id": 603,
                "release_year": 1999,
                "genres": ["Action"],
            },
        ],
        "model_version": "3",
        "data_as_of": "2024-01-01T00:00:00+00:00",
        "known_user": True,
        "n_history": 2,
        "served_by": "model",
    }


def test_k_is_25_unless_given_and_bounded_by_the_catalogue(shared_client: TestClient[Litestar]) -> None:
    assert len(shared_client.post("/rank", json={"user_id": 1}).json()["results"]) == 5
    assert len(shared_client.post("/rank", json={"user_id": 1, "k": 500}).json()["results"]) == 5


def test_an_unknown_user_is_a_newcomer(client: TestClient[Litestar]) -> None:
    answer = client.post("/rank", json={"user_id": 999}).json()
    assert (answer["known_user"], answer["n_history"], answer["served_by"]) == (False, 0, "popularity")
    assert len(answer["results"]) == 5


def test_a_visitor_is_ranked_by_their_own_history(shared_client: TestClient[Litestar]) -> None:
    history = [
        {"movie_id": 550, "rating": 5},
        {"movie_id": 1, "event_type": "not_interested", "timestamp": 5},
    ]
    answer = shared_client.post("/rank", json={"history": history}).json()
    assert (answer["user_id"], answer["known_user"], answer["n_history"]) == (None, False, 2)
    assert [result["movie_id"] for result in answer["results"]] == [603, 604, 700]


def test_a_request_s_history_comes_after_what_is_known_of_the_user(client: TestClient[Litestar]) -> None:
    client.post("/rank", json={"user_id": 7, "history": [{"movie_id": 604, "event_type": "like"}]})
    history, _, _ = recommender_of(client).asked[-1]
    assert history.movie_ids.tolist() == [550, 603, 604]


def test_movies_of_a_history_that_the_catalogue_lacks_are_named(shared_client: TestClient[Litestar]) -> None:
    history = [{"movie_id": 9, "rating": 5}, {"movie_id": 8, "rating": 5}, {"movie_id": 1, "rating": 5}]
    assert shared_client.post("/rank", json={"history": history}).json()["unknown_movie_ids"] == [8, 9]


def test_options_reach_the_recommender(client: TestClient[Litestar]) -> None:
    body = {
        "user_id": 7,
        "exclude_seen": False,
        "diversity": 0.5,
        "filters": {"genres_any": ["Action"], "year_min": 1990},
    }
    client.post("/rank", json=body)
    _, _, options = recommender_of(client).asked[-1]
    assert (options.exclude_seen, options.diversity) == (False, 0.5)
    assert options.filters is not None
    assert (options.filters.genres_any, options.filters.year_min) == (["Action"], 1990)


def test_an_explanation_is_given_when_asked_for(shared_client: TestClient[Litestar]) -> None:
    [result] = shared_client.post("/rank", json={"user_id": 7, "k": 1, "explain": True}).json()["results"]
    assert result["raw_score"] == 2.0
    assert result["contributions"] == {"base": 1.5, "popular_lately": 0.5}


def test_events_of_this_second_count(client: TestClient[Litestar]) -> None:
    client.post("/feedback", json={"user_id": 5, "movie_id": 550, "event_type": "like"})
    client.post("/rank", json={"user_id": 5})
    history, as_of, _ = recommender_of(client).asked[-1]
    assert len(history.before(as_of)) == 1
    assert as_of <= time.time() + 2


BAD_RANK_BODIES = [
    ({"user_id": "1"}, "user_id", "Expected `int | null`, got `str`"),
    ({"user_id": 1.5}, "user_id", "Expected `int | null`, got `float`"),
    ({"user_id": -1}, "user_id", "Expected `int` >= 0"),
    ({"user_id": 2**53}, "user_id", "Expected `int` <= 9007199254740991"),
    ({"user_id": True}, "user_id", "Expected `int | null`, got `bool`"),
    ({"user_id": 1, "k": 0}, "k", "Expected `int` >= 1"),
    ({"user_id": 1, "k": -1}, "k", "Expected `int` >= 1"),
    ({"user_id": 1, "k": 501}, "k", "Expected `int` <= 500"),
    ({"user_id": 1, "k": 2.5}, "k", "Expected `int`, got `float`"),
    ({"user_id": 1, "k": "10"}, "k", "Expected `int`, got `str`"),
    ({"user_id": 1, "k": None}, "k", "Expected `int`, got `null`"),
    ({"user_id": 1, "limit": 3}, "limit", "unknown field"),
    ({}, "user_id", "required field is missing (or give a history)"),
    ({"user_id": 1, "diversity": 1.1}, "diversity", "Expected `float` <= 1.0"),
    ({"user_id": 1, "exclude_seen": "yes"}, "exclude_seen", "Expected `bool`, got `str`"),
    ({"user_id": 1, "filters": {"genre": ["Action"]}}, "filters.genre", "unknown field"),
    ({"user_id": 1, "filters": {"year_min": "1990"}}, "filters.year_min", "Expected `int | null`, got `str`"),
    (
        {"user_id": 1, "filters": {"year_min": 2**60}},
        "filters.year_min",
        "Expected `int` between -9007199254740992 and 9007199254740992",
    ),
    (
        {"user_id": 1, "filters": {"exclude_movie_ids": [1, -(2**60)]}},
        "filters.exclude_movie_ids[1]",
        "Expected `int` between -9007199254740992 and 9007199254740992",
    ),
    (
        {"user_id": 1, "filters": {"year_min": 2001, "year_max": 2000}},
        "filters.year_min",
        "2001 is greater than year_max, which is 2000",
    ),
    (
        {"user_id": 1, "filters": {"runtime_min": 90, "runtime_max": 60}},
        "filters.runtime_min",
        "90 is greater than runtime_max, which is 60",
    ),
    ({"history": [{"movie_id": 1}]}, "history[0]", "neither rating nor event_type is given"),
    ({"history": [{"rating": 4}]}, "history[0].movie_id", "required field is missing"),
    ({"history": [{"movie_id": 1, "rating": 5.5}]}, "history[0].rating", "Expected `float` <= 5.0"),
    ({"history": [{"movie_id": 1, "rating": 0}]}, "history[0].rating", "Expected `float` >= 0.5"),
    (
        {"history": [{"movie_id": 1, "event_type": "rating"}]},
        "history[0].rating",
        "required with event_type rating",
    ),
    (
        {"history": [{"movie_id": 1, "event_type": "like", "rating": 4}]},
        "history[0].rating",
        "not allowed with event_type like",
    ),
    (
        {"history": [{"movie_id": 1, "event_type": "undo"}]},
        "history[0].event_type",
        f"Invalid enum value 'undo', expected one of {EVENT_TYPES}",
    ),
    (
        {"history": [{"movie_id": 1, "rating": 4, "timestamp": 99_999_999_999}]},
        "history[0].timestamp",
        "99999999999 is in the future",
    ),
    ({"history": [{"movie_id": 1, "rating": 4}] * 1001}, "history", "Expected `array` of length <= 1000"),
]


@pytest.mark.parametrize(("body", "field", "message"), BAD_RANK_BODIES)
def test_a_bad_rank_request_is_refused(
    shared_client: TestClient[Litestar], body: dict[str, Any], field: str, message: str
) -> None:
    problem = assert_problem(
        shared_client.post("/rank", json=body),
        400,
        "invalid-request",
        f"The request is invalid: {field}: {message}.",
    )
    assert problem["errors"] == [{"field": field, "message": message}]


BAD_FEEDBACK_BODIES = [
    ({"movie_id": 1, "event_type": "like"}, "user_id", "required field is missing"),
    ({"user_id": 1, "event_type": "like"}, "movie_id", "required field is missing"),
    ({"user_id": 1, "movie_id": 1}, "event_type", "required field is missing"),
    (
        {"user_id": 1, "movie_id": 1, "event_type": "love"},
        "event_type",
        f"Invalid enum value 'love', expected one of {EVENT_TYPES}, undo",
    ),
    ({"user_id": 1, "movie_id": 1, "event_type": "rating"}, "value", "required with event_type rating"),
    (
        {"user_id": 1, "movie_id": 1, "event_type": "like", "value": 4},
        "value",
        "not allowed with event_type like",
    ),
    ({"user_id": 1, "movie_id": 1, "event_type": "rating", "value": 5.5}, "value", "Expected `float` <= 5.0"),
    ({"user_id": 1, "movie_id": 1, "event_type": "rating", "value": 0.4}, "value", "Expected `float` >= 0.5"),
    (
        {"user_id": 1, "movie_id": 1, "event_type": "rating", "value": "4"},
        "value",
        "Expected `float | null`, got `str`",
    ),
    ({"user_id": 1, "movie_id": "1", "event_type": "like"}, "movie_id", "Expected `int`, got `str`"),
    ({"user_id": 1, "movie_id": 1, "event_type": "like", "when": 3}, "when", "unknown field"),
    (
        {"user_id": 1, "movie_id": 1, "event_type": "like", "event_id": ""},
        "event_id",
        "Expected `str` matching regex '^[A-Za-z0-9._:-]+$'",
    ),
    (
        {"user_id": 1, "movie_id": 1, "event_type": "like", "event_id": "x" * 65},
        "event_id",
        "Expected `str` of length <= 64",
    ),
]


@pytest.mark.parametrize(("body", "field", "message"), BAD_FEEDBACK_BODIES)
def test_a_bad_feedback_request_is_refused(
    shared_client: TestClient[Litestar], body: dict[str, Any], field: str, message: str
) -> None:
    problem = assert_problem(
        shared_client.post("/feedback", json=body),
        400,
        "invalid-request",
        f"The request is invalid: {field}: {message}.",
    )
    assert problem["errors"] == [{"field": field, "message": message}]
    assert shared_client.app.state.worker.store().count() == 0


@pytest.mark.parametrize("path", ["/rank", "/feedback"])
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The request is invalid: the body is empty."),
        (b"{", "The request is invalid: the body is not JSON (Input data was truncated)."),
        (
            b"user_id=1",
            "The request is invalid: the body is not JSON (JSON is malformed: invalid character (byte 0)).",
        ),
        (
            b'{"user_id": NaN}',
            "The request is invalid: the body is not JSON (JSON is malformed: invalid character (byte 12)).",
        ),
        (b"[]", "The request is invalid: Expected `object`, got `array`."),
        (b"null", "The request is invalid: Expected `object`, got `null`."),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    shared_client: TestClient[Litestar], path: str, body: bytes, detail: str
) -> None:
    assert_problem(shared_client.post(path, content=body, headers=JSON), 400, "invalid-request", detail)


def test_a_body_in_another_encoding_is_refused(shared_client: TestClient[Litestar]) -> None:
    body = json.dumps({"user_id": 1, "filters": {"languages": ["é"]}}, ensure_ascii=False).encode("latin-1")
    response = shared_client.post("/rank", content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("The request is invalid: the body is not JSON ('utf-8' codec")


@pytest.mark.parametrize(
    ("headers", "shown"), [({"Content-Type": "text/plain"}, "text/plain"), ({}, "missing")]
)
def test_a_body_of_another_type_is_refused(
    shared_client: TestClient[Litestar], headers: dict[str, str], shown: str
) -> None:
    response = shared_client.post("/rank", content=b'{"user_id": 1}', headers=headers)
    assert_problem(
        response, 415, "unsupported-media-type", f"The Content-Type is {shown}. Expected: application/json."
    )


def test_a_body_over_64_kib_is_refused(shared_client: TestClient[Litestar]) -> None:
    body = b'{"user_id": 1' + b" " * 65_536 + b"}"
    detail = "The body of the request is too large."
    assert_problem(shared_client.post("/rank", content=body, headers=JSON), 413, "body-too-large", detail)

    def chunks() -> Iterator[bytes]:
        yield from (body[start : start + 10_000] for start in range(0, len(body), 10_000))

    assert_problem(shared_client.post("/rank", content=chunks(), headers=JSON), 413, "body-too-large", detail)


def test_feedback_is_acknowledged_and_counts_once(client: TestClient[Litestar]) -> None:
    body = {"user_id": 7, "movie_id": 1, "event_type": "rating", "value": 2.5, "event_id": "e-1"}
    first, second = client.post("/feedback", json=body), client.post("/feedback", json=body)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == {"event_id": "e-1", "accepted": True, "duplicate": False, "known_movie": True}
    assert second.json() == {"event_id": "e-1", "accepted": True, "duplicate": True, "known_movie": True}
    assert client.app.state.worker.store().read_all()["value"].to_list() == [2.5]


def test_feedback_changes_the_next_ranking_and_undo_takes_it_back(client: TestClient[Litestar]) -> None:
    def movies() -> list[int]:
        results = client.post("/rank", json={"user_id": 7}).json()["results"]
        return [result["movie_id"] for result in results]

    before = movies()
    assert before[0] == 1
    for event_type, expected in (("like", before[1:]), ("undo", before), ("not_interested", before[1:])):
        client.post("/feedback", json={"user_id": 7, "movie_id": 1, "event_type": event_type})
        assert movies() == expected


def test_a_movie_is_shown_with_everything_that_is_known(shared_client: TestClient[Litestar]) -> None:
    movie = shared_client.get("/movie/550").json()
    shape = {"movie_id", "title", "release_year", "genres", "tmdb_vote_avg", "tmdb_popularity"}
    assert {name: movie[name] for name in shape | {"poster_url", "overview"}} == {
        "movie_id": 550,
        "title": "Fight Club",
        "release_year": 1999,
        "genres": ["Drama", "Thriller"],
        "tmdb_vote_avg": 8.4,
        "tmdb_popularity": 62.1,
        "poster_url": "https://image.tmdb.org/t/p/w342/poster.jpg",
        "overview": "Two men fight.",
    }
    assert (movie["imdb_id"], movie["runtime_minutes"]) == ("tt0137523", 139)
    assert shared_client.get("/movie/tmdb/55000").json() == movie


def test_a_movie_without_facts_is_shown_with_nulls(shared_client: TestClient[Litestar]) -> None:
    movie = shared_client.get("/movie/700").json()
    assert (movie["title"], movie["genres"]) == ("A Film Without Facts", [])
    assert [movie[name] for name in ("release_year", "poster_url", "tmdb_vote_avg", "tmdb_id")] == [None] * 4


@pytest.mark.parametrize(
    ("path", "status", "code", "detail"),
    [
        ("/movie/2", 404, "unknown-movie", "The catalogue has no movie with id 2."),
        ("/movie/2/similar", 404, "unknown-movie", "The catalogue has no movie with id 2."),
        ("/movie/tmdb/2", 404, "unknown-movie", "The catalogue has no movie with TMDB id 2."),
        ("/movie/-1", 400, "invalid-request", "The request is invalid: movie_id: Expected `int` >= 0."),
        (
            "/movie/99999999999999999999",
            400,
            "invalid-request",
            "The request is invalid: movie_id: Expected `int` <= 9007199254740991.",
        ),
        ("/movie/abc", 404, "not-found", "No such route or file. /schema lists the routes."),
        ("/movie/550/similar?k=0", 400, "invalid-request", "The request is invalid: k: Expected `int` >= 1."),
        (
            "/movie/550/similar?k=many",
            400,
            "invalid-request",
            "The request is invalid: k: Expected `int`, got `str`.",
        ),
        (
            "/movies?limit=101",
            400,
            "invalid-request",
            "The request is invalid: limit: Expected `int` <= 100.",
        ),
        (
            f"/movies?query={'x' * 201}",
            400,
            "invalid-request",
            "The request is invalid: query: Expected `str` of length <= 200.",
        ),
        ("/users/8", 404, "unknown-user", "No events of user 8 are stored."),
        ("/users/-8", 400, "invalid-request", "The request is invalid: user_id: Expected `int` >= 0."),
        ("/nothing/here", 404, "not-found", "No such route or file. /schema lists the routes."),
        ("/rank", 405, "method-not-allowed", "This route does not support this method."),
    ],
)
def test_a_bad_path_or_parameter_is_refused(
    shared_client: TestClient[Litestar], path: str, status: int, code: str, detail: str
) -> None:
    assert_problem(shared_client.get(path), status, code, detail)


def test_a_refused_method_names_those_allowed(shared_client: TestClient[Litestar]) -> None:
    assert shared_client.get("/rank").headers["allow"] == "OPTIONS, POST"
    assert shared_client.post("/users/7").headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


def test_similar_movies_come_as_cards(shared_client: TestClient[Litestar]) -> None:
    answer = shared_client.get("/movie/550/similar?k=1").json()
    assert answer["movie_id"] == 550
    assert answer["results"] == [
        {
            "movie_id": 1,
            "title": "Amélie",
            "release_year": 2001,
            "genres": ["Comedy", "Romance"],
            "poster_url": None,
            "tmdb_id": 194,
            "similarity": 1.0,
        }
    ]


def test_titles_are_searched(shared_client: TestClient[Litestar]) -> None:
    def found(query: str) -> list[str]:
        return [
            movie["title"]
            for movie in shared_client.get("/movies", params={"query": query}).json()["results"]
        ]

    assert found("amelie") == ["Amélie"]
    assert found("matrx") == ["The Matrix Reloaded", "The Matrix"]
    assert found("nothing like it") == []
    assert found("")[0] == "A Film Without Facts"


def test_a_defect_is_logged_and_not_shown(
    client: TestClient[Litestar], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(recommender_of(client), "similar", fail)
    response = client.get("/movie/550/similar")
    assert_problem(
        response,
        500,
        "internal-error",
        "An internal error occurred. The log has the reason under the id of this request.",
    )
    assert "secret" not in response.text
    assert "secret inside" in caplog.text
