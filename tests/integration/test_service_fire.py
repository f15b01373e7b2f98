"""Feedback under fire: the service is killed again and again; nothing acknowledged is lost or double."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from movierank_core.events.store import open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from tests.support.postgres import postgres_database
from tests.support.service import client_of, publish, serve_version, settings_in
from tests.support.service_process import Service, prepare
from tests.support.waiting import PATIENCE_SECONDS, exit_code, join, wait_for
from tests.support.world import World

N_EVENTS, N_CLIENTS, N_KILLS = 20_000, 8, 5
TYPES = ("like", "click", "seen", "dislike")
MOVIES_EACH = 80
"""Events of a user, each about another movie; then the client goes on as another user."""


@pytest.fixture(scope="module")
def prepared(release: Release, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paths]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield prepare(tmp_path_factory.mktemp("fire"), release, world, 1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/events.db"
    else:
        with postgres_database() as url:
            yield url


class Client:
    """Sends its events one after another, each until it is acknowledged, over connections that break."""

    def __init__(self, number: int, port: int, deadline: float) -> None:
        self._name = number
        self.acknowledged: list[str] = []
        self.n_rankings_checked = 0
        self.wrong: list[str] = []
        self._port = port
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, path: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        """Status and answer; None where the connection broke before there was one."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=PATIENCE_SECONDS
                )
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.reconnect()
            return None

    def reconnect(self) -> None:
        """The next request goes to whichever worker takes it."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def run(self) -> None:
        for number in range(N_EVENTS // N_CLIENTS):
            lap, place = divmod(number, MOVIES_EACH)
            event = {
                "user_id": 1_000_000 + 1_000 * self._name + lap,
                "movie_id": 10 * (place + 1),
                "event_type": TYPES[place % len(TYPES)],
                "event_id": f"{self._name}-{number}",
            }
            while (answer := self.ask("/feedback", event)) is None or answer[0] != 202:
                if answer is not None and answer[0] != 503:
                    self.wrong.append(f"feedback: {answer}")
                if time.monotonic() > self._deadline:
                    self.wrong.append("out of time")
                    return
                time.sleep(0.02)
            self.acknowledged.append(str(event["event_id"]))
            if place % 40 == 0:
                self.check_ranking(event, place + 1)

    def check_ranking(self, event: dict[str, Any], n_events: int) -> None:
        """Right after an acknowledgement, four connections: no worker may miss it."""
        for _ in range(4):
            self.reconnect()
            answer = self.ask("/rank", {"user_id": event["user_id"], "k": 500})
            if answer is None or answer[0] != 200 or answer[1].get("feedback") == "unavailable":
                continue  # A ranking without the newest events says so: the machine was too busy.
            shown = {result["movie_id"] for result in answer[1]["results"]}
            if answer[1]["n_history"] != n_events or event["movie_id"] in shown:
                self.wrong.append(f"{event} is missing in the ranking of {answer[1]['n_history']} events")
            self.n_rankings_checked += 1


def start(prepared: Paths, url: str, port: int) -> Service:
    service = Service(
        prepared,
        "--workers",
        "2",
        "--port",
        str(port),
        MOVIERANK_EVENTS_URL=url,
        MOVIERANK_LOG_REQUESTS="false",
    )
    service.read_address()
    service.wait_until_ready()
    return service


def test_every_acknowledged_event_is_stored_exactly_once(prepared: Paths, url: str) -> None:
    service = start(prepared, url, 0)
    clients = [Client(number, service.port, time.monotonic() + 150) for number in range(N_CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]

    def n_acknowledged() -> int:
        return sum(len(client.acknowledged) for client in clients)

    try:
        for thread in threads:
            thread.start()
        for kill in range(1, N_KILLS + 1):
            due = N_EVENTS * kill // (N_KILLS + 1)
            wait_for(lambda due=due: n_acknowledged() >= due, what=f"{due} events")
            assert any(thread.is_alive() for thread in threads)
            processes = service.everything()
            for process in processes:
                process.kill()
            psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
            exit_code(service.process)
            service = start(prepared, url, service.port)
        join(threads)
    finally:
        service.stop()
    assert [client.wrong for client in clients] == [[]] * N_CLIENTS
    acknowledged = [event_id for client in clients for event_id in client.acknowledged]
    assert len(acknowledged) == len(set(acknowledged)) == N_EVENTS
    store = open_event_store(url)
    stored = store.read_all()["event_id"].to_list()
    store.close()
    assert sorted(stored) == sorted(acknowledged)
    assert all(client.n_rankings_checked > 50 for client in clients)


def test_the_next_ranking_of_another_worker_reflects_an_acknowledgement(url: str, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, events_url=url)
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as one, client_of(settings) as other:
        for number in range(100):
            event_type = ("like", "undo")[number % 2]
            body = {"user_id": 7, "movie_id": 603, "event_type": event_type}
            teller, asker = (one, other) if number % 4 < 2 else (other, one)
            assert teller.post("/feedback", json=body).status_code == 202
            answer = asker.post("/rank", json={"user_id": 7}).json()
            shown = 603 in {result["movie_id"] for result in answer["results"]}
            assert (answer["n_history"], shown) == ((2, False) if event_type == "like" else (1, True))
