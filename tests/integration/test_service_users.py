"""Users: the snapshot and the events since, each exactly once; their history, tastes and forgetting."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.events.store import open_event_store
from movierank_serving.settings import Settings
from tests.support.event_store_contract import feedback
from tests.support.service import client_of, publish, serve_version, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient[Litestar]]:
    publish(
        settings,
        (7, 550, "rating", 4.0, 86_400),
        (7, 603, "rating", 3.0, 90_000),
        (7, 604, "click", None, 95_000),
        (7, 99, "rating", 5.0, 99_000),
        (70, 1, "like", 4.5, 50),
        (71, 1, "like", 4.5, 50),
        (700, 1, "like", 4.5, 50),
    )
    with client_of(settings) as client:
        yield client


def history_of(client: TestClient[Litestar], user_id: int) -> list[tuple[int, float | None]]:
    """(movie, rating) oldest first."""
    history = client.get(f"/users/{user_id}").json()["history"]
    return [(item["movie_id"], item["rating"]) for item in reversed(history)]


def test_a_user_is_shown_with_history_and_tastes(client: TestClient[Litestar]) -> None:
    user = client.get("/users/7").json()
    assert (user["user_id"], user["n_events"], user["n_likes"], user["mean_rating"]) == (7, 4, 2, 4.0)
    assert user["history"][1] == {
        "movie_id": 603,
        "title": "The Matrix",
        "release_year": 1999,
        "genres": ["Action"],
        "poster_url": None,
        "tmdb_id": 603,
        "event_type": "rating",
        "rating": 3.0,
        "timestamp": "1970-01-02T01:00:00+00:00",
    }
    assert history_of(client, 7) == [(550, 4.0), (603, 3.0), (604, None)]  # 99 is not in the catalogue.
    assert user["genres"] == [
        {"name": "Action", "n_movies": 2, "share": 0.6667, "mean_rating": 3.0},
        {"name": "Drama", "n_movies": 1, "share": 0.3333, "mean_rating": 4.0},
        {"name": "Thriller", "n_movies": 1, "share": 0.3333, "mean_rating": 4.0},
    ]
    assert user["decades"] == [
        {"name": "1990s", "n_movies": 2, "share": 0.6667, "mean_rating": 3.5},
        {"name": "2000s", "n_movies": 1, "share": 0.3333, "mean_rating": None},
    ]


def test_the_history_is_cut_to_the_newest(client: TestClient[Litestar]) -> None:
    user = client.get("/users/7?limit=1").json()
    assert [item["movie_id"] for item in user["history"]] == [604]
    assert user["n_events"] == 4


def test_users_are_found_by_the_first_digits(client: TestClient[Litestar]) -> None:
    def found(query: str, limit: int = 20) -> list[int]:
        answer = client.get("/users", params={"query": query, "limit": limit}).json()
        assert answer["n_users"] == 4
        return [user["user_id"] for user in answer["results"]]

    assert found("") == [7, 70, 71, 700]
    assert found("7") == [7, 70, 71, 700]
    assert found("70") == [70, 700]
    assert found("70", limit=1) == [70]
    assert found("8") == found("x") == found("07x") == found("-7") == found("٧") == []


def test_a_user_who_is_only_in_the_event_store_is_found(client: TestClient[Litestar]) -> None:
    client.post("/feedback", json={"user_id": 42, "movie_id": 1, "event_type": "like"})
    assert client.get("/users?query=42").json()["results"] == [{"user_id": 42, "n_events": 1}]
    assert client.post("/rank", json={"user_id": 42}).json()["known_user"]


def test_each_event_counts_once_whether_published_or_not(settings: Settings) -> None:
    store = open_event_store(settings.events_url)
    store.append([feedback("a", movie_id=550, event_type="rating", value=2.0)])
    published = store.snapshot().watermark
    store.append([feedback("b", movie_id=603, event_type="rating", value=3.0)])
    publish(settings, (7, 1, "like", 4.5, 50), (7, 550, "rating", 2.0, 60), through=published)
    with client_of(settings) as client:
        assert history_of(client, 7) == [(1, 4.5), (550, 2.0), (603, 3.0)]
    # Without the watermark the published event of the store would count again, and be withdrawn by one undo.
    store.append([feedback("c", movie_id=550, event_type="undo")])
    with client_of(settings) as client:
        assert history_of(client, 7) == [(1, 4.5), (603, 3.0)]
    store.close()


def test_an_undo_brings_back_what_the_snapshot_had_replaced(settings: Settings) -> None:
    publish(settings, (7, 550, "rating", 2.0, 60), (7, 550, "rating", 5.0, 70))
    with client_of(settings) as client:
        assert history_of(client, 7) == [(550, 5.0)]
        client.post("/feedback", json={"user_id": 7, "movie_id": 550, "event_type": "undo"})
        assert history_of(client, 7) == [(550, 2.0)]


def test_a_forgotten_user_is_a_newcomer_at_once(client: TestClient[Litestar]) -> None:
    client.post("/feedback", json={"user_id": 7, "movie_id": 1, "event_type": "like"})
    answers = [client.delete("/users/7"), client.delete("/users/7")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == {"user_id": 7, "events_deleted": 1, "forgotten": True}
    assert answers[1].json() == {"user_id": 7, "events_deleted": 0, "forgotten": True}
    assert client.get("/users/7").status_code == 404
    assert not client.post("/rank", json={"user_id": 7}).json()["known_user"]
    assert [user["user_id"] for user in client.get("/users").json()["results"]] == [70, 71, 700]


def test_a_forgotten_user_starts_a_new_history(client: TestClient[Litestar]) -> None:
    client.delete("/users/7")
    client.post("/feedback", json={"user_id": 7, "movie_id": 604, "event_type": "like"})
    assert history_of(client, 7) == [(604, 4.5)]


def test_a_snapshot_from_after_the_forgetting_counts_again(settings: Settings) -> None:
    publish(settings, (7, 1, "like", 4.5, 50))
    with client_of(settings) as client:
        client.delete("/users/7")
        client.post("/feedback", json={"user_id": 7, "movie_id": 604, "event_type": "like"})
        watermark = client.app.state.worker.store().snapshot().watermark
    publish(settings, (7, 604, "like", 4.5, 60), through=watermark)
    with client_of(settings) as client:
        assert history_of(client, 7) == [(604, 4.5)]
