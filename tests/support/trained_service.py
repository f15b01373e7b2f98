"""A model trained with the command-line program, and services that serve it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.support.made_once import TRAINING_CODE, made_once
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for

SMALLER_TRAINING = {
    "MAX_TRAINING_REQUESTS": "300",
    "TRAINING_ORIGINS": "0.7,0.9",
    "TRAINING_DEPTH": "100",
    "MOMENTS": "1",
    "N_CANDIDATES": "150",
    "N_PER_SOURCE": "60",
    "MAX_COLLABORATIVE_MOVIES": "1000",
    "MAX_SEQUENCE_MOVIES": "600",
    "N_NEIGHBOURS": "100",
    "MAX_NEIGHBOURS": "100",
    "N_CONTENT_NEIGHBOURS": "50",
    "ALS_ITERATIONS": "3",
    "N_TREES": "60",
    "LEARNING_RATE": "0.1",
    "MIN_ROWS_PER_LEAF": "100",
    "N_THREADS": "1",
}
"""Every stage of the real thing on all of the data, with less of each: half a minute on two quiet cores."""
OWN_VARIABLES = ("MOVIERANK_", "MLFLOW_", "DAGSTER_", "PROMETHEUS_", "TMDB_")
PROGRAM = (sys.executable, "-m", "movierank_cli")


@dataclass(frozen=True)
class Trained:
    """A folder with a registry whose version 1 is in production, and with histories."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
        model = {f"MOVIERANK_MODEL_{name}": value for name, value in SMALLER_TRAINING.items()}
        home = {"MOVIERANK_ROOT": str(self.root), "MOVIERANK_HOME": str(self.root / "home")}
        return {**kept, **model, **home, "PYTHONUNBUFFERED": "1", "MOVIERANK_RANK_DEADLINE_MS": "60000"}


def train(root: Path, *data: str) -> Trained:
    """Trains on `data` (options of `materialize`) below `root`."""
    trained = Trained(root)
    made = run([*PROGRAM, "materialize", *data], trained.environment)
    if "Version 1 is in production" not in made:
        # The gate judges by the real thing's standards; a person may overrule it.
        overruled = ["promote", "1", "--overrule", "a smaller training, to be looked at"]
        run([*PROGRAM, *overruled], trained.environment)
    return trained


def train_once(name: str, *data: str) -> Trained:
    """The same, made once for all runs. It is shared: give a service its own home (`service_of`)."""
    return Trained(made_once(name, lambda root: train(root, *data), code=("movierank_cli", *TRAINING_CODE)))


@dataclass
class Service:
    """`movierank serve` with one worker, in a home and a process group of its own."""

    environment: dict[str, str]
    log: Path
    port: int = 0
    process: "subprocess.Popen[str] | None" = None
    _logs: list[IO[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """With the slash that pages need."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self, *, is_ready: bool = True) -> None:
        """On the port it had before; waits until it has a model, or without `is_ready` until it answers."""
        errors = self.log.open("ab")
        self._logs.append(errors)
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", "--port", str(self.port), "--workers", "1"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert address is not None, line + self.log.read_text()
        self.port = int(address[1])
        if is_ready:
            wait_for(self.is_ready, "/health/ready", process=self.process)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.HTTPError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """To every process of it."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """At once, with its requests in flight, as when the machine dies."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        exit_code(self.process)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            exit_code(self.process)
        for log in self._logs:
            log.close()


@contextmanager
def service_of(trained: Trained, home: Path, **variables: str) -> Iterator[Service]:
    """A service with events of its own on the published histories, not started yet; stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    published = trained.root / "home" / "histories"
    if published.is_dir():
        shutil.copytree(published, home / "histories")
    service = Service({**trained.environment, "MOVIERANK_HOME": str(home), **variables}, home / "service.log")
    try:
        yield service
    finally:
        service.stop()


def run(command: list[str], environment: dict[str, str]) -> str:
    """Runs a command that must succeed; returns its standard error."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def ask(url: str, path: str, body: object = None) -> Any:
    """What the service answers, decoded; HTTPError where it refuses."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return json.loads(answer.read())
