"""A server like TMDB in a separate process, over real HTTP, with faults on demand.

It has the paths `/3/movie/{id}`, `/3/configuration` and, for tests, `/control/report`. The faults before a
movie is served are drawn from its id, so a run can be repeated. The server records when each request came,
which movies it served, and which were requested again after that.
"""

import argparse
import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.support.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "header.payload.signature-of-the-tests"
"""The read access token that the server knows."""
V3_KEY = "5ec2e7" * 5 + "5e"
"""The v3 key that the server knows."""

MESSAGES = {
    7: "Invalid API key: You must be granted a valid key.",
    11: "Internal error: Something went wrong, contact TMDB.",
    24: "Your request to the backend server timed out. Try again.",
    25: "Your request count (41) is over the allowed limit of (40).",
    34: "The resource you requested could not be found.",
    43: "Couldn't connect to the backend server.",
}
"""Status codes of TMDB and their messages."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The faults and limits of the server."""

    faults: dict[str, float] = {}
    """Name of a fault (`Connection.fault_…`) to its probability before each answer."""
    long_suffering: int = 0
    """One movie in so many fails eleven times before it is served; 0: none does."""
    gone_every: int = 0
    """Movies whose id is a multiple of it do not exist; 0: all do."""
    odd_bodies: bool = False
    """Whether fields are missing, null, empty or of another type now and then."""
    limit_per_second: int | None = None
    """Further requests in any second get 429."""
    delay_seconds: float = 0.0
    """Answers take up to so long, at random."""
    expires_after: int | None = None
    """The key is refused after so many requests."""
    seed: int = 1

    def exists(self, tmdb_id: int) -> bool:
        return not self.gone_every or tmdb_id % self.gone_every != 0

    def faults_of(self, tmdb_id: int) -> list[str]:
        """The faults, in order, before the movie is served."""
        if self.long_suffering and tmdb_id % self.long_suffering == 1:
            return ["500"] * 11
        draw = random.Random(f"{self.seed} {tmdb_id}")
        names, chances = list(self.faults), list(self.faults.values())
        faults: list[str] = []
        while self.faults and draw.random() < sum(chances):
            faults += draw.choices(names, chances)
        return faults


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the server."""

    n_requests: int
    most_in_a_second: int
    n_over_limit: int
    n_connections: int
    n_configurations: int
    statuses: dict[str, int]
    """Status codes, and names of faults, to how often they were given."""
    served: dict[int, int]
    """Movies whose answer went out in full, to how often they were asked for after that."""
    gone: dict[int, int]
    """The same for movies that do not exist."""
    n_requests_by_movie: dict[int, int]


@dataclass
class State:
    behaviour: Behaviour
    moments: list[float] = field(default_factory=list)
    n_over_limit: int = 0
    n_connections: int = 0
    n_configurations: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)
    served: dict[int, int] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    window_from: int = 0

    def arrived(self) -> bool:
        """Records a request; whether it is within the limit."""
        now = time.monotonic()
        self.moments.append(now)
        while now - self.moments[self.window_from] >= 1.0:
            self.window_from += 1
        limit = self.behaviour.limit_per_second
        is_within = limit is None or len(self.moments) - self.window_from <= limit
        self.n_over_limit += not is_within
        return is_within

    def report(self) -> Report:
        most, first = 0, 0
        for last, moment in enumerate(self.moments):
            while moment - self.moments[first] >= 1.0:
                first += 1
            most = max(most, last - first + 1)
        return Report(
            n_requests=len(self.moments),
            most_in_a_second=most,
            n_over_limit=self.n_over_limit,
            n_connections=self.n_connections,
            n_configurations=self.n_configurations,
            statuses=dict(self.statuses),
            served=self.served,
            gone=self.gone,
            n_requests_by_movie=dict(self.tries),
        )


def movie_body(tmdb_id: int, *, is_odd: bool) -> dict[str, Any]:
    """An answer of `/movie/{id}?append_to_response=keywords,credits,release_dates`."""
    body: dict[str, Any] = {
        "adult": False,
        "backdrop_path": f"/b{tmdb_id}.jpg",
        "belongs_to_collection": None,
        "budget": 63_000_000,
        "genres": [{"id": 18, "name": "Drama"}, {"id": 878, "name": "Science Fiction"}],
        "homepage": "",
        "id": tmdb_id,
        "imdb_id": f"tt{tmdb_id:07d}",
        "original_language": "en",
        "original_title": f"Film {tmdb_id}",
        "overview": f"What happens in film {tmdb_id}. " * 8,
        "popularity": 0.5 + tmdb_id % 100,
        "poster_path": f"/p{tmdb_id}.jpg",
        "production_companies": [{"id": 508, "logo_path": None, "name": "A Studio", "origin_country": "US"}],
        "release_date": f"{1950 + tmdb_id % 70}-10-12",
        "revenue": 100_853_753,
        "runtime": 90 + tmdb_id % 60,
        "status": "Released",
        "tagline": "",
        "title": f"Film {tmdb_id}",
        "video": False,
        "vote_average": 7.8,
        "vote_count": 3_439,
        "keywords": {"keywords": [{"id": 851, "name": "dual identity"}]},
        "credits": {
            "cast": [{"id": n, "name": f"Actor {n}", "order": n, "character": "X"} for n in range(20)],
            "crew": [{"id": 7467, "name": "A Director", "department": "Directing", "job": "Director"}],
        },
        "release_dates": {
            "results": [{"iso_3166_1": "US", "release_dates": [{"certification": "R", "type": 3}]}]
        },
    }
    if is_odd:
        odd = [None, "", [], {}, "high", -1, True, [None, 3, {"name": None}], 10**30]
        draw = random.Random(tmdb_id)
        for name in draw.sample([one for one in body if one not in ("id", "title")], 6):
            body[name] = draw.choice(odd)
        for name in draw.sample([one for one in body if one not in ("id", "title")], 2):
            del body[name]
    return body


class Connection(asyncio.Protocol):
    """One connection of a client, kept for further requests."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._received = b""
        self._is_new = True
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received:
            head, self._received = self._received.split(b"\r\n\r\n", 1)
            self._request(head.decode("latin-1"))

    def _request(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        path, _, query = first.split(" ")[1].partition("?")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        state, behaviour = self._state, self._state.behaviour
        if path == "/control/report":
            self.send(200, msgspec.json.encode(state.report()))
            return
        state.n_connections += self._is_new
        self._is_new = False
        if not state.arrived():
            self.error(429, 25)
            return
        expired = behaviour.expires_after is not None and len(state.moments) > behaviour.expires_after
        is_known = headers.get("authorization") == f"Bearer {TOKEN}" or f"api_key={V3_KEY}" in query.split(
            "&"
        )
        if not is_known or expired:
            self.error(401, 7)
            return
        delay = random.uniform(0.0, behaviour.delay_seconds)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, path)
        else:
            self._answer(path)

    def _answer(self, path: str) -> None:
        state, behaviour = self._state, self._state.behaviour
        if path == "/3/configuration":
            state.n_configurations += 1
            images = {
                "base_url": "http://image.tmdb.org/t/p/",
                "secure_base_url": "https://image.tmdb.org/t/p/",
                "poster_sizes": ["w92", "w342", "w780", "original"],
            }
            self.send(200, json.dumps({"images": images, "change_keys": ["adult"]}).encode())
            return
        tmdb_id = int(path.removeprefix("/3/movie/"))
        turn = state.tries[tmdb_id]
        state.tries[tmdb_id] += 1
        faults = behaviour.faults_of(tmdb_id)
        answered = state.served if behaviour.exists(tmdb_id) else state.gone
        if tmdb_id in answered:
            answered[tmdb_id] += 1
        if turn < len(faults):
            state.statuses[faults[turn]] += 1
            getattr(self, f"fault_{faults[turn]}")(tmdb_id)
            return
        answered.setdefault(tmdb_id, 0)
        if behaviour.exists(tmdb_id):
            self.send(200, json.dumps(movie_body(tmdb_id, is_odd=behaviour.odd_bodies)).encode())
        else:
            self.error(404, 34)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._state.statuses[str(status)] += 1
        self._transport.write(self._head(status, len(body), headers) + body)

    def error(self, status: int, code: int, headers: dict[str, str] | None = None) -> None:
        content = {"status_code": code, "status_message": MESSAGES[code], "success": False}
        self.send(status, json.dumps(content).encode(), headers)

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
        lines = {
            "Content-Type": "application/json;charset=utf-8",
            "Content-Length": str(length),
            "Server": "openresty",
            **(headers or {}),
        }
        return f"HTTP/1.1 {status} X\r\n".encode() + b"".join(
            f"{name}: {value}\r\n".encode() for name, value in lines.items()
        ) + b"\r\n"  # fmt: skip

    def _whole(self, tmdb_id: int) -> bytes:
        return json.dumps(movie_body(tmdb_id, is_odd=False)).encode()

    def fault_500(self, tmdb_id: int) -> None:
        self.error(500, 11)

    def fault_502(self, tmdb_id: int) -> None:
        self.send(502, b"<html><h1>502 Bad Gateway</h1></html>")

    def fault_504(self, tmdb_id: int) -> None:
        self.error(504, 24)

    def fault_503_retry_after(self, tmdb_id: int) -> None:
        self.error(503, 43, {"Retry-After": "1"})

    def fault_429(self, tmdb_id: int) -> None:
        self.error(429, 25)

    def fault_429_seconds(self, tmdb_id: int) -> None:
        self.error(429, 25, {"Retry-After": "1"})

    def fault_429_date(self, tmdb_id: int) -> None:
        until = datetime.now(UTC) + timedelta(seconds=2)
        self.error(429, 25, {"Retry-After": format_datetime(until, usegmt=True)})

    def fault_no_answer(self, tmdb_id: int) -> None:
        pass

    def fault_drip(self, tmdb_id: int) -> None:
        body = self._whole(tmdb_id)
        self._drip(self._head(200, len(body)) + body)

    def _drip(self, left: bytes) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left[:1])
            asyncio.get_running_loop().call_later(0.05, self._drip, left[1:])

    def fault_reset(self, tmdb_id: int) -> None:
        body = self._whole(tmdb_id)
        self._transport.write(self._head(200, len(body)) + body[: len(body) // 2])
        asyncio.get_running_loop().call_later(0.01, self._reset)

    def _reset(self) -> None:
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._transport.abort()

    def fault_cut(self, tmdb_id: int) -> None:
        body = self._whole(tmdb_id)
        self._transport.write(self._head(200, len(body)) + body[:100])
        self._transport.close()

    def fault_closed(self, tmdb_id: int) -> None:
        self._transport.close()

    def fault_invalid_json(self, tmdb_id: int) -> None:
        self.send(200, self._whole(tmdb_id)[:-50])

    def fault_html(self, tmdb_id: int) -> None:
        self.send(200, b"<html>Just a moment</html>")

    def fault_other_movie(self, tmdb_id: int) -> None:
        self.send(200, self._whole(tmdb_id + 1))

    def fault_404_of_a_proxy(self, tmdb_id: int) -> None:
        self.send(404, b"<html>404 Not Found</html>")


ALL_FAULTS = tuple(name.removeprefix("fault_") for name in vars(Connection) if name.startswith("fault_"))


async def _serve(behaviour: Behaviour) -> None:
    state = State(behaviour)
    make: Callable[[], Connection] = lambda: Connection(state)  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass(frozen=True)
class TmdbServer:
    """The server as a test sees it."""

    url: str
    """As `MOVIERANK_TMDB_URL` takes it."""

    def report(self) -> Report:
        url = self.url.replace("/3", "/control/report")
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return msgspec.json.decode(answer.read(), type=Report)


@contextmanager
def tmdb_server(behaviour: Behaviour) -> Iterator[TmdbServer]:
    """The server in a process of its own, until the block ends."""
    command = [sys.executable, "-m", "tests.support.tmdb_server", msgspec.json.encode(behaviour).decode()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield TmdbServer(f"http://127.0.0.1:{int(process.stdout.readline())}/3")
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("behaviour", type=str.encode)
    asyncio.run(_serve(msgspec.json.decode(parser.parse_args().behaviour, type=Behaviour)))
