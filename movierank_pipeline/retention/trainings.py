"""Old versions of the model and old trainings in MLflow, with their logged models and artifacts.

A version goes first, then the files, then the records of logged models and runs. So a registered version
never lacks its files, whenever the process is killed, and the record of a run stays until nothing of it is
left on the disk: by it the next call finds the rest. Everything is found before anything is deleted, so a
training that begins meanwhile is not touched.

In the embedded store this is what `mlflow gc` does for runs and logged models in the deleted stage. The
command itself would also delete each experiment and model that a person has moved to that stage. On any other
store, versions, models and runs are deleted by MLflow's API, which only moves models and runs to that stage.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from movierank_core.mlflow_store import EXPERIMENT_NAME, MODEL_NAME, is_embedded, tracking_uri
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import VersionFacts
from movierank_pipeline.release.log_run import DAGSTER_RUN_TAG, FINGERPRINT_TAG, PARENT_TAG
from movierank_pipeline.release.registry import Registry, Version
from movierank_pipeline.retention.decision import TrainingRun, old_trainings, old_versions
from movierank_pipeline.retention.garbage import Garbage, size_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

_RUNNING: Final = ("RUNNING", "SCHEDULED")


def find_old_trainings(client: "MlflowClient", paths: Paths, keep: int) -> list[Garbage]:
    """Versions that `old_versions` names, each with its run, and trainings without a version.

    In use are also the version that a rollback would return to and the version of the stored asset
    `model_version`. Runs that no training of this pipeline logged stay, with a version or without. Call it
    only while no training of this root is in progress.
    """
    registry, store = Registry(client), TrainingStore(client, paths)
    old = old_versions(registry.versions(), registry.in_use() | _current(paths), keep)
    staying = store.runs_with_version(without={version.number for version in old})
    runs = store.runs()
    going = {run.run_id for run in runs} - staying
    found = []
    for version in old:
        with_run = version.run_id in going
        found.append(
            Garbage(
                f"version {version.number}" + (f" and its run {version.run_id}" if with_run else ""),
                store.size_of_training(version.run_id) if with_run else 0,
                partial(_delete_version, registry, store, version),
            )
        )
    with_version = staying | {version.run_id for version in old}
    for run_id in old_trainings(runs, with_version, keep, is_idle=is_embedded(paths)):
        found.append(
            Garbage(
                f"run {run_id}, which has no version",
                store.size_of_training(run_id),
                partial(store.delete_training, run_id),
            )
        )
    return found


def linked_dagster_runs(client: "MlflowClient") -> set[str]:
    """Ids of the Dagster runs that made the registered versions."""
    return {version.tags.get(DAGSTER_RUN_TAG, "") for version in Registry(client).versions()}


def _current(paths: Paths) -> set[int]:
    """The number of the version that the stored asset `model_version` names, if there is one."""
    try:
        return {VersionFacts.load(paths.assets / "model_version").number}
    except (OSError, ValueError):
        return set()  # Not made yet, or damaged: the next run makes it again.


def _delete_version(registry: Registry, store: "TrainingStore", version: Version) -> bool:
    if not registry.delete_unused(version.number):
        return False
    store.delete_training(version.run_id)
    return True


class TrainingStore:
    """The runs of trainings in one MLflow store, and what belongs to them."""

    def __init__(self, client: "MlflowClient", paths: Paths) -> None:
        from mlflow.tracking._tracking_service.utils import _get_store

        self._client = client
        experiment = client.get_experiment_by_name(EXPERIMENT_NAME)
        self._experiments = [] if experiment is None else [str(experiment.experiment_id)]
        self._store: SqlAlchemyStore | None = (
            _get_store(store_uri=tracking_uri(paths)) if is_embedded(paths) else None
        )

    def runs(self) -> list[TrainingRun]:
        """The runs that trainings of this pipeline have logged, and their trials.

        In the embedded store, runs in the deleted stage are among them: their files are still there.
        """
        runs = list(self._runs())
        trainings = {run.info.run_id for run in runs if FINGERPRINT_TAG in run.data.tags}
        return [
            TrainingRun(
                run_id=run.info.run_id,
                started_at=run.info.start_time or 0,
                parent=run.data.tags.get(PARENT_TAG),
                is_running=run.info.status in _RUNNING,
            )
            for run in runs
            if run.info.run_id in trainings or run.data.tags.get(PARENT_TAG) in trainings
        ]

    def runs_with_version(self, without: set[int] | None = None) -> set[str]:
        """The runs that a version of any registered model names; see `Registry.versions` for ours.

        Versions of our model with a number in `without` do not count.
        """
        by_model = {model.model_id: str(model.source_run_id or "") for model in self._models()}
        named = set()
        token = None
        while True:
            page = self._client.search_model_versions(page_token=token)
            for entry in page:
                if entry.name == MODEL_NAME and int(entry.version) in (without or ()):
                    continue
                named |= {str(entry.run_id or ""), by_model.get(str(entry.model_id), "")}
            if not (token := page.token):
                return named - {""}

    def size_of_training(self, run_id: str) -> int:
        """Bytes of the artifacts of a training on local disks."""
        runs = [run for run in self._runs() if run_id in (run.info.run_id, run.data.tags.get(PARENT_TAG))]
        places = [run.info.artifact_uri for run in runs]
        places += [model.artifact_location for model in self._models() if model.source_run_id == run_id]
        return sum(size_of(folder) for place in places if (folder := _local(place)) is not None)

    def delete_training(self, run_id: str) -> bool:
        """Deletes a training's models, trials and run; returns False if a version names the run.

        A run that no training of this pipeline logged stays, and so do its models.
        """
        if run_id in self.runs_with_version():
            return False
        runs = self.runs()
        if run_id not in {run.run_id for run in runs}:
            return True
        for model in list(self._models()):
            if model.source_run_id == run_id:
                self._delete_model(model)
        for trial in runs:
            if trial.parent == run_id:
                self._delete_run(trial.run_id)
        self._delete_run(run_id)
        return True

    def _delete_model(self, model: "LoggedModel") -> None:
        if self._store is None:
            self._client.delete_logged_model(model.model_id)
        else:
            _delete_artifacts(model.artifact_location)
            self._store._hard_delete_logged_model(model.model_id)

    def _delete_run(self, run_id: str) -> None:
        if self._store is None:
            self._client.delete_run(run_id)
        else:
            _delete_artifacts(self._client.get_run(run_id).info.artifact_uri)
            self._store._hard_delete_run(run_id)

    def _runs(self) -> "Iterator[Run]":
        from mlflow.entities import ViewType

        view = ViewType.ACTIVE_ONLY if self._store is None else ViewType.ALL
        token = None
        while self._experiments:
            page = self._client.search_runs(self._experiments, run_view_type=view, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _models(self) -> "Iterator[LoggedModel]":
        token = None
        while self._experiments:
            page = self._client.search_logged_models(self._experiments, page_token=token)
            yield from page
            if not (token := page.token):
                return


def _delete_artifacts(uri: str) -> None:
    """Deletes all artifacts below `uri`, also if some are gone already."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(uri).delete_artifacts()
    folder = _local(uri)
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # MLflow leaves the empty folder of the run or model.


def _local(uri: str) -> Path | None:
    """The folder on this machine that `uri` names, if it names one."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(uri)) if is_local_uri(uri) else None
