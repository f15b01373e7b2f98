"""`movierank serve` on a small registry: real processes, a real port, a real model."""

import itertools
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from movierank_cli.service_process import ServiceProcess, environment_without_settings
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.mlflow_store import BUNDLE_IN_MODEL
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from tests.support.simulated import SimulatedRatings
from tests.support.stores import paths_with_store

PROGRAM = (sys.executable, "-m", "movierank_cli")
NEVER_DEGRADED = {"MOVIERANK_RANK_DEADLINE_MS": "60000"}
"""A ranking is never cut short because the machine is busy."""
_NUMBERS = itertools.count()
"""Each service has a log of its own: several may run on the same folders."""


class Service(ServiceProcess):
    """`movierank serve` on the folders of `paths`, with no settings but `variables`."""

    def __init__(self, paths: Paths, *, workers: int = 2, port: int = 0, **variables: str) -> None:
        own = {"MOVIERANK_ROOT": str(paths.root), **NEVER_DEGRADED, **variables}
        super().__init__(
            paths.root / f"service-{next(_NUMBERS)}.log",
            variables={**environment_without_settings(), **own},
            workers=workers,
            port=port,
        )

    def rank(self, user_id: int, **more: Any) -> dict[str, Any]:
        status, answer = self.call("POST", "/rank", {"user_id": user_id, **more})
        assert status == 200, answer
        ranking: dict[str, Any] = answer
        return ranking

    def processes(self) -> list[psutil.Process]:
        """The service and its child processes: workers, the registry's watcher, multiprocessing's helper."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def serving(paths: Paths, *, workers: int = 2, **variables: str) -> Iterator[Service]:
    """A service that is ready; stopped at the end."""
    with Service(paths, workers=workers, **variables) as service:
        service.start()
        service.wait_until_ready()
        yield service


def add_version(paths: Paths, release: Release) -> int:
    run_id = uuid.uuid4().hex
    shutil.copytree(release.bundle, paths.artifacts / run_id / BUNDLE_IN_MODEL)
    return Registry(connect(paths)).register(str(paths.artifacts / run_id), run_id, {}).number


def prepare(folder: Path, release: Release, simulated: SimulatedRatings, n_versions: int) -> Paths:
    """A registry with so many versions, the first in production, and published histories."""
    paths = paths_with_store(folder)
    for _ in range(n_versions):
        add_version(paths, release)
    Registry(connect(paths)).promote(1, by="test")
    publish_histories(
        simulated.interactions,
        paths.histories,
        feedback_through=None,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    return paths
