"""The real service for browser tests: one port for all tests, a new application for each, faults on demand.

The application, the model and the histories are real. A layer in front of the application can lose, hold or
damage requests, because a browser must meet such faults at a moment that the test chooses.
"""

import asyncio
import itertools
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec
import polars as pl
import uvicorn
from litestar import Litestar
from litestar.types import HTTPRequestEvent, Message, Receive, Scope, Send

from movierank_core.data.catalogue import Catalogue
from movierank_core.events.store import open_event_store
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.manifest import MANIFEST, Manifest
from movierank_core.recommender.ranking import Ranking
from movierank_core.recommender.recommender import Recommender
from movierank_serving.app import create_app
from movierank_serving.model_sync.local_copies import CopiedVersion, ModelCopies, load_bundle, now
from movierank_serving.settings import Settings
from movierank_serving.web.problems import PROBLEM_JSON, ServiceProblem
from tests.support.service import settings_in
from tests.support.trained_service import Trained
from tests.support.waiting import PATIENCE_SECONDS, wait_for

Json = dict[str, Any]
Fault = Literal["none", "down", "error", "broken_json"]
"""`down` drops the connection, `error` answers 500, `broken_json` answers 200 with half a document."""
FILES: Final = (".js", ".css", ".svg", ".html")
OWN: Final = "X-Asked-By-Test"
"""Requests with this header are not recorded and meet no fault."""


@dataclass(frozen=True)
class Request:
    """One request of the page for data (not for a file)."""

    method: str
    path: str
    body: Json


class Faults:
    """ASGI middleware: records the page's requests and passes them on, unless it is told to fail.

    Files of the page always pass, and browsers may keep them, as they do with a service that is up.
    """

    def __init__(self, connections: set[Any]) -> None:
        self.app: Litestar | None = None
        self.fault: Fault = "none"
        self.is_holding = False
        """Whether requests wait until this is False again."""
        self.path = ""
        """The only route that fails or waits; empty for every route."""
        self.requests: list[Request] = []
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        assert scope["type"] == "http"
        headers = dict(scope["headers"])
        path = scope["path"]
        if OWN.lower().encode() in headers:
            await self.app(scope, receive, send)
        elif path == "/favicon.ico":  # Asked for by a page that shows only a picture, between two tests.
            await _answer(send, 204, "image/x-icon", b"")
        elif scope["method"] == "GET" and (path == "/" or path.endswith(FILES)):
            await self.app(scope, receive, _kept_by_browsers(send))
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body_of(receive)
        self.requests.append(Request(scope["method"], scope["path"], json.loads(body) if body else {}))
        is_meant = self.path in ("", scope["path"])
        while self.is_holding and is_meant:
            await asyncio.sleep(0.02)
        match self.fault if is_meant else "none":
            case "down":
                await self._drop(scope, receive)
            case "error":
                problem = ServiceProblem(
                    500, "internal-error", "Something failed inside the service."
                ).problem
                await _answer(send, 500, PROBLEM_JSON, msgspec.json.encode(problem))
            case "broken_json":
                await _answer(send, 200, "application/json", b'{"results": [')
            case "none":
                assert self.app is not None
                await self.app(scope, _replayed(body, receive), send)

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        for connection in list(self._connections):
            if connection.client == scope["client"]:
                connection.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Altered:
    """A recommender that ranks as the one inside, with another manifest, catalogue or `served_by`."""

    def __init__(
        self, inside: Recommender, manifest: Manifest, catalogue: Catalogue, served_by: str | None
    ) -> None:
        self.manifest = manifest
        self.catalogue = catalogue
        self._inside = inside
        self._served_by = served_by

    def rank(self, *arguments: Any, **options: Any) -> Ranking:
        ranking = self._inside.rank(*arguments, **options)
        return ranking if self._served_by is None else replace(ranking, served_by=self._served_by)

    def with_facts(self, facts: MovieFacts | None) -> "Altered":
        return Altered(self._inside.with_facts(facts), self.manifest, self.catalogue, self._served_by)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)


class PageService:
    """The service of one test process. Each test calls `start_afresh`, so it sees no events of another."""

    def __init__(self, trained: Trained, folder: Path) -> None:
        self._bundle = next((trained.root / "mlruns" / "artifacts").rglob(MANIFEST)).parent
        self._histories = trained.paths.histories
        self._folder = folder
        self._homes = itertools.count()
        self._recommender: Recommender | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._server = uvicorn.Server(
            uvicorn.Config(self._asgi, interface="asgi3", lifespan="off", log_config=None)
        )
        self._faults = Faults(self._server.server_state.connections)
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.settings: Settings

    def __enter__(self) -> Self:
        self._loaded()  # Without a bound: the first load may compile every kernel.
        self._thread.start()
        wait_for(lambda: self._server.started, "the server")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_loop(self._replace_app(None))
        self._server.should_exit = True
        self._thread.join()

    # What a test may change

    def start_afresh(
        self,
        *,
        version: str | None = "3",
        films: dict[int, Json] | None = None,
        has_posters: bool = False,
        manifest: Json | None = None,
        served_by: str | None = None,
        **settings: Any,
    ) -> None:
        """Starts an application without any event.

        `version`: the number of the served version, None for no model. `films`: other facts by movie id.
        `manifest`: fields of the manifest to replace. `settings`: fields of `Settings` to replace.
        """
        home = self._folder / f"home-{next(self._homes)}"
        self.settings = settings_in(home, rank_deadline_ms=PATIENCE_SECONDS * 1000, **settings)
        paths = self.settings.paths
        paths.home.mkdir(parents=True)
        os.symlink(self._histories, paths.histories)
        self._faults.requests = []
        self.set_fault("none")
        if version is not None:
            self.release(version)

        def load(folder: Path) -> Altered:
            inside = self._loaded()
            return Altered(
                inside,
                replace(inside.manifest, **(manifest or {})),
                Catalogue(_altered(inside.catalogue.frame, films or {}, has_posters=has_posters)),
                served_by,
            )

        self._in_loop(self._replace_app(create_app(self.settings, load)))

    def release(self, version: str, *, as_challenger: bool = False) -> None:
        """Makes a version current, or the challenger, as the watcher of the registry does."""
        copies = ModelCopies(self.settings.paths.model_cache)
        current = CopiedVersion(version=version, run_id=f"run{version}", folder=version, aliased_at=now())
        copies.write(copies.challenger_file if as_challenger else copies.current_file, current)

    def set_fault(self, fault: Fault, path: str = "") -> None:
        """From now on, requests for `path` (empty: every route) meet this fault."""
        self._faults.fault, self._faults.path = fault, path

    @contextmanager
    def holding(self, path: str = "") -> Iterator[None]:
        """In this block, requests for `path` (empty: every route) get no answer; after it they get theirs."""
        self._faults.is_holding, self._faults.path = True, path
        try:
            yield
        finally:
            self._faults.is_holding = False

    # What a test may ask

    @property
    def requests(self) -> list[Request]:
        """What the page asked for, in order of arrival."""
        return list(self._faults.requests)

    def bodies(self, path: str) -> list[Json]:
        """The bodies that the page sent to a route, in order of arrival."""
        return [request.body for request in self.requests if request.path == path]

    def events(self, user_id: int) -> list[Json]:
        """What the event store holds of a user, in order of arrival, with withdrawn events."""
        names = ("event_id", "movie_id", "event_type", "value", "ranking_id", "undoes")
        statement = f"SELECT {', '.join(names)} FROM feedback_events WHERE user_id = ? ORDER BY seq"
        store = open_event_store(self.settings.events_url)
        try:
            with store._readers.use("read") as connection:
                rows = connection.execute(statement, (user_id,)).fetchall()
        finally:
            store.close()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def ask(self, path: str, body: Json | None = None) -> Any:
        """The service's answer to the test itself, decoded; HTTPError where it refuses."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", OWN: "yes"}
        request = urllib.request.Request(self.url + path.lstrip("/"), content, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.loads(answer.read())

    def rank(self, **body: Any) -> list[Json]:
        """The results of a ranking."""
        results: list[Json] = self.ask("/rank", body)["results"]
        return results

    def explain(self, **body: Any) -> Json:
        explained: Json = self.ask("/explain", body)
        return explained

    # How it runs

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._faults(scope, receive, send)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._listener])

    def _in_loop(self, work: Any) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _replace_app(self, app: Litestar | None) -> None:
        """Starts `app`, lets it answer from now on, and then ends the one before it."""
        old = (self._stop, self._life)
        if app is not None:
            started, self._stop = asyncio.Event(), asyncio.Event()
            self._life = asyncio.create_task(_live(app, started, self._stop))
            await started.wait()
        self._faults.app = app
        old[0].set()
        if old[1] is not None:
            await old[1]

    def _loaded(self) -> Recommender:
        if self._recommender is None:
            self._recommender = load_bundle(self._bundle)
        return self._recommender


def replace(value: Any, **changes: Any) -> Any:
    """A changed copy of a struct or a dataclass."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changes)
    from dataclasses import replace as replace_dataclass

    return replace_dataclass(value, **changes)


def _altered(frame: pl.DataFrame, films: dict[int, Json], *, has_posters: bool) -> pl.DataFrame:
    """The catalogue with other facts of some films, and without pictures unless they are wanted."""
    rows = [row | films.get(row["movie_id"], {}) for row in frame.to_dicts()]
    assert films.keys() <= {row["movie_id"] for row in rows}
    changed = pl.DataFrame(rows, schema=frame.schema)
    if has_posters:
        return changed
    none = pl.lit(None, pl.String)
    return changed.with_columns(poster_path=none, backdrop_path=none)


async def _live(app: Litestar, started: asyncio.Event, stop: asyncio.Event) -> None:
    """The life of an application. One task enters and leaves it, as its task groups demand."""
    async with app.lifespan():
        started.set()
        await stop.wait()


async def _body_of(receive: Receive) -> bytes:
    body = b""
    while True:
        message: Any = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that was read already, then what comes after it."""
    given: list[HTTPRequestEvent] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return given.pop() if given else await receive()

    return replay


def _kept_by_browsers(send: Send) -> Send:
    """A `send` that lets browsers keep a file, so that the next test need not ask for it."""

    async def send_kept(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [pair for pair in message["headers"] if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*others, (b"cache-control", b"max-age=3600")]}
        await send(message)

    return send_kept


async def _answer(send: Send, status: int, media_type: str, body: bytes) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})  # type: ignore[typeddict-item]
    await send({"type": "http.response.body", "body": body, "more_body": False})
