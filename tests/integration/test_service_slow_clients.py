"""Clients that send slowly are cut off; the others are not."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from movierank_serving.app import create_app
from movierank_serving.web.slow_clients import PatientProtocol
from tests.support.service import FakeRecommender, load_fake, serve_version, settings_in
from tests.support.waiting import PATIENCE_SECONDS, join, wait_for

BODY = b'{"user_id": 1, "k": 1}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
HEAD = b"POST /rank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + LENGTH + b"\r\n"
PAUSE_SECONDS = 0.02
"""Pause between two bytes of a slow client."""


class Slow(FakeRecommender):
    """Takes longer for a ranking than a request may take to arrive."""

    def rank(self, *args: object, **options: object) -> object:  # type: ignore[override]
        time.sleep(0.6)
        return super().rank(*args, **options)  # type: ignore[arg-type]


@contextmanager
def listening(folder: Path, seconds: float, *, is_slow: bool = False) -> Iterator[int]:
    """The port of a service in this process that waits so long for a request."""

    class Protocol(PatientProtocol):
        receive_seconds = seconds

    settings = settings_in(folder)
    serve_version(settings, "1")
    app = create_app(settings, (lambda _: Slow()) if is_slow else load_fake)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Protocol, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, "the service")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    join([thread])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with listening(tmp_path_factory.mktemp("slow"), 0.4) as number:
        yield number


def sent_byte_by_byte(port: int, begin: bytes, repeated: bytes) -> bytes:
    """What the service answers a client that sends `begin`, then one byte of `repeated` after the other.

    Sends until the service closes the connection. Fails after minutes. Empty if the service closed it before
    a byte arrived, because the machine is busy.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(PAUSE_SECONDS)
        client.sendall(begin)
        n_sent = 0
        while time.monotonic() < deadline:
            try:
                received = client.recv(65_536)
                if not received:
                    return answer
                answer += received
            except TimeoutError:
                try:
                    client.sendall(repeated[n_sent % len(repeated) :][:1])
                    n_sent += 1
                except (BrokenPipeError, ConnectionResetError):
                    return answer
            except ConnectionResetError:
                return answer
    raise AssertionError(f"the connection is still open after {n_sent} bytes")


@pytest.mark.parametrize(
    ("begin", "repeated"),
    [
        (b"", b"GET /health/live HTTP/1.1\r\nX: " + 4096 * b"x"),
        (b"GET /health/live HTTP/1.1\r\n", b"X-A: b\r\n"),
        (HEAD.replace(LENGTH, b"Content-Length: 60000\r\n"), b" "),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\nX: ", b"y"),
    ],
    ids=["request line", "headers", "body", "empty lines between requests", "second request"],
)
def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(port: int, begin: bytes, repeated: bytes) -> None:
    answer = wait_for(lambda: sent_byte_by_byte(port, begin, repeated), what="an answer")
    *_, last = answer.split(b"HTTP/1.1 ")
    assert last.startswith(b"408 Request Timeout\r\ncontent-type: application/problem+json\r\n")
    assert b'"type":"urn:movierank:request-timeout"' in last


def test_a_connection_without_a_byte_is_closed_in_silence(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        assert client.recv(100) == b""


def test_a_ranking_that_takes_longer_is_not_cut_off(tmp_path: Path) -> None:
    def asked(port: int) -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
            # A second request begins while the first is being answered, and never ends.
            client.sendall(HEAD + BODY + HEAD[:20])
            while received := client.recv(65_536):
                answer += received
        return answer

    with listening(tmp_path, 0.2, is_slow=True) as port:
        answer = wait_for(lambda: asked(port), what="an answer")
        first, second = answer.split(b"HTTP/1.1 ")[1:]
        assert first.startswith(b"200 OK\r\n")
        assert b'"results"' in first
        assert second.startswith(b"408 ")


def test_requests_on_one_connection_are_answered_one_after_another(tmp_path: Path) -> None:
    with (
        listening(tmp_path, PATIENCE_SECONDS) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client,
    ):
        for _ in range(3):
            client.sendall(HEAD)
            client.sendall(BODY)
            answer = b""
            while b'"latency_ms"' not in answer:
                answer += client.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
