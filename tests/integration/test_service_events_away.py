"""The event store comes, goes and hangs: rankings go on and say so, nothing is acknowledged in vain."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.events.store import open_event_store
from movierank_serving.routes import feedback
from movierank_serving.settings import Settings
from tests.support.forwarder import Forwarder
from tests.support.postgres import postgres_database
from tests.support.service import client_of, metric, publish, serve_version, settings_in
from tests.support.waiting import wait_for


class Sqlite:
    """A store in a folder that can be moved away and back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "events"
        self._away = folder / "away"
        self.url = self.direct_url = f"sqlite:///{self._folder}/events.db"

    def take_away(self, client: TestClient[Litestar]) -> None:
        client.app.state.worker.store().close()  # An open file would go on to work.
        self._folder.rename(self._away)
        self._folder.touch()

    def bring_back(self) -> None:
        self._folder.unlink()
        self._away.rename(self._folder)


class Postgres:
    """A store behind a connection that can be cut."""

    def __init__(self, url: str, forwarder: Forwarder) -> None:
        self.direct_url = url
        self.forwarder = forwarder
        parts = urlsplit(url)
        user = f"{parts.username}@" if parts.username else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{forwarder.port}"))

    def take_away(self, client: TestClient[Litestar]) -> None:
        self.forwarder.cut()

    def bring_back(self) -> None:
        self.forwarder.restore()


@contextmanager
def postgres() -> Iterator[Postgres]:
    with postgres_database() as url:
        parts = urlsplit(url)
        with Forwarder(parts.hostname or "127.0.0.1", parts.port or 5432) as forwarder:
            yield Postgres(url, forwarder)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | Postgres]:
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
    else:
        with postgres() as place:
            yield place


def prepared(folder: Path, url: str, **changes: Any) -> Settings:
    settings = settings_in(folder, events_url=url, **changes)
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    return settings


def like(client: TestClient[Litestar], movie_id: int, event_id: str) -> Any:
    body = {"user_id": 7, "movie_id": movie_id, "event_type": "like", "event_id": event_id}
    return client.post("/feedback", json=body)


def rank(client: TestClient[Litestar]) -> dict[str, Any]:
    response = client.post("/rank", json={"user_id": 7})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def stored(url: str) -> list[str]:
    store = open_event_store(url)
    ids = store.read_all()["event_id"].to_list()
    store.close()
    return ids


def test_rankings_go_on_without_the_newest_events_and_nothing_is_acknowledged(
    place: Sqlite | Postgres, tmp_path: Path
) -> None:
    with client_of(prepared(tmp_path, place.url)) as client:
        assert like(client, 603, "before").status_code == 202
        answer = rank(client)
        assert (answer["n_history"], "feedback" in answer) == (2, False)
        place.take_away(client)
        for number in range(3):
            refused = like(client, 604, f"away-{number}")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["type"] == "urn:movierank:event-store-unavailable"
            answer = rank(client)
            assert (answer["n_history"], answer["feedback"]) == (1, "unavailable")
        assert client.delete("/users/7").status_code == 503
        assert client.get("/users/7").json()["feedback"] == "unavailable"
        assert client.get("/health/ready").json()["events"] == "unavailable"
        assert metric(client, 'movierank_feedback_events_total{duplicate="false",event_type="like"}') == 1
        place.bring_back()
        wait_for(lambda: "feedback" not in rank(client), what="the newest events")
        assert rank(client)["n_history"] == 2
        assert like(client, 604, "after").status_code == 202
        assert rank(client)["n_history"] == 3
    assert stored(place.direct_url) == ["before", "after"]


def test_a_store_that_is_away_from_the_start_is_taken_when_it_comes(
    place: Sqlite | Postgres, tmp_path: Path
) -> None:
    if isinstance(place, Postgres):
        place.forwarder.cut()
    else:
        Path(place.url.removeprefix("sqlite:///")).parent.touch()
    with client_of(prepared(tmp_path, place.url)) as client:
        assert rank(client)["feedback"] == "unavailable"
        assert like(client, 603, "early").status_code == 503
        if isinstance(place, Postgres):
            place.forwarder.restore()
        else:
            Path(place.url.removeprefix("sqlite:///")).parent.unlink()
        wait_for(lambda: "feedback" not in rank(client), what="the event store")
        assert like(client, 603, "late").status_code == 202
    assert stored(place.direct_url) == ["late"]


@pytest.mark.postgres
def test_a_store_that_hangs_costs_a_ranking_half_its_deadline(tmp_path: Path) -> None:
    with postgres() as place, client_of(prepared(tmp_path, place.url, rank_deadline_ms=2_000)) as client:
        like(client, 603, "before")
        assert rank(client)["n_history"] == 2
        place.forwarder.hold()
        started = time.monotonic()
        answer = rank(client)
        assert time.monotonic() - started > 0.9
        assert (answer["n_history"], answer["feedback"], answer["served_by"]) == (1, "unavailable", "model")
        place.forwarder.restore()
        wait_for(lambda: "feedback" not in rank(client), what="the newest events")


@pytest.mark.postgres
def test_an_event_that_a_store_hangs_on_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "PATIENCE_SECONDS", 0.3)
    with postgres() as place, client_of(prepared(tmp_path, place.url)) as client:
        assert like(client, 603, "before").status_code == 202
        place.forwarder.hold()
        refused = like(client, 604, "hung")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (
            refused.json()["detail"]
            == "The event store did not answer in time, so the event is not acknowledged."
        )
        assert "event_id hung" in refused.json()["remedy"]
        place.forwarder.restore()
        again = wait_for(
            lambda: (answer := like(client, 604, "hung")).status_code == 202 and answer, what="storing"
        )
        assert again.json()["event_id"] == "hung"
        assert stored(place.direct_url) == ["before", "hung"]


def fill_disk_of_every_connection(client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces all connections by ones that may not add a page to the file."""
    store = client.app.state.worker.store()
    with store._connections.use("measure") as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    database = store._connections._database
    connect = database.connect

    def connect_to_full_disk(**options: Any) -> Any:
        connection = connect(**options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(database, "connect", connect_to_full_disk)
    store.close()


def test_a_disk_that_is_full_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Sqlite(tmp_path)
    with client_of(prepared(tmp_path, place.url)) as client:
        assert like(client, 603, "before").status_code == 202
        fill_disk_of_every_connection(client, monkeypatch)
        statuses = [like(client, 604, f"full-{number}" + "x" * 50).status_code for number in range(300)]
        assert set(statuses) <= {202, 503}
        acknowledged = statuses.count(202)
        assert 503 in statuses
        assert rank(client)["known_user"]
    assert len(stored(place.direct_url)) == 1 + acknowledged
