"""What integration tests share: an environment that nothing on this machine leaks into, a finished root."""

import os
import shutil
from pathlib import Path

import pytest

from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from tests.support.releases import make_release
from tests.support.stores import paths_with_store
from tests.support.tiny_pipeline import Recorder, environment, run, write_tiny_ratings
from tests.support.world import World


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No movierank, MLflow or Dagster setting of the caller's."""
    for name in list(os.environ):
        if name.startswith(("MOVIERANK_", "MLFLOW_", "DAGSTER_")) and name != "MOVIERANK_TEST_DATA":
            monkeypatch.delenv(name)


@pytest.fixture
def paths(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A root of its own with an embedded MLflow store, found by `Paths.from_environment` as well."""
    paths = paths_with_store(tmp_path)
    monkeypatch.setenv("MOVIERANK_ROOT", str(paths.root))
    return paths


@pytest.fixture(scope="session")
def release(world: World, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A training of the small world; ten seconds, so it is made once."""
    return make_release(tmp_path_factory.mktemp("release"), world)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recorder]:
    """A root on which everything was made once."""
    root = tmp_path_factory.mktemp("finished")
    write_tiny_ratings(root)
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(root).items():
            patch.setenv(name, value)
        run(recorder)
    return root, recorder


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
def empty_root(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the ratings and nothing made of them, in the environment."""
    root = tmp_path / "root"
    write_tiny_ratings(root)
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    return root
