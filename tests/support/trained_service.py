"""A service with a model that was really trained, made and stopped with the program, as a person would."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_for

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


@contextmanager
def trained_service(root: Path, *data: str) -> Iterator[str]:
    """The address of a service below `root` whose model was trained on `data` (options of `materialize`)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    environment |= {f"MOVIERANK_MODEL_{name}": value for name, value in SMALLER_TRAINING.items()}
    environment |= {
        "MOVIERANK_ROOT": str(root),
        "MOVIERANK_HOME": str(root / "home"),
        "PYTHONUNBUFFERED": "1",
    }
    program = [sys.executable, "-m", "movierank_cli"]
    made = run([*program, "materialize", *data], environment)
    if "Version 1 is in production" not in made:
        # The gate judges by the real thing's standards; a person may overrule it.
        run([*program, "promote", "1", "--overrule", "a smaller training, to be looked at"], environment)
    log = root / "service.log"
    with log.open("wb") as errors:
        service = subprocess.Popen(
            [*program, "serve", "--port", "0", "--workers", "1"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert service.stdout is not None
        line = service.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address is not None, line + log.read_text()
        wait_for(lambda: is_ready(address[0]), seconds=120, what="/health/ready")
        yield address[0]
    finally:
        if service.poll() is None:
            service.send_signal(signal.SIGTERM)
        try:
            service.wait(30)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a command that succeeds says on standard error."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


def ask(url: str, path: str, body: object = None) -> Any:
    """What the service answers, decoded; HTTPError where it refuses."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())
