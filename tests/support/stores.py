"""Embedded MLflow stores for tests: copies of an empty one, since its migrations take seconds."""

import shutil
from pathlib import Path

from movierank_core.mlflow_store import follow_move
from movierank_core.paths import Paths
from tests.support.made_once import made_once


def _make_empty_store(root: Path) -> None:
    from movierank_pipeline.release.mlflow_client import connect, experiment_id

    paths = Paths(root=root, home=root / ".movierank")
    experiment_id(connect(paths), paths)


def paths_with_store(folder: Path) -> Paths:
    """Paths below `folder/root`, with an empty embedded store."""
    return give_store(folder / "root")


def give_store(root: Path) -> Paths:
    """Puts an empty embedded store below `root`; returns the paths of this root."""
    shutil.copytree(made_once("mlflow-store", _make_empty_store), root, dirs_exist_ok=True)
    paths = Paths(root=root, home=root / ".movierank")
    follow_move(paths)
    return paths
