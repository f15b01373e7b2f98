"""A light HTTP/1.1 load client: prebuilt requests over persistent connections, one thread, minimal parsing.

Client and service may share cores, so the client's processor time reduces the service's. Each load reports
it.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray


@dataclass
class Load:
    """Results of one load. Times are seconds of `time.perf_counter`."""

    started: list[float] = field(default_factory=list)
    """Time at which each request was due (open loop) or sent (closed loop), in order of the responses."""
    seconds: list[float] = field(default_factory=list)
    """Seconds from that time to the last byte of the response."""
    failures: list[str] = field(default_factory=list)
    """Number of responses with a status other than 200, or without a response."""
    elapsed: float = 0.0
    client_cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed

    def milliseconds(self, quantile: float) -> float:
        return float(np.quantile(self.seconds, quantile)) * 1000

    def window(self, begin: float, end: float) -> NDArray[np.float64]:
        """Latencies in seconds of the requests that were due in [begin, end)."""
        due = np.array(self.started)
        return np.array(self.seconds)[(due >= begin) & (due < end)]


def rank_requests(user_ids: Sequence[int], port: int, k: int = 25, **fields: object) -> list[bytes]:
    """The encoded `POST /rank` request of each user; `fields` are further fields of every request."""
    return [
        post_request("/rank", json.dumps({"user_id": user_id, "k": k, **fields}).encode(), port)
        for user_id in user_ids
    ]


def post_request(path: str, body: bytes, port: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


class _Connection(asyncio.Protocol):
    """One connection with one request at a time; the response length comes from its header."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        """The status of the response once it is complete."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._received.clear()
        self._end = 0
        if self._transport.is_closing():
            self._answer.set_exception(ConnectionError("the connection is closed"))
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._end == 0:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return
            place = self._received.find(b"content-length: ") + 16
            self._end = head + 4 + int(self._received[place : self._received.index(b"\r\n", place)])
        if len(self._received) >= self._end and self._answer is not None and not self._answer.done():
            self._answer.set_result(bytes(self._received[9:12]))

    def connection_lost(self, exception: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exception or ConnectionError("the connection was closed"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _connect(port: int) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return connection


async def _closed(port: int, requests: Sequence[bytes], n_clients: int, seconds: float) -> Load:
    load = Load()
    connections = [await _connect(port) for _ in range(n_clients)]
    cpu, begin = time.process_time(), time.perf_counter()
    turn = iter(range(10**12))

    async def client(connection: _Connection) -> None:
        while (sent := time.perf_counter()) - begin < seconds:
            status = await connection.ask(requests[next(turn) % len(requests)])
            _note(load, sent, status)

    await asyncio.gather(*(client(connection) for connection in connections))
    _finish(load, cpu, begin, connections)
    return load


async def _open(port: int, requests: Sequence[bytes], n_clients: int, seconds: float, rate: float) -> Load:
    load = Load()
    connections = [await _connect(port) for _ in range(n_clients)]
    gaps = np.random.default_rng(1).exponential(1 / rate, max(1, int(rate * seconds)))
    due_at = np.cumsum(gaps)
    due_at = due_at[due_at < seconds].tolist()
    cpu, begin = time.process_time(), time.perf_counter()
    turn = iter(range(len(due_at)))

    async def client(connection: _Connection) -> None:
        # The next free client takes the next due request. Latency counts from the due time, so a stall
        # shows in every request that it delays (no coordinated omission).
        for number in turn:
            due = begin + due_at[number]
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            _note(load, due, await connection.ask(requests[number % len(requests)]))

    await asyncio.gather(*(client(connection) for connection in connections))
    _finish(load, cpu, begin, connections)
    return load


def _note(load: Load, since: float, status: bytes) -> None:
    load.seconds.append(time.perf_counter() - since)
    load.started.append(since)
    if status != b"200":
        load.failures.append(status.decode())


def _finish(load: Load, cpu: float, begin: float, connections: list[_Connection]) -> None:
    load.elapsed = time.perf_counter() - begin
    load.client_cpu_seconds = time.process_time() - cpu
    for connection in connections:
        connection.close()


def closed_loop(port: int, requests: Sequence[bytes], *, n_clients: int, seconds: float) -> Load:
    """Closed loop: each client sends its next request after its response. Measures maximum throughput."""
    return _run(_closed(port, requests, n_clients, seconds))


def open_loop(port: int, requests: Sequence[bytes], *, n_clients: int, seconds: float, rate: float) -> Load:
    """Open loop: `rate` requests per second at random moments (Poisson), independent of responses.

    At most `n_clients` requests are in flight; the others wait, and their waiting time counts.
    """
    return _run(_open(port, requests, n_clients, seconds, rate))


def _run(load: Coroutine[object, object, Load]) -> Load:
    import uvloop

    return uvloop.run(load)
