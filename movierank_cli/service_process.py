"""The service as a process of its own, started, asked and stopped by the demo."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Self
from urllib.parse import quote

from movierank_core.errors import ConfigError, MovierankError
from movierank_core.paths import Paths

READY_SECONDS = 120.0
"""How long a service may take to load its model; the first start compiles it."""
STOP_SECONDS = 15.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class ServiceError(MovierankError):
    """The service did not start, or did not answer as it should."""


class ServiceProcess:
    """`movierank serve` on one port, which is chosen, and known to be free, when this is made."""

    def __init__(self, paths: Paths, host: str, port: int, workers: int) -> None:
        """`port` 0 takes a free one. Raises ConfigError where the port is in use."""
        self.port = _free_port(host, port)
        local = EVERYWHERE.get(host, host)
        self.url = f"http://{f'[{local}]' if ':' in local else local}:{self.port}"
        self.log_file = paths.home / "service.log"
        self._paths = paths
        self._command = [
            *(sys.executable, "-m", "movierank_cli", "serve"),
            *("--host", host, "--port", str(self.port), "--workers", str(workers)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._paths.home.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "MOVIERANK_ROOT": str(self._paths.root),
            "MOVIERANK_HOME": str(self._paths.home),
        }
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._started
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process

    def wait(self) -> None:
        """Until the service ends, or Ctrl-C, which the service gets as well. ServiceError if it failed."""
        try:
            code = self._started.wait()
        except KeyboardInterrupt:
            return
        if code not in (0, -signal.SIGINT, -signal.SIGTERM):
            raise self._failed(f"The service ended with exit code {code}")

    def wait_until_it_serves(self, version: int) -> None:
        """Until `version` answers requests. ServiceError, with the end of the log, if it never does."""
        deadline = time.monotonic() + READY_SECONDS
        last = "no answer"
        while time.monotonic() < deadline:
            if (code := self._started.poll()) is not None:
                raise self._failed(f"The service ended with exit code {code} while it was starting")
            try:
                status, ready = self.call("GET", "/health/ready")
            except OSError:
                time.sleep(0.1)
                continue
            last = json.dumps(ready)
            if status == 200 and str(ready["model"]["model_version"]) == str(version):
                return
            time.sleep(0.1)
        raise self._failed(
            f"The service does not serve version {version} after {READY_SECONDS:.0f} s; it says {last}"
        )

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one call. OSError where the service cannot be reached."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", content, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, _json(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json(error.read())

    def call_three(self, user_id: int) -> dict[str, Any]:
        """`POST /rank`, `GET /movie/{id}` of the first result, and `POST /feedback` on it; the answers.

        Raises ServiceError for any answer that is not the one to expect.
        """
        rank = self._expect(200, "POST", "/rank", {"user_id": user_id, "k": 5})
        if not rank["results"]:
            raise self._failed(f"/rank has no results for user {user_id}")
        movie_id = rank["results"][0]["movie_id"]
        movie = self._expect(200, "GET", f"/movie/{quote(str(movie_id))}")
        click = {"user_id": user_id, "movie_id": movie_id, "event_type": "click"}
        feedback = self._expect(202, "POST", "/feedback", click)
        return {"POST /rank": rank, f"GET /movie/{movie_id}": movie, "POST /feedback": feedback}

    def _expect(self, expected: int, method: str, path: str, body: object = None) -> Any:
        try:
            status, answer = self.call(method, path, body)
        except OSError as error:
            raise self._failed(f"{method} {path} failed: {error}") from error
        if status != expected:
            raise self._failed(f"{method} {path} answered {status}: {json.dumps(answer)}")
        return answer

    def _failed(self, what: str) -> ServiceError:
        lines = self.log_file.read_text("utf-8", errors="replace").splitlines()[-5:]
        log = " | ".join(line for line in lines if line.strip())
        end = f" The last lines of its log: {log}" if log else ""
        return ServiceError(f"{what}.{end}", remedy=f"look into {self.log_file}")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", errors="replace")


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError(
            f"Port {port} on {host} cannot be used: {os.strerror(error.errno or 0)}",
            expected="a free port",
            remedy="choose another with --port, or --port 0 for any",
        ) from error
