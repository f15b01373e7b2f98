"""Finished runs of Dagster that may be deleted, with their events and captured output."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Final

import dagster as dg

from movierank_core.paths import Paths
from movierank_pipeline.defs.lost_runs import is_own_history
from movierank_pipeline.retention.decision import beyond_newest
from movierank_pipeline.retention.garbage import Garbage, size_of

FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def find_old_runs(
    instance: dg.DagsterInstance, paths: Paths, keep: int, linked: Collection[str] = ()
) -> list[Garbage]:
    """The finished runs beyond the newest `keep` of each job, oldest first.

    By job, so that hourly runs do not push out those of the night. The runs `linked` stay. So does a run that
    holds the latest materialisation of an asset: without it the asset would be stale. A run history elsewhere
    than below our own home has none that may go: it may have runs of other projects.
    """
    if not is_own_history(instance, paths):
        return []
    staying = {*linked, *_latest_of_assets(instance)}
    runs = instance.get_runs(dg.RunsFilter(statuses=list(FINISHED)))  # Newest first.
    old = beyond_newest(runs, keep, group=lambda run: run.job_name)
    return [
        Garbage(
            f"Dagster run {run.run_id} of {run.job_name}",
            _size(instance, run.run_id),
            partial(_delete, instance, run.run_id),
        )
        for run in reversed(old)
        if run.run_id not in staying
    ]


def _latest_of_assets(instance: dg.DagsterInstance) -> set[str]:
    events = [instance.get_latest_materialization_event(key) for key in instance.get_asset_keys()]
    return {event.run_id for event in events if event is not None}


def _delete(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Deletes what belongs to a run, and its record last: by it a call after a kill finds the rest.

    `DagsterInstance.delete_run` deletes the record first, and leaves captured output and the emptied database
    of the run's events.
    """
    database = _event_database(instance, run_id)
    if database is None or database.is_file():
        instance.event_log_storage.delete_events(run_id)
    if database is not None:
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink()
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.run_storage.delete_run(run_id)
    return True


def _event_database(instance: dg.DagsterInstance, run_id: str) -> Path | None:
    """The SQLite file of a run's events; None if Dagster's storage has no file per run."""
    from dagster._core.storage.event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    return Path(storage.path_for_shard(run_id)) if isinstance(storage, SqliteEventLogStorage) else None


def _size(instance: dg.DagsterInstance, run_id: str) -> int:
    database = _event_database(instance, run_id)
    output = Path(instance.storage_directory(), run_id)
    return size_of(output) + (0 if database is None else size_of(database))
