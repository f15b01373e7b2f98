"""Builds the ASGI application of one worker: routes, error handling, middleware and background threads."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig

from movierank_serving.model_sync.local_copies import load_bundle
from movierank_serving.openapi import API_HANDLERS, SCHEMA_HANDLERS
from movierank_serving.routes.pages import PAGE_HANDLERS
from movierank_serving.settings import Settings
from movierank_serving.web.access import GUARDS, Access
from movierank_serving.web.logs import set_up_logs
from movierank_serving.web.middleware import API_PREFIX, ObservabilityMiddleware
from movierank_serving.web.problems import EXCEPTION_HANDLERS
from movierank_serving.web.prometheus import Metrics, forget_dead_workers
from movierank_serving.web.slow_clients import PatientProtocol
from movierank_serving.worker.loaded import ServedRecommender
from movierank_serving.worker.state import WorkerState
from movierank_serving.worker.watcher import Watcher

STORE_AT_START_SECONDS: Final = 2.0
"""Maximum time that the start of a worker waits for the event store, in seconds."""
MAX_STOP_SECONDS: Final = 2.0
"""Maximum time that the end of a worker waits for one of its threads, in seconds."""


def create_app(settings: Settings, load: Callable[[Path], ServedRecommender] = load_bundle) -> Litestar:
    """The application of one worker. `load` makes a recommender from a bundle's folder."""
    metrics = Metrics()
    state = WorkerState(settings, metrics, load)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        watchers = [
            Watcher(state.refresh, settings.watch_seconds, "watch"),
            Watcher(state.refresh_events, settings.watch_seconds, "watch events"),
        ]
        # Load before the first request, so that a restarted worker has a model when it accepts connections.
        await loop.run_in_executor(None, state.refresh)
        # An event store that does not answer must not keep the worker from its first request.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORE_AT_START_SECONDS):
                await state.reading.run(state.refresh_events)
        for watcher in watchers:
            watcher.start()
        state.impressions.start()
        yield
        seconds = min(MAX_STOP_SECONDS, settings.shutdown_seconds)
        for end in (*(watcher.stop for watcher in watchers), state.impressions.close):
            await loop.run_in_executor(None, end, seconds)
        await loop.run_in_executor(None, state.close)

    app = Litestar(
        [
            # The paths without prefix are those of clients from before it.
            *(Router(prefix, route_handlers=API_HANDLERS, guards=GUARDS) for prefix in (API_PREFIX, "/")),
            *SCHEMA_HANDLERS,
            *PAGE_HANDLERS,
        ],
        cors_config=_cors(settings),
        lifespan=[lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state.worker = state
    app.state.access = Access(settings)
    app.asgi_handler = ObservabilityMiddleware(app.asgi_handler, metrics, settings, state.image_bases)
    return app


def _cors(settings: Settings) -> CORSConfig | None:
    """CORS for the configured origins; None, which allows no other origin, if there are none."""
    if not settings.origins:
        return None
    return CORSConfig(
        allow_origins=settings.origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


def worker() -> Litestar:
    """The application factory of a worker process that `movierank serve` started."""
    set_up_logs()
    forget_dead_workers()
    _stop_with_parent()
    # While a version loads, its thread must release the interpreter lock after 1 ms, not the default 5 ms.
    sys.setswitchinterval(0.001)
    settings = Settings.from_environment()
    PatientProtocol.receive_seconds = settings.receive_seconds
    return create_app(settings)


def _stop_with_parent() -> None:
    """Starts a thread that shuts this worker down when its parent process has ended."""
    parent = os.getppid()

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
