"""When the asset graph runs by itself: the jobs, their schedules and the feedback sensor."""

import time
from contextlib import closing
from typing import Final

import dagster as dg

from movierank_core.data.snapshot import CURRENT
from movierank_core.errors import EventStoreError
from movierank_core.events.store import Watermark, open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.alerts import alert_url
from movierank_pipeline.defs.alerts import alerting_of_plan
from movierank_pipeline.defs.lost_runs import fail_lost_runs
from movierank_pipeline.defs.provenance import plan
from movierank_pipeline.settings import Settings, events_url

RETRY_SECONDS: Final = 3600
"""Time from the end of a failed run to the next one for the same feedback."""
SENSOR: Final = "enough_feedback"

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Makes every asset: reads data, trains, evaluates, registers a version, applies the gate.",
)

PUBLISHED: Final = ("feedback", "interactions", "histories")
"""The assets of the job `publish`."""
publish = dg.define_asset_job(
    "publish",
    selection=dg.AssetSelection.assets(*PUBLISHED),
    description="Publishes histories and facts of movies with the newest feedback, without training.",
)


@dg.schedule(
    name="hourly",
    job=publish,
    cron_schedule="30 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Publishes histories and facts of movies at half past every hour, if feedback is new. Off"
    " by default; switch it on in the Dagster UI.",
)
def hourly(context: dg.ScheduleEvaluationContext, settings: Settings) -> dg.RunRequest | dg.SkipReason:
    """Requests the stale ones of PUBLISHED, once something was published before."""
    if not (Paths.from_environment().histories / CURRENT).is_file():
        return dg.SkipReason("Nothing was published yet. Run the job `retrain` first.")
    stale = [name for name in _stale("hourly", context, settings) if name in PUBLISHED]
    return _run_of(stale, "Nothing has changed since the last publication.")


@dg.schedule(
    name="nightly",
    job=retrain,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Makes the stale assets at 03:00 UTC, and nothing if nothing changed. Off by default; switch"
    " it on in the Dagster UI.",
)
def nightly(context: dg.ScheduleEvaluationContext, settings: Settings) -> dg.RunRequest | dg.SkipReason:
    """Requests a run of the stale assets."""
    nothing = "Nothing has changed since the last run: code, settings, data and feedback."
    return _run_of(_stale("nightly", context, settings), nothing)


def _stale(name: str, context: dg.ScheduleEvaluationContext, settings: Settings) -> list[str]:
    """The names of the stale assets, for the schedule `name`.

    Runs whose process is gone are marked as failed first: they would hold up all later runs.
    """
    paths = Paths.from_environment()
    with alerting_of_plan(f"The schedule {name}", alert_url(), settings.dagster_url):
        fail_lost_runs(context.instance, paths)
        repository = context.repository_def
        assert repository is not None
        return list(plan(repository.asset_graph, settings, paths, context.instance).stale)


def _run_of(names: list[str], why_none: str) -> dg.RunRequest | dg.SkipReason:
    """A request for a run of the assets `names`; without any, a skip with the reason `why_none`."""
    if not names:
        return dg.SkipReason(why_none)
    return dg.RunRequest(asset_selection=[dg.AssetKey(name) for name in names])


@dg.sensor(
    name=SENSOR,
    job=retrain,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Retrains when `feedback_threshold` new events have arrived. Off by default; switch it on"
    " in the Dagster UI.",
)
def enough_feedback(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult:
    """Requests a run when enough events follow the cursor, the watermark of the last requested run.

    The first evaluation, and the first after the event store was replaced, only set the cursor. If the last
    requested run failed, another is requested `RETRY_SECONDS` later, so its feedback is not forgotten.
    """
    try:
        with closing(open_event_store(events_url(Paths.from_environment()))) as store:
            now = store.watermark()
    except EventStoreError as error:
        return dg.SensorResult(skip_reason=str(error))
    before = Watermark.parse(context.cursor or None)
    if before is None or before.store_id != now.store_id:
        return dg.SensorResult(skip_reason="counting from here", cursor=str(now))
    if failed := _failed_run(context.instance):
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{now} after {failed}")], cursor=str(now))
    n_new = now.seq - before.seq
    if n_new < settings.feedback_threshold:
        return dg.SensorResult(skip_reason=f"{n_new} of {settings.feedback_threshold} new events")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=str(now))], cursor=str(now))


def _failed_run(instance: dg.DagsterInstance) -> str | None:
    """The id of the sensor's latest run if it failed at least `RETRY_SECONDS` ago, else None."""
    records = instance.get_run_records(dg.RunsFilter(tags={"dagster/sensor_name": SENSOR}), limit=1)
    if not records or records[0].dagster_run.status is not dg.DagsterRunStatus.FAILURE:
        return None
    ended = records[0].end_time
    is_due = ended is not None and time.time() - ended >= RETRY_SECONDS
    return records[0].dagster_run.run_id if is_due else None
