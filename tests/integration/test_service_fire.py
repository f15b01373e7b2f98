"""The service is killed while feedback arrives: no acknowledged event is lost or stored twice."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from movierank_core.events.store import open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from tests.support.postgres import postgres_database
from tests.support.service import client_of, publish, serve_version, settings_in
from tests.support.service_process import Service, prepare
from tests.support.simulated import SimulatedRatings
from tests.support.waiting import PATIENCE_SECONDS, exit_code, join, wait_for

N_CLIENTS = 8


class Size(NamedTuple):
    """How much feedback is sent, and how often the service is killed meanwhile."""

    n_events: int
    n_kills: int


SMALL, LARGE = Size(1_200, 1), Size(20_000, 5)
TYPES = ("like", "click", "seen", "dislike")
MOVIES_EACH = 80
"""Maximum number of events of one user, each about another movie; then the client goes on as another user."""
EVENTS_PER_CHECK = 40
"""How many events a client sends before it checks four rankings."""


@pytest.fixture(scope="module")
def prepared(
    release: Release, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Paths]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield prepare(tmp_path_factory.mktemp("fire"), release, simulated, 1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/events.db"
    else:
        with postgres_database() as url:
            yield url


class Client:
    """Sends events one after another, each until it is acknowledged, over connections that break."""

    def __init__(self, number: int, port: int, n_events: int) -> None:
        self._name = number
        self._n_events = n_events
        self.acknowledged: list[str] = []
        self.n_rankings_checked = 0
        self.wrong: list[str] = []
        self._port = port
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
        for number in range(self._n_events):
            lap, movie = divmod(number, MOVIES_EACH)
            event = {
                "user_id": 1_000_000 + 1_000 * self._name + lap,
                "movie_id": 10 * (movie + 1),
                "event_type": TYPES[movie % len(TYPES)],
                "event_id": f"{self._name}-{number}",
            }
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (answer := self.ask("/feedback", event)) is None or answer[0] != 202:
                if answer is not None and answer[0] != 503:
                    self.wrong.append(f"feedback: {answer}")
                if time.monotonic() > deadline:
                    self.wrong.append("out of time")
                    return
                time.sleep(0.02)
            self.acknowledged.append(str(event["event_id"]))
            if movie % EVENTS_PER_CHECK == 0:
                self.check_ranking(event, movie + 1)

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
    service = Service(prepared, port=port, MOVIERANK_EVENTS_URL=url, MOVIERANK_LOG_REQUESTS="false")
    service.start()
    service.wait_until_ready()
    return service


@pytest.mark.parametrize("size", [SMALL, pytest.param(LARGE, marks=pytest.mark.heavy)], ids=str)
def test_every_acknowledged_event_is_stored_exactly_once(prepared: Paths, url: str, size: Size) -> None:
    service = start(prepared, url, 0)
    n_each = size.n_events // N_CLIENTS
    clients = [Client(number, service.port, n_each) for number in range(N_CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]

    def n_acknowledged() -> int:
        return sum(len(client.acknowledged) for client in clients)

    try:
        for thread in threads:
            thread.start()
        for kill in range(1, size.n_kills + 1):
            due = size.n_events * kill // (size.n_kills + 1)
            wait_for(lambda due=due: n_acknowledged() >= due, what=f"{due} events")
            assert any(thread.is_alive() for thread in threads)
            processes = service.processes()
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
    assert len(acknowledged) == len(set(acknowledged)) == size.n_events
    store = open_event_store(url)
    stored = store.read_all()["event_id"].to_list()
    store.close()
    assert sorted(stored) == sorted(acknowledged)
    # Each check asks four times; an answer may be missing because of a kill.
    least = 4 * n_each / EVENTS_PER_CHECK / 5
    assert all(client.n_rankings_checked >= least for client in clients)


@pytest.mark.parametrize("n_events", [20, pytest.param(100, marks=pytest.mark.heavy)])
def test_the_next_ranking_of_another_worker_reflects_an_acknowledgement(
    url: str, tmp_path: Path, n_events: int
) -> None:
    settings = settings_in(tmp_path, events_url=url)
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as one, client_of(settings) as other:
        for number in range(n_events):
            event_type = ("like", "undo")[number % 2]
            body = {"user_id": 7, "movie_id": 603, "event_type": event_type}
            writer, reader = (one, other) if number % 4 < 2 else (other, one)
            assert writer.post("/feedback", json=body).status_code == 202
            answer = reader.post("/rank", json={"user_id": 7}).json()
            shown = 603 in {result["movie_id"] for result in answer["results"]}
            assert (answer["n_history"], shown) == ((2, False) if event_type == "like" else (1, True))
