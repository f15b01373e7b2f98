"""A model trained with the command-line program, and services that serve it."""

import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from movierank_cli.exit_codes import VERSION_REFUSED
from movierank_cli.service_process import ServiceProcess, environment_without_settings
from movierank_core.paths import Paths
from movierank_pipeline.datasets import SAMPLE
from movierank_pipeline.ingest.sample.dataset import synthesize, write_dataset
from tests.support.made_once import TRAINING_CODE, made_once
from tests.support.releases import training
from tests.support.service_process import NEVER_DEGRADED, PROGRAM
from tests.support.stores import give_store
from tests.support.waiting import PATIENCE_SECONDS

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


class Size(NamedTuple):
    """How many users of the sample there are, and how many ratings they gave together."""

    n_users: int
    n_ratings: int


A_FEW_USERS = Size(300, 17_000)
"""All films of the sample, and about as many ratings of each user."""


@dataclass(frozen=True)
class Trained:
    """A folder with a registry whose version 1 is in production, and with histories."""

    root: Path

    @property
    def paths(self) -> Paths:
        return Paths(root=self.root, home=self.root / "home")

    @property
    def environment(self) -> dict[str, str]:
        model = {f"MOVIERANK_MODEL_{name}": value for name, value in SMALLER_TRAINING.items()}
        home = {"MOVIERANK_ROOT": str(self.root), "MOVIERANK_HOME": str(self.paths.home)}
        return {**environment_without_settings(), **model, **home, **NEVER_DEGRADED}


def train(root: Path, *data: str) -> Trained:
    """Trains on `data` (options of `materialize`) below `root`."""
    trained = Trained(root)
    made = run([*PROGRAM, "materialize", *data], trained.environment, codes=(0, VERSION_REFUSED))
    if "Version 1 is in production" not in made:
        # The gate judges by the real thing's standards; a person may overrule it.
        overruled = ["promote", "1", "--overrule", "a smaller training, to be looked at"]
        run([*PROGRAM, *overruled], trained.environment)
    return trained


def train_once(name: str, *data: str, sample: Size | None = None) -> Trained:
    """The same, made once for all runs. It is shared: give a service its own home (`service_of`).

    `sample`: the size of the built-in sample, if not all of it.
    """

    def make(root: Path) -> None:
        training()  # The kernels are compiled by one process.
        give_store(root)
        if sample is not None:
            write_dataset(synthesize(sample.n_users, sample.n_ratings), Trained(root).paths.datasets / SAMPLE)
        train(root, *data)

    return Trained(made_once(name, make, code=("movierank_cli", *TRAINING_CODE)))


class Service(ServiceProcess):
    """`movierank serve` with one worker, in a home and a process group of its own."""

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        super().__init__(log, variables=environment, has_own_group=True)

    def start(self, *, is_ready: bool = True) -> None:
        """Waits until it has a model, or without `is_ready` until it answers."""
        super().start()
        if is_ready:
            self.wait_until_ready()

    def stop(self) -> int | None:
        """Resumes a service that a test halted, then ends it."""
        if self.is_running:
            self.signal(signal.SIGCONT)
        return super().stop()


@contextmanager
def service_of(trained: Trained, home: Path, **variables: str) -> Iterator[Service]:
    """A service with events of its own on the published histories, not started yet; stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    published = trained.paths.histories
    if published.is_dir():
        shutil.copytree(published, home / "histories")
    environment = {**trained.environment, "MOVIERANK_HOME": str(home), **variables}
    with Service(home / "service.log", environment) as service:
        yield service


def run(command: list[str], environment: dict[str, str], codes: tuple[int, ...] = (0,)) -> str:
    """Runs a command that must end with one of `codes`; returns its standard error."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stderr


def ask(url: str, path: str, body: object = None) -> Any:
    """What the service answers, decoded; HTTPError where it refuses."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return json.loads(answer.read())
