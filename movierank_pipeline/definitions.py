"""The code location: assets, checks, jobs, schedules and sensors.

This module only assembles them; each is defined below `defs/`.

`dagster dev -w dagster_workspace.yaml` loads `defs`.
"""

from collections.abc import Mapping

import dagster as dg

from movierank_pipeline.alerts import alert_url
from movierank_pipeline.defs.alerts import alert_sensors
from movierank_pipeline.defs.assets.enrichment import catalogue, tmdb_movies
from movierank_pipeline.defs.assets.features import interactions, movie_features
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
from movierank_pipeline.defs.automation import enough_feedback, hourly, nightly, publish, retrain
from movierank_pipeline.defs.clean_up import after_training, clean_up
from movierank_pipeline.defs.data_checks import DATA_CHECKS
from movierank_pipeline.defs.heavy_steps import one_heavy_step
from movierank_pipeline.defs.io_managers import FolderStorage, ParquetStorage
from movierank_pipeline.defs.model_checks import MODEL_CHECKS
from movierank_pipeline.defs.provenance import code_version
from movierank_pipeline.settings import Settings

ASSETS = (
    *(movielens, feedback, tmdb_movies, catalogue, interactions, movie_features),
    *(retrievers, ranking_requests, training_set, ranker, evaluation, model_version, promotion),
    *(histories, recommendations),
)


def build_defs(
    resource_overrides: Mapping[str, object] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """All definitions, with some resources exchanged: `settings`, `parquet`, `folders`.

    `settings` come from the environment unless given; Dagster's launchpad can change each setting.
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
        asset_checks=[*DATA_CHECKS, *MODEL_CHECKS],
        jobs=[retrain, publish, clean_up],
        schedules=[nightly, hourly],
        sensors=[enough_feedback, after_training, *alert_sensors(alert_url())],
        resources={**resources, **(resource_overrides or {})},
        loggers=loggers,
        executor=one_heavy_step,
    )


defs = build_defs()
