"""When the asset graph runs by itself: the job, the nightly schedule and the feedback sensor."""

from contextlib import closing

import dagster as dg

from movierank_core.errors import EventStoreError
from movierank_core.events.store import Watermark, open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.settings import Settings, events_url

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Makes every asset: reads data, trains, evaluates, registers a version, applies the gate.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=retrain,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Retrains at 03:00 UTC. Off by default; switch it on in the Dagster UI.",
)


@dg.sensor(
    name="enough_feedback",
    job=retrain,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Retrains when `feedback_threshold` new events have arrived. Off by default; switch it on"
    " in the Dagster UI.",
)
def enough_feedback(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult:
    """Requests a run when enough events follow the cursor, the watermark of the last requested run.

    The first evaluation, and the first after the event store was replaced, only set the cursor.
    """
    try:
        with closing(open_event_store(events_url(Paths.from_environment()))) as store:
            now = store.watermark()
    except EventStoreError as error:
        return dg.SensorResult(skip_reason=str(error))
    before = Watermark.parse(context.cursor or None)
    if before is None or before.store_id != now.store_id:
        return dg.SensorResult(skip_reason="counting from here", cursor=str(now))
    n_new = now.seq - before.seq
    if n_new < settings.feedback_threshold:
        return dg.SensorResult(skip_reason=f"{n_new} of {settings.feedback_threshold} new events")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=str(now))], cursor=str(now))
