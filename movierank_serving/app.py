"""The application: routes, errors and what surrounds them, around one worker's state."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig

from movierank_serving.model_sync.local_copies import load_bundle
from movierank_serving.openapi import API_HANDLERS
from movierank_serving.routes.pages import PAGES
from movierank_serving.settings import Settings
from movierank_serving.web.auth import Access, limits_rate
from movierank_serving.web.logs import set_up_logs
from movierank_serving.web.middleware import Observe
from movierank_serving.web.problems import EXCEPTION_HANDLERS
from movierank_serving.web.prometheus import Metrics, forget_dead_workers
from movierank_serving.worker.state import Ranks, Watcher, World


def create_app(settings: Settings, load: Callable[[Path], Ranks] = load_bundle) -> Litestar:
    """The service of one worker. `load` makes a recommender from a bundle's folder."""
    metrics = Metrics()
    world = World(settings, metrics, load)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        # Before the first request, so that a worker that takes over answers with a model at once.
        await asyncio.get_running_loop().run_in_executor(None, world.refresh)
        watcher = Watcher(world)
        watcher.start()
        world.impressions.start()
        yield
        for end in (watcher.stop, world.impressions.close):
            await asyncio.get_running_loop().run_in_executor(None, end)
        world.close()

    app = Litestar(
        [Router("/", route_handlers=API_HANDLERS, guards=[limits_rate]), *PAGES],
        cors_config=_cors(settings),
        lifespan=[lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state.world = world
    app.state.access = Access(settings)
    app.asgi_handler = Observe(app.asgi_handler, metrics, settings, world.image_bases)
    return app


def _cors(settings: Settings) -> CORSConfig | None:
    """Off, so that pages of other origins get nothing, unless origins are named."""
    if not settings.origins:
        return None
    return CORSConfig(
        allow_origins=settings.origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


def worker() -> Litestar:
    """The application of a worker process that `movierank serve` started."""
    set_up_logs()
    forget_dead_workers()
    _stop_with_parent()
    # A version is loaded beside requests: the loader may hold the interpreter for 1 ms, not for 5, at a time.
    sys.setswitchinterval(0.001)
    return create_app(Settings.from_environment())


def _stop_with_parent() -> None:
    """End in good order when the process that started the workers is gone."""
    parent = os.getppid()

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
