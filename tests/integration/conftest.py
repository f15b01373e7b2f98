"""What integration tests share: an environment that nothing on this machine leaks into."""

import os
from pathlib import Path

import pytest

from movierank_core.paths import Paths
from tests.support.stores import paths_with_store


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
