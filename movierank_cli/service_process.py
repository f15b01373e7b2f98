"""Runs a service as a child process: starts it, waits for it, calls it and stops it.

The demo, the tests and the benchmarks all start `movierank serve` (or a service to compare it with) this way.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from movierank_core.errors import ConfigError, MovierankError

if TYPE_CHECKING:
    import psutil

MAX_WAIT_SECONDS: Final = 600.0
"""Maximum time of any wait, in seconds. The first start of a service also compiles its kernels."""
STOP_SECONDS: Final = 120.0
"""Maximum time from SIGTERM to the end of the process, in seconds; then it is killed."""
CALL_SECONDS: Final = 60.0
"""Maximum time that a call waits for bytes of the response, in seconds."""
SERVE: Final = (sys.executable, "-m", "movierank_cli", "serve")
_POLL_SECONDS: Final = 0.05
_ADDRESS: Final = re.compile(r"(?:answers at|running on) http://\S+?:(\d+)")
"""The line with the port, as `movierank serve` and uvicorn print it when the service accepts connections."""
_LOCAL_ADDRESSES: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""The address to call, for addresses that mean every interface of the machine."""
_OWN_VARIABLES: Final = ("MOVIERANK_", "MLFLOW_", "DAGSTER_", "PROMETHEUS_", "TMDB_")


class ServiceError(MovierankError):
    """The service did not start, or did not answer as expected. The message ends with the end of its log."""


class ServiceProcess:
    """One service, started by `start` and stopped by `stop` or at the end of a `with` block."""

    def __init__(
        self,
        log_file: Path,
        *,
        variables: Mapping[str, str],
        host: str = "127.0.0.1",
        port: int = 0,
        workers: int = 1,
        command: Sequence[str] = SERVE,
        has_own_group: bool = False,
    ) -> None:
        """Starts nothing.

        Args:
            log_file: Receives standard output and standard error; every start appends to it.
            variables: The whole environment of the process.
            host: Address to listen on, passed to `command` as `--host`.
            port: Port to listen on, passed as `--port`. With 0 the service takes a free one at the first
                start, and keeps it at later starts.
            workers: Number of worker processes, passed as `--workers`.
            command: Program and arguments. It must log its address like `movierank serve` or uvicorn.
            has_own_group: Starts it in a process group of its own, so that `signal` reaches its workers. Then
                Ctrl-C in a terminal does not reach it.
        """
        self.host = _LOCAL_ADDRESSES.get(host, host)
        self.port = port
        self.log_file = log_file
        self._variables = dict(variables)
        self._listen_host = host
        self._workers = workers
        self._command = list(command)
        self._has_own_group = has_own_group
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL of the page, with a slash at its end. Known after `start`."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of the last start. Raises RuntimeError before the first."""
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process and waits until it accepts connections. Raises ServiceError if it never does."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                [
                    *self._command,
                    *("--host", self._listen_host, "--port", str(self.port), "--workers", str(self._workers)),
                ],
                env={**self._variables, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self._has_own_group,
            )
        self.wait_until(self._has_logged_address, "accept connections")

    def _has_logged_address(self) -> bool:
        found = _ADDRESS.search(self.log())
        if found is not None:
            self.port = int(found[1])
        return found is not None

    def log(self) -> str:
        """Output since the last start."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Polls until `condition` is true; an OSError counts as false.

        Raises ServiceError if the process ends, or after MAX_WAIT_SECONDS. `what` completes "The service
        does not …".
        """
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while not _holds(condition):
            if (code := self.process.poll()) is not None:
                raise self.failure(f"The service ended with exit code {code} while it was starting")
            if time.monotonic() > deadline:
                raise self.failure(f"The service does not {what} within {MAX_WAIT_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def wait_until_ready(self, version: int | None = None) -> None:
        """Waits until `/health/ready` is 200, and if `version` is given, until it names that model version.

        Raises ServiceError, like `wait_until`.
        """

        def is_ready() -> bool:
            status, ready = self.call("GET", "/health/ready")
            return status == 200 and (version is None or ready["model"]["model_version"] == str(version))

        self.wait_until(is_ready, "become ready" if version is None else f"serve version {version}")

    def wait(self) -> None:
        """Waits until the process ends, or until Ctrl-C. Raises ServiceError if the process failed."""
        try:
            code = self.process.wait()
        except KeyboardInterrupt:
            return
        if code not in (0, -signal.SIGINT, -signal.SIGTERM):
            raise self.failure(f"The service ended with exit code {code}")

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body of one call over a new connection; a body that is not JSON stays text.

        Raises OSError if the service cannot be reached or breaks off.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=CALL_SECONDS)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, _decoded(response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def expect(self, status: int, method: str, path: str, body: object = None) -> Any:
        """The decoded body of a call. Raises ServiceError if its status is another one or the call fails."""
        try:
            answered, answer = self.call(method, path, body)
        except OSError as error:
            raise self.failure(f"{method} {path} failed: {error}") from error
        if answered != status:
            raise self.failure(f"{method} {path} answered {answered}: {json.dumps(answer)}")
        return answer

    def workers(self) -> "list[psutil.Process]":
        """The living worker processes. Needs psutil (extra `test`)."""
        import psutil

        def is_living_worker(child: "psutil.Process") -> bool:
            try:
                is_living = child.status() != psutil.STATUS_ZOMBIE
                return is_living and "spawn_main" in " ".join(child.cmdline())
            except psutil.NoSuchProcess:  # It ended meanwhile.
                return False

        return [child for child in psutil.Process(self.process.pid).children() if is_living_worker(child)]

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process; with `has_own_group` to its children as well."""
        if self._has_own_group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Ends the process at once, in the middle of requests; with `has_own_group` its children as well."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int | None:
        """Sends SIGTERM, and kills after STOP_SECONDS. Returns the exit code; None if never started."""
        if self._process is None:
            return None
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def failure(self, problem: str) -> ServiceError:
        """An error with the last five lines of the log."""
        lines = self.log().splitlines()[-5:] if self.log_file.exists() else []
        log = " | ".join(line for line in lines if line.strip())
        end = f" The last lines of its log: {log}" if log else ""
        return ServiceError(f"{problem}.{end}", remedy=f"look into {self.log_file}")


def environment_without_settings() -> dict[str, str]:
    """The environment of this process without variables that configure movierank and its libraries."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}


def require_free_port(host: str, port: int) -> None:
    """Raises ConfigError if `port` on `host` is in use or not permitted; 0 always passes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigError(
            f"Port {port} on {host} cannot be used: {os.strerror(error.errno or 0)}",
            expected="a free port",
            remedy="choose another with --port, or --port 0 for any",
        ) from error


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", errors="replace")
