"""Runs whose process is gone: a `kill -9` or a power cut leaves them as started in Dagster's records.

Dagster's run monitoring cannot see this with the default launcher. A lost run would block the queue, which
lets one run through at a time.
"""

import os
from pathlib import Path
from typing import Final

import dagster as dg
from dagster import DagsterRunStatus

from movierank_core.paths import Paths
from movierank_pipeline.defs.alerts import ALERTED_BY_TAG, BY_SENSOR

_IN_PROGRESS: Final = (DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
_PID: Final = "pid"
"""Name of the metadata in which Dagster notes the process of a run."""


def fail_lost_runs(instance: dg.DagsterInstance, paths: Paths) -> list[str]:
    """Marks runs as failed whose process does not exist any more; returns their ids.

    Only in the run history below our own home: the processes of any other may be on another host. A run
    whose process Dagster has not noted yet is left alone.
    """
    if not is_own_history(instance, paths):
        return []
    lost = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_IN_PROGRESS))):
        pid = _process_of(instance, run.run_id)
        if pid is not None and pid != os.getpid() and not _is_dagster(pid):
            if ALERTED_BY_TAG in run.tags:
                instance.add_run_tags(run.run_id, {ALERTED_BY_TAG: BY_SENSOR})
            instance.report_run_failed(
                run, f"The process of the run ({pid}) is gone, so it was marked as failed."
            )
            lost.append(run.run_id)
    return lost


def is_own_history(instance: dg.DagsterInstance, paths: Paths) -> bool:
    """Whether the run history is below our own home; one that `DAGSTER_HOME` names may have other owners."""
    return Path(instance.root_directory).resolve() == paths.dagster_home.resolve()


def _process_of(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that Dagster noted first for a run; its steps run in it or below it."""
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None or not event.is_engine_event:
            continue
        value = event.engine_event_data.metadata.get(_PID)
        if value is not None and str(value.value).isdigit():
            return int(str(value.value))
    return None


def _is_dagster(pid: int) -> bool:
    """Whether the process exists and, where the system tells, is no later process of the same number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    is_zombie = state == "Z"
    return not is_zombie and any(name in command for name in (b"dagster", b"movierank", b"pytest"))
