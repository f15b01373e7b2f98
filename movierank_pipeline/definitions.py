"""The code location: assets, checks, jobs, the nightly schedule and the feedback sensor. Assembly only.

`dagster dev -w dagster_workspace.yaml` loads `defs`.
"""

from collections.abc import Mapping
from contextlib import closing

import dagster as dg

from movierank_core.errors import EventStoreError
from movierank_core.events.store import Watermark, open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.defs.assets.enrichment import catalogue, tmdb_movies
from movierank_pipeline.defs.assets.features import interactions, movie_features, user_features
from movierank_pipeline.defs.assets.raw import feedback, movielens
from movierank_pipeline.defs.assets.release import model_version, promotion
from movierank_pipeline.defs.assets.serving import histories, recommendations
from movierank_pipeline.defs.assets.training import (
    evaluation,
    ranker,
    ranking_requests,
    retrievers,
    training_set,
)
from movierank_pipeline.defs.checks import CHECKS
from movierank_pipeline.defs.io_managers import FolderStorage, ParquetStorage
from movierank_pipeline.defs.provenance import code_version
from movierank_pipeline.settings import Settings, events_url

ASSETS = (
    *(movielens, feedback, tmdb_movies, catalogue, interactions, movie_features, user_features),
    *(retrievers, ranking_requests, training_set, ranker, evaluation, model_version, promotion),
    *(histories, recommendations),
)

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Everything: reads the data, trains, evaluates, registers, and lets the gate decide.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=retrain,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Retrains at 03:00 UTC. Off until it is switched on.",
)


@dg.sensor(
    name="enough_feedback",
    job=retrain,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Retrains when `feedback_threshold` new events have come. Off until it is switched on.",
)
def enough_feedback(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult:
    """The cursor is the watermark of the event store at the last retraining that was asked for."""
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


def build_defs(
    resource_overrides: Mapping[str, object] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """All definitions, with some resources exchanged: `settings`, `parquet`, `folders`.

    `settings` come from the environment unless given; Dagster's launchpad may change each of them.
    """
    resources: dict[str, object] = {
        "settings": Settings.from_environment(),
        "parquet": ParquetStorage(),
        "folders": FolderStorage(),
    }
    return dg.Definitions(
        assets=[
            definition.map_asset_specs(lambda spec: spec.replace_attributes(code_version=code_version()))
            for definition in ASSETS
        ],
        asset_checks=list(CHECKS),
        jobs=[retrain],
        schedules=[nightly],
        sensors=[enough_feedback],
        resources={**resources, **(resource_overrides or {})},
        loggers=loggers,
    )


defs = build_defs()
