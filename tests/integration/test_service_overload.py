"""More rankings than the service can do: the queue is bounded, and rankings in it are finished."""

import asyncio
import http.client
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from httpx import ASGITransport, AsyncClient, Response
from litestar import Litestar

from movierank_cli.service_process import ServiceProcess, environment_without_settings
from movierank_serving.app import create_app
from movierank_serving.settings import Settings
from tests.support.service import serve_version, settings_in
from tests.support.slow_service import SlowRecommender
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for

ROOT = Path(__file__).resolve().parents[2]


def settings_with_queue(folder: Path, length: int) -> Settings:
    settings = settings_in(folder, rank_queue=length)
    serve_version(settings, "1")
    return settings


@asynccontextmanager
async def client_in_this_loop(app: Litestar) -> AsyncIterator[AsyncClient]:
    """Requests that are gathered arrive together, as they do from many connections."""
    transport = ASGITransport(app)  # type: ignore[arg-type]
    async with app.lifespan(), AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


def burst(settings: Settings, n: int, seconds: float) -> tuple[list[Response], Response, Response]:
    """The answers of `n` requests sent at once, one sent after them, and the metrics."""

    def load(folder: Path) -> SlowRecommender:
        recommender = SlowRecommender(folder.name)
        recommender.seconds = seconds
        return recommender

    async def send() -> tuple[list[Response], Response, Response]:
        async with client_in_this_loop(create_app(settings, load)) as client:
            asked = [client.post("/rank", json={"user_id": 1, "k": 3}) for _ in range(n)]
            answers = list(await asyncio.gather(*asked))
            later = await client.post("/rank", json={"user_id": 1, "k": 3})
            return answers, later, await client.get("/metrics")

    return asyncio.run(send())


def test_a_burst_beyond_the_queue_is_shed_with_503_and_retry_after(tmp_path: Path) -> None:
    answers, later, metrics = burst(settings_with_queue(tmp_path, 8), 60, 0.01)
    refused = [answer for answer in answers if answer.status_code != 200]
    answered = [answer for answer in answers if answer.status_code == 200]
    assert 8 <= len(answered) < 60
    assert {len(answer.json()["results"]) for answer in answered} == {3}
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:movierank:overloaded"
    assert later.status_code == 200
    lines = metrics.text.splitlines()
    assert f"movierank_rankings_shed_total {float(len(refused))}" in lines
    assert "movierank_rank_queue 0.0" in lines


def test_a_burst_that_fits_is_answered_whole(tmp_path: Path) -> None:
    answers, _, _ = burst(settings_with_queue(tmp_path, 60), 60, 0.001)
    assert {answer.status_code for answer in answers} == {200}


def test_a_refused_ranking_leaves_its_place(tmp_path: Path) -> None:
    async def send() -> list[int]:
        app = create_app(settings_with_queue(tmp_path, 2), lambda folder: SlowRecommender(folder.name))
        async with client_in_this_loop(app) as client:
            bad = {"user_id": 1, "filters": {"year_min": 2000, "year_max": 1990}}
            for _ in range(5):
                await client.post("/rank", json=bad)
                app.state.worker.model.recommender.rank = fail
                await client.post("/rank", json={"user_id": 1})
                del app.state.worker.model.recommender.rank
            return [(await client.post("/rank", json={"user_id": 1})).status_code for _ in range(3)]

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    assert asyncio.run(send()) == [200, 200, 200]


@pytest.fixture
def slow_service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service whose rankings take 0.4 s each."""
    settings = settings_with_queue(tmp_path, 16)
    service = ServiceProcess(
        tmp_path / "service.log",
        command=(
            *(sys.executable, "-m", "uvicorn", "--factory", "tests.support.slow_service:app"),
            *("--timeout-graceful-shutdown", "300"),
        ),
        variables={
            **environment_without_settings(),
            **settings.environment(),
            "SLOW_SECONDS": "0.4",
            "PYTHONPATH": str(ROOT),
        },
    )
    with service:
        service.start()
        service.wait_until_ready()
        yield service


def n_connections(pid: int, port: int) -> int:
    """Connections to `port` that a process has accepted."""
    held = psutil.Process(pid).net_connections("tcp")
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in held)


def ask(port: int, method: str, path: str, body: str | None = None) -> int | None:
    """The status; None where there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_sigterm_lets_rankings_in_flight_and_in_the_queue_finish(slow_service: ServiceProcess) -> None:
    process, port = slow_service.process, slow_service.port
    askers = [http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS) for _ in range(4)]
    for asker in askers:
        asker.connect()
    # The loop takes one connection at a time: it has all before it is busy.
    wait_for(lambda: n_connections(process.pid, port) == 4, "four connections")
    for asker in askers:
        asker.request("POST", "/rank", json.dumps({"user_id": 1}), {"Content-Type": "application/json"})
    first, *others = askers
    statuses = [first.getresponse().status]
    # Now one is being worked on, and the others were read and wait for their turn.
    process.send_signal(signal.SIGTERM)
    statuses += [asker.getresponse().status for asker in others]
    assert statuses == [200] * 4
    for asker in askers:
        asker.close()
    assert exit_code(process) in (0, -signal.SIGTERM)  # uvicorn hands the signal on once it is done.
    assert ask(port, "GET", "/health/live") is None
