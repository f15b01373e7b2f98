"""What integration tests share: an environment without the caller's settings, a release, a finished run."""

import os
import shutil
from pathlib import Path

import pytest

from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from tests.support import releases
from tests.support.stores import paths_with_store
from tests.support.tiny_pipeline import Recorder, environment, finished_run, make_tiny_root, proven_run


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No movierank, MLflow or Dagster setting of the caller's."""
    for name in list(os.environ):
        if name.startswith(("MOVIERANK_", "MLFLOW_", "DAGSTER_")) and not name.startswith("MOVIERANK_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def paths(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty root with an embedded MLflow store; `Paths.from_environment` gives it as well."""
    paths = paths_with_store(tmp_path)
    monkeypatch.setenv("MOVIERANK_ROOT", str(paths.root))
    return paths


@pytest.fixture(scope="session")
def release() -> Release:
    """A training of the simulated ratings. Its bundle is shared: copy it to change it."""
    return releases.release()


@pytest.fixture(scope="session")
def finished() -> tuple[Path, Recorder]:
    """A root on which every asset was made, and what was reported. It is shared: copy it to change it."""
    return finished_run()


@pytest.fixture
def root(
    finished: tuple[Path, Recorder],
    tmp_path: Path,
    clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A copy of the finished root, in the environment."""
    copy = tmp_path / "root"
    shutil.copytree(finished[0], copy)
    for name, value in environment(copy).items():
        monkeypatch.setenv(name, value)
    return copy


@pytest.fixture
def proven_root(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the root with a good version 2 that the gate has not judged yet, in the environment."""
    copy = tmp_path / "root"
    shutil.copytree(proven_run(), copy)
    for name, value in environment(copy).items():
        monkeypatch.setenv(name, value)
    return copy


@pytest.fixture
def empty_root(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with ratings, an empty store and no other asset, in the environment."""
    root = tmp_path / "root"
    make_tiny_root(root)
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    return root
