"""Runs the service: workers that share one port, and a process that follows the registry."""

import http.client
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import msgspec
import uvicorn
from uvicorn.supervisors import Multiprocess

from movierank_core.errors import ConfigError
from movierank_serving.settings import Settings
from movierank_serving.web.credentials import read_credentials
from movierank_serving.web.keys import ALL
from movierank_serving.web.prometheus import MULTIPROCESS_FOLDER

ONE_THREAD: Final = (
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""Set to 1 unless the operator sets them: one thread answers a request; more would compete for a core."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine in a `Host` header."""
_RESTART_SECONDS: Final = 2.0
"""Pause before the sync process is restarted, in seconds."""
_HEALTH_CHECK_SECONDS: Final = 30
"""Maximum time for a worker to answer uvicorn's health check, in seconds.

Longer than loading and compiling the first model may block a worker. A worker that dies during its health
check is replaced after this time; any other dead worker is replaced at once."""


def run_service(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 2,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves until SIGINT or SIGTERM, then finishes requests in flight. Call it from the main thread.

    `port` 0 takes a free one. `announce` receives one line when the service answers and one when it has a
    model. Raises ConfigError if the port cannot be used, or for the reasons of `with_access`.
    """
    settings = with_access(settings, host)
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    listeners: list[socket.socket] = [listener]
    if workers > 1 and sys.platform == "linux":
        # Each worker gets its own listening socket (SO_REUSEPORT), and the kernel distributes connections.
        # With one shared socket, the first worker to wake up accepts all waiting connections. Clients that
        # keep their connections open then leave the other workers idle.
        listener.close()
        listener = _bound(host, port)  # Bound, not listening: reserves the port until the workers listen.
        listeners = [cast(socket.socket, _OwnListener(host, port))]
    metrics_folder = tempfile.mkdtemp(prefix="movierank-metrics-")
    stop = threading.Event()
    try:
        with _environment({**settings.environment(), **_pinned(), MULTIPROCESS_FOLDER: metrics_folder}):
            helpers = [
                threading.Thread(target=_keep_syncing, args=(stop,), name="sync"),
                threading.Thread(
                    target=_announce, args=(host, port, workers, announce, stop), name="announce"
                ),
            ]
            config = uvicorn.Config(
                "movierank_serving.app:worker",
                factory=True,
                host=host,
                port=port,
                workers=workers,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                http="movierank_serving.web.slow_clients:PatientProtocol",
                # Trusted proxies are named explicitly. uvicorn's default trusts every local process.
                proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
                timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
                timeout_worker_healthcheck=_HEALTH_CHECK_SECONDS,
            )
            for helper in helpers:
                helper.start()
            try:
                Multiprocess(config, sockets=listeners).run()
            finally:
                stop.set()
                for helper in helpers:
                    helper.join()
    finally:
        listener.close()
        shutil.rmtree(metrics_folder, ignore_errors=True)


def with_access(settings: Settings, host: str) -> Settings:
    """The settings for listening on `host`.

    On loopback, requests must name this machine, and without keys everybody may do everything. On another
    address, raises ConfigError if the operator has not decided who may do what. Raises ConfigError too for
    keys, secrets and scopes that cannot be used.
    """
    is_configured = read_credentials(settings).is_configured
    if _is_loopback(host):
        names = {*LOOPBACK, f"[{host}]" if ":" in host else host}
        return msgspec.structs.replace(
            settings,
            # Else a page of another site could reach the service by a name that resolves to this machine.
            allowed_hosts=settings.allowed_hosts or ",".join(sorted(names)),
            open_scopes=settings.open_scopes if is_configured else ALL,
        )
    if not is_configured:
        raise ConfigError(
            f"On {host} everybody who reaches this port could read and delete everybody's data, because the"
            " service has no keys",
            expected="keys, or the statement that it is open",
            remedy="set MOVIERANK_API_KEYS or MOVIERANK_API_KEYS_FILE (docs/operations.md shows the form), or"
            " MOVIERANK_OPEN_SCOPES=all, or listen on 127.0.0.1 only",
        )
    return settings


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"The service cannot listen on {host}:{port}: {error}",
            expected="a free port",
            remedy="choose another with --port, or --port 0 for any",
        ) from error
    listener.set_inheritable(True)
    return listener


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen; other processes of the same user may bind the port too."""
    own = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind((host, port))
    return own


class _OwnListener:
    """Unpickles as a new socket on the same port in each process that receives it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def __reduce__(self) -> tuple[Callable[[str, int], socket.socket], tuple[str, int]]:
        return _bound, self._address


def _pinned() -> dict[str, str]:
    """The variables of ONE_THREAD with the operator's values, else 1."""
    return {name: os.environ.get(name, "1") for name in ONE_THREAD}


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets `values` in the environment during the block; processes started in it inherit them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _keep_syncing(stop: threading.Event) -> None:
    """Runs the sync process, and restarts it when it ends, until `stop` is set."""
    while not stop.is_set():
        process = subprocess.Popen([sys.executable, "-m", "movierank_serving.model_sync.sync"])
        while not stop.wait(0.2) and process.poll() is None:
            pass
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        stop.wait(_RESTART_SECONDS)


def _announce(
    host: str, port: int, workers: int, announce: Callable[[str], None], stop: threading.Event
) -> None:
    """Announces when the service answers, why it has no model yet, and when it has one."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{local}]" if ":" in local else local
    while not stop.is_set() and _get(local, port, "/health/live") is None:
        stop.wait(0.1)
    if stop.is_set():
        return
    plural = "worker" if workers == 1 else "workers"
    announce(f"movierank answers at http://{shown}:{port} ({workers} {plural}); its API is at /schema.")
    announced = None
    while not stop.is_set():
        answer = _get(local, port, "/health/ready")
        if answer is not None and answer.get("status") == "ready":
            announce(f"Model version {answer['model']['model_version']} is serving.")
            return
        if answer is not None and answer.get("detail") != announced:
            announced = answer["detail"]
            announce(f"No model yet. {announced}")
        stop.wait(0.5)


def _get(host: str, port: int, path: str) -> dict[str, Any] | None:
    """The decoded JSON of a GET; None if the service does not answer or the body is not JSON."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
