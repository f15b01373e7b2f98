"""The end of the night: old versions, runs and leftovers are deleted after a training.

A sensor asks for it, and no asset or hook of the job `retrain` does it. So a training that failed is followed
by it too, a failed deletion fails no training, and the run queue lets it through only when no other run is in
progress.
"""

import dagster as dg

from movierank_core.paths import Paths
from movierank_pipeline.defs.automation import retrain
from movierank_pipeline.defs.one_run import BusyError, require_no_other_run, run_lock
from movierank_pipeline.defs.run_history import FINISHED, find_old_runs
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.retention.garbage import Garbage, delete_all
from movierank_pipeline.retention.leftovers import find_leftovers
from movierank_pipeline.retention.trainings import find_old_trainings, linked_dagster_runs
from movierank_pipeline.settings import Settings


def find_garbage(instance: dg.DagsterInstance, paths: Paths, keep: int) -> list[Garbage]:
    """Everything that may be deleted, in the order in which to delete it.

    The caller holds `run_lock` and has called `require_no_other_run`.
    """
    client = connect(paths)
    trainings = find_old_trainings(client, paths, keep)
    old_runs = find_old_runs(instance, paths, keep, linked_dagster_runs(client))
    return [*trainings, *old_runs, *find_leftovers(paths)]


@dg.op(description="Deletes old versions, MLflow runs, Dagster runs and leftovers of killed processes.")
def delete_garbage(context: dg.OpExecutionContext, settings: Settings) -> None:
    """Does nothing while a command works on the assets of this root: the next training is followed again."""
    paths = Paths.from_environment()
    try:
        with run_lock(paths):
            require_no_other_run(context.instance, paths, context.run_id)
            found = find_garbage(context.instance, paths, settings.keep_versions)
            delete_all(found, lambda item: context.log.info(f"deleted {item.what}, {item.megabytes}"))
    except BusyError as error:
        context.log.info(f"nothing is deleted. {error}")


@dg.job(description="Deletes old versions, runs and leftovers, as `movierank gc` does.")
def clean_up() -> None:
    delete_garbage()


@dg.sensor(
    name="after_training",
    job_name="clean_up",  # With `job=`, Dagster makes a copy of the sensor and warns about a beta parameter.
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs `clean_up` after each run of `retrain`, however it ended. On by default; switch it off"
    " in the Dagster UI.",
)
def after_training(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Requests a run when the latest run of `retrain` that ended is not that of the cursor."""
    ended = context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=list(FINISHED)), limit=1)
    if not ended or ended[0].run_id == context.cursor:
        return dg.SensorResult(skip_reason="no training has ended since")
    run_id = ended[0].run_id
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_id)], cursor=run_id)
