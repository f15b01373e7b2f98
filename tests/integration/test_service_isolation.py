"""A locked, hung or lost event store keeps nobody waiting; failed loads are repeated; undos are exact."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.events.store import open_event_store
from movierank_serving.settings import Settings
from movierank_serving.web.problems import ServiceProblem
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.state import WorkerState
from movierank_serving.worker.threads import Threads
from tests.support.service import (
    FakeRecommender,
    client_of,
    load_fake,
    publish,
    serve_version,
    settings_in,
)
from tests.support.waiting import join, wait_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient[Litestar]]:
    with client_of(settings) as client:
        yield client


def send(client: TestClient[Litestar], **fields: Any) -> Any:
    return client.post("/feedback", json={"user_id": 7, "movie_id": 603, "event_type": "like", **fields})


def rank(client: TestClient[Litestar]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/rank", json={"user_id": 7}).json()
    return answer


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """SQLite's write lock, held by somebody else."""
    path = settings.events_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_rankings_and_probes_do_not_wait_for_the_write_lock(
    settings: Settings, client: TestClient[Litestar]
) -> None:
    assert send(client).status_code == 202
    answers: list[int] = []
    with write_lock(settings):
        writers = [
            threading.Thread(target=lambda n=n: answers.append(send(client, event_id=f"{n}").status_code))
            for n in range(12)
        ]
        for writer in writers:
            writer.start()
        wait_for(lambda: client.app.state.worker.storing._n_unfinished >= 8, "eight hung calls")
        for _ in range(3):
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 200
            assert "movierank_requests_total" in client.get("/metrics").text
            answer = rank(client)
            assert (answer["n_history"], "feedback" in answer) == (2, False)
        assert answers == []  # The lock is still held: everything above answered without it.
    join(writers)
    assert set(answers) <= {202, 503}


def test_readiness_reports_a_store_that_cannot_be_written(tmp_path: Path, settings: Settings) -> None:
    with client_of(settings) as client:
        worker = client.app.state.worker
        worker.store().close()
        folder = Path(settings.events_url.removeprefix("sqlite:///")).parent
        for file in folder.glob("events.db*"):
            file.rename(tmp_path / file.name)
        (folder / "events.db").mkdir()
        wait_for(lambda: client.get("/health/ready").json()["events"] == "unavailable", "the finding")
        (folder / "events.db").rmdir()
        for file in tmp_path.glob("events.db*"):
            file.rename(folder / file.name)
        wait_for(lambda: client.get("/health/ready").json()["events"] == "available", "the recovery")


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError("no memory")])
def test_a_load_that_failed_once_is_repeated(settings: Settings, error: Exception) -> None:
    attempts: list[Path] = []

    def load(folder: Path) -> FakeRecommender:
        attempts.append(folder)
        if len(attempts) == 2:
            raise error
        return load_fake(folder)

    with client_of(settings, load) as client:
        serve_version(settings, "2")
        wait_for(lambda: client.get("/model").json()["model_version"] == "2", "version 2")
        assert len(attempts) == 3
        assert client.app.state.worker.refusals == {}


def test_histories_that_could_not_be_opened_once_are_opened_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from movierank_serving.worker import state as module

    open_histories, attempts = module.open_histories, []

    def fail_once(folder: Path) -> Any:
        attempts.append(folder)
        if len(attempts) == 1:
            raise OSError(24, "Too many open files")
        return open_histories(folder)

    monkeypatch.setattr(module, "open_histories", fail_once)
    with client_of(settings) as client:
        wait_for(lambda: rank(client)["n_history"] == 1, "the histories")
        assert len(attempts) == 2


def test_a_forgotten_user_stays_forgotten_after_a_start_without_the_store(settings: Settings) -> None:
    with client_of(settings) as client:
        assert rank(client)["known_user"]
        assert client.delete("/users/7").status_code == 200
    for file in Path(settings.home).glob("events.db*"):
        file.unlink()
    Path(settings.events_url.removeprefix("sqlite:///")).mkdir()
    with client_of(settings) as client:
        answer = rank(client)
        assert (answer["feedback"], answer["known_user"], answer["n_history"]) == ("unavailable", False, 0)


def test_the_same_id_with_another_payload_is_a_conflict(client: TestClient[Litestar]) -> None:
    assert send(client, event_id="a").json()["duplicate"] is False
    assert send(client, event_id="a").json()["duplicate"] is True
    assert send(client, event_id="a", user_id=8).json()["duplicate"] is False
    conflict = send(client, event_id="a", event_type="dislike")
    assert conflict.status_code == 409
    assert conflict.headers["content-type"] == "application/problem+json"
    assert conflict.json()["type"] == "urn:movierank:event-conflict"
    assert conflict.json()["detail"] == (
        "User 7 has another event with the event_id 'a'. Nothing was stored."
    )


def test_an_undo_withdraws_the_event_that_it_names(client: TestClient[Litestar], settings: Settings) -> None:
    lost = send(client, event_type="undo", movie_id=550, undoes="lost")
    assert lost.status_code == 202
    assert rank(client)["n_history"] == 1  # The published like stands.
    send(client, event_id="mine")
    assert rank(client)["n_history"] == 2
    [verdict] = client.get("/users/7/verdicts").json()["results"]
    assert (verdict["movie_id"], verdict["event_type"], verdict["event_id"]) == (603, "like", "mine")
    send(client, event_type="undo", undoes=verdict["event_id"])
    assert rank(client)["n_history"] == 1
    assert client.get("/users/7/verdicts").json()["results"] == []
    refused = send(client, undoes="mine")
    assert refused.json()["errors"] == [{"field": "undoes", "message": "not allowed with event_type like"}]


def test_an_undo_withdraws_an_event_that_is_published_already(settings: Settings) -> None:
    with closing(open_event_store(settings.events_url)) as store, client_of(settings) as client:
        send(client, event_id="five", event_type="rating", value=5)
        moment = int(store.read_all()["timestamp"][0].timestamp())
        through = str(store.watermark())
        publish(settings, (7, 550, "like", 4.5, 50), (7, 603, "rating", 5.0, moment), through=through)
        state = client.app.state.worker
        wait_for(lambda: str(state.histories.watermark) == through, "the snapshot")
        assert rank(client)["n_history"] == 2
        send(client, event_type="undo", undoes="five")
        assert rank(client)["n_history"] == 1


def test_feedback_needs_no_version_and_no_known_movie(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with client_of(settings) as client:
        assert send(client, movie_id=9999).json()["known_movie"] is None
        serve_version(settings, "1")
        wait_for(lambda: client.app.state.worker.model is not None, "a version")
        assert send(client, movie_id=9999).json()["known_movie"] is False
        assert send(client, movie_id=603).json()["known_movie"] is True
        assert rank(client)["n_history"] == 2


def test_events_of_unknown_movies_have_a_bound(
    client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movierank_serving.routes.feedback.MAX_UNKNOWN", 2)
    statuses = [send(client, movie_id=9000 + n).status_code for n in range(3)]
    assert statuses == [202, 202, 404]
    assert send(client).status_code == 202


def test_a_pool_refuses_calls_beyond_its_bound_and_does_not_delay_the_end(settings: Settings) -> None:
    may_end = threading.Event()

    async def fill(threads: Threads) -> None:
        hung = [asyncio.ensure_future(threads.run(may_end.wait)) for _ in range(2)]
        while threads._calls.qsize() < 1:
            await asyncio.sleep(0)
        with pytest.raises(ServiceProblem, match=r"^Too many calls are waiting in this worker \(tests\)\.$"):
            await threads.run(may_end.wait)
        assert not threads.close(0.01)
        may_end.set()
        await asyncio.gather(*hung)
        assert threads.close(60)

    asyncio.run(fill(Threads(1, "tests", max_waiting=1)))
    state = WorkerState(settings, Metrics(), load_fake)
    state.close()


def test_head_answers_as_get_without_a_body(client: TestClient[Litestar]) -> None:
    for path in ("/model", "/movie/550", "/health/live", "/users/7", "/"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert client.head("/movie/2").status_code == 404
    assert client.head("/rank").status_code == 405
    assert client.put("/model").headers["allow"] == "GET, HEAD, OPTIONS"


def test_only_allowed_hosts_are_answered(settings: Settings) -> None:
    allowed = msgspec.structs.replace(settings, allowed_hosts="films.example, [::1]")
    with client_of(allowed) as client:
        for host, status in (
            ("films.example", 200),
            ("FILMS.example:8443", 200),
            ("[::1]:8000", 200),
            ("evil.example", 400),
            ("films.example.evil.example", 400),
            ("", 400),
        ):
            answer = client.get("/health/live", headers={"Host": host})
            assert answer.status_code == status, host
        assert answer.json()["type"] == "urn:movierank:unknown-host"
        assert answer.headers["content-type"] == "application/problem+json"
