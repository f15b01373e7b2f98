"""Embedded MLflow stores for tests: made once, copied for every test, since migrations take seconds."""

import functools
import shutil
import tempfile
from pathlib import Path

from movierank_core.mlflow_store import follow_move
from movierank_core.paths import Paths


@functools.cache
def _template() -> Path:
    from movierank_pipeline.release.mlflow_client import connect, experiment_id

    root = Path(tempfile.mkdtemp(prefix="movierank-store-"))
    paths = Paths(root=root, home=root / ".movierank")
    experiment_id(connect(paths), paths)
    return root


def paths_with_store(folder: Path) -> Paths:
    """Paths below `folder`, with an empty embedded store at its place."""
    root = folder / "root"
    shutil.copytree(_template(), root)
    paths = Paths(root=root, home=root / ".movierank")
    follow_move(paths)
    return paths
