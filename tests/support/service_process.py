"""`movierank serve` as it runs: real processes, a real port, a real registry, a real model."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from movierank_core.data.history_snapshot import publish_histories
from movierank_core.mlflow_store import BUNDLE_IN_MODEL
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from tests.support.stores import paths_with_store
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for
from tests.support.world import World

ROOT = Path(__file__).resolve().parents[2]
SERVE = "from movierank_cli.main import main; main()"
NEVER_DEGRADED = {"MOVIERANK_RANK_DEADLINE_MS": "60000"}
"""A ranking is never cut short because the machine is busy."""


class Service:
    """`movierank serve` in a process of its own."""

    def __init__(self, paths: Paths, *arguments: str, **variables: str) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MOVIERANK_", "MLFLOW_", "PROMETHEUS_"))
        }
        environment |= {
            "MOVIERANK_ROOT": str(paths.root),
            "PYTHONUNBUFFERED": "1",
            **NEVER_DEGRADED,
            **variables,
        }
        self.log = paths.root / "service.log"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--port", "0", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            text=True,
        )
        self.port = 0

    def read_address(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert match is not None, line + self.log.read_text()
        self.port = int(match[1])

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded answer, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            is_json = "json" in response.headers["content-type"]
            return response.status, json.loads(text) if is_json else text.decode()
        finally:
            connection.close()

    def rank(self, user_id: int, **more: Any) -> dict[str, Any]:
        status, answer = self.ask("POST", "/rank", {"user_id": user_id, **more})
        assert status == 200, answer
        ranking: dict[str, Any] = answer
        return ranking

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.ask("GET", "/health/ready")[0] == 200, "readiness", process=self.process)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer; the others are the registry's watcher and multiprocessing's helper."""
        children = psutil.Process(self.process.pid).children()
        living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in living if "spawn_main" in " ".join(child.cmdline())]

    def everything(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return exit_code(self.process)


@contextmanager
def serving(paths: Paths, *arguments: str, **variables: str) -> Iterator[Service]:
    service = Service(paths, *arguments, **variables)
    try:
        service.read_address()
        service.wait_until_ready()
        yield service
    finally:
        service.stop()


def add_version(paths: Paths, release: Release) -> int:
    run_id = uuid.uuid4().hex
    shutil.copytree(release.bundle, paths.artifacts / run_id / BUNDLE_IN_MODEL)
    return Registry(connect(paths)).register(str(paths.artifacts / run_id), run_id, {}).number


def prepare(folder: Path, release: Release, world: World, n_versions: int) -> Paths:
    """A registry with so many versions, the first in production, and published histories."""
    paths = paths_with_store(folder)
    for _ in range(n_versions):
        add_version(paths, release)
    Registry(connect(paths)).promote(1, by="test")
    publish_histories(
        world.interactions,
        paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    return paths
