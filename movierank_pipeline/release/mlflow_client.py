"""Creates the MLflow client and the experiment, with the same settings everywhere.

MLflow is imported inside the functions: the import takes over a second and 190 MB, and Dagster imports the
code location about once a minute.
"""

import logging
import os
import warnings
from typing import TYPE_CHECKING

from movierank_core.errors import MovierankError
from movierank_core.mlflow_store import EXPERIMENT_NAME, follow_move, is_embedded, tracking_uri
from movierank_core.paths import Paths
from movierank_core.urls import without_password, without_password_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


class StoreError(MovierankError):
    """The configured MLflow store cannot be used."""


def connect(paths: Paths) -> "MlflowClient":
    """A client of the configured store. MLflow's fluent functions use the same store afterwards.

    Creates the embedded store if it is missing, and corrects its paths if the checkout has moved. Raises
    StoreError if another store cannot be reached, so that nothing is trained for a registry that is away.
    """
    # MLflow reads these at import or at the first request; child processes inherit them.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # The default retries for over 200 s.
    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow proposes type hints that would make it validate every row of a batch in Python.
    warnings.filterwarnings("ignore", message=".*type hints to the `predict` method.*")
    if is_embedded(paths):
        paths.artifacts.mkdir(parents=True, exist_ok=True)
        follow_move(paths)
    uri = tracking_uri(paths)
    if uri != mlflow.get_tracking_uri():
        _forget_artifact_folders()
    configured = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    if not configured:
        # MLflow exports the URI. Without this, another root in this process would look configured.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    client = mlflow.MlflowClient(tracking_uri=uri)
    if not is_embedded(paths):
        _require_reachable(client, uri)
    return client


def _forget_artifact_folders() -> None:
    """Makes MLflow look up again where the artifacts of each run are.

    It remembers them by run for the life of the process, whichever store they came from. A copied store has
    the same runs, so files of its runs would land in the folder of the original.
    """
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()


def _require_reachable(client: "MlflowClient", uri: str) -> None:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = without_password_of(uri, str(error)).strip().splitlines()[0]
        raise StoreError(
            f"The MLflow store {without_password(uri)} cannot be used: {reason}",
            expected="a reachable MLflow server or database in MLFLOW_TRACKING_URI",
            remedy="start it, or unset MLFLOW_TRACKING_URI for the embedded store",
        ) from error


def experiment_id(client: "MlflowClient", paths: Paths) -> str:
    """The id of the experiment `movierank`, created if it is missing."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(EXPERIMENT_NAME)) is not None:
        return str(found.experiment_id)
    location = str(paths.artifacts) if is_embedded(paths) else None  # A server has its own artifact root.
    try:
        return str(client.create_experiment(EXPERIMENT_NAME, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        created_elsewhere = client.get_experiment_by_name(EXPERIMENT_NAME)
        return str(created_elsewhere.experiment_id)
