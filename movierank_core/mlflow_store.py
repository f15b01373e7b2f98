"""Address and names of the MLflow store, shared by the pipeline and the service.

This module does not import MLflow. The embedded store is SQLite with absolute artifact folders: MLflow
resolves relative ones against the working directory of the process. `follow_move` rewrites the absolute
paths after the checkout was moved or copied.
"""

import os
import sqlite3
from contextlib import closing
from typing import Final

from movierank_core.paths import Paths

MODEL_NAME: Final = "movie-ranker"
EXPERIMENT_NAME: Final = "movierank"

PRODUCTION: Final = "production"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
ANCHOR: Final = "anchor"
"""The best version that was in production lately; the gate compares with it besides production."""

BUNDLE_IN_MODEL: Final = "artifacts/bundle"
"""Folder of the bundle in the logged model, below `models:/movie-ranker/<version>`."""

STATE_TAG: Final = "movierank.state"
"""Tag that is set to `READY` as the last step of a registration; a version without it is incomplete."""
READY: Final = "ready"

_PATH_COLUMNS: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def tracking_uri(paths: Paths) -> str:
    """`MLFLOW_TRACKING_URI` if set, else the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or paths.tracking_uri


def is_embedded(paths: Paths) -> bool:
    return tracking_uri(paths) == paths.tracking_uri


def follow_move(paths: Paths) -> int:
    """Points the embedded store at this checkout's artifacts; returns the number of rewritten values.

    The old folder is read from the experiment `movierank`. All values change in one transaction, so a kill
    leaves all old or all new values. Returns 0 if there is no store yet or nothing moved.
    """
    database = paths.mlruns / "mlflow.db"
    if not database.is_file():
        return 0
    new = str(paths.artifacts)
    with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if not tables.issuperset(table for table, _ in _PATH_COLUMNS):
            return 0  # MLflow has not finished making its tables.
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute(
                "SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT_NAME,)
            ).fetchone()
            if row is None or row[0] == new:
                connection.execute("ROLLBACK")
                return 0
            old = str(row[0])
            n_rewritten = sum(
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                ).rowcount
                for table, column in _PATH_COLUMNS
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return n_rewritten
