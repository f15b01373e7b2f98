"""One run at a time in a root: two would mix their files."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from filelock import FileLock, Timeout

from movierank_core.errors import MovierankError
from movierank_core.paths import Paths
from movierank_pipeline.defs.lost_runs import fail_lost_runs


class BusyError(MovierankError):
    """Another run works on the assets of this root."""


@contextmanager
def run_lock(paths: Paths) -> Iterator[None]:
    """Holds the lock of this root's commands. The system frees it when the process ends, however it ends.

    Raises BusyError while another process holds it. Runs that Dagster starts do not take it; see
    `require_no_other_run`.
    """
    paths.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(paths.home / "run.lock", timeout=0):
            yield
    except Timeout as error:
        raise _busy("another `movierank materialize`, `movierank demo` or `movierank gc`") from error


def require_no_other_run(instance: dg.DagsterInstance, paths: Paths, own_id: str | None = None) -> None:
    """Raises BusyError while Dagster has a run in progress, other than `own_id`; lost runs do not count."""
    fail_lost_runs(instance, paths)
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if run.run_id != own_id:
            raise _busy(f"run {run.run_id}")


def _busy(who: str) -> BusyError:
    return BusyError(
        f"The assets of this root are in use by {who}",
        expected="one run at a time, since two would mix their files",
        remedy="wait for it, or stop it in the Dagster UI (`movierank dagster`)",
    )
