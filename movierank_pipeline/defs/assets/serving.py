"""Published outputs: the histories of all users, and the best movies for each user."""

import dagster as dg
import msgspec
import polars as pl

from movierank_core.data.history_snapshot import HistoriesManifest, publish_histories
from movierank_core.features.facts_snapshot import publish_facts
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import StoredInteractions
from movierank_pipeline.defs.assets.features import end_of, events_and_catalogue
from movierank_pipeline.defs.heavy_steps import HEAVY
from movierank_pipeline.defs.metadata import describe
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.exports.recommendations import no_recommendations, recommend_all
from movierank_pipeline.promotion.bundle_checks import read_registered
from movierank_pipeline.release.log_run import version_bundle
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.settings import Settings


@dg.asset(group_name="serving", kinds={"numpy"})
def histories(
    context: dg.AssetExecutionContext, interactions: StoredInteractions, settings: Settings
) -> dg.MaterializeResult:
    """The snapshots of all users' events and of the facts of movies that the service reads.

    They do not depend on a model. A version ranks with the facts published last.
    """
    paths = Paths.from_environment()
    manifest: HistoriesManifest = publish_histories(
        interactions.frame,
        paths.histories,
        feedback_through=interactions.facts.feedback_through,
        dataset=interactions.facts.dataset,
        ratings_are_simulated=interactions.facts.ratings_are_simulated,
    )
    facts = publish_facts(interactions.frame, paths.facts, dataset=interactions.facts.dataset)
    return dg.MaterializeResult(
        metadata={
            "facts": dg.MetadataValue.path(str(paths.facts / facts.snapshot_id)),
            "folder": dg.MetadataValue.path(str(paths.histories / manifest.snapshot_id)),
            **{
                name: value
                for name, value in msgspec.to_builtins(manifest).items()
                if name not in ("file_bytes", "sha256") and value is not None
            },
            "megabytes": round(sum(manifest.file_bytes.values()) / 1e6, 2),
        },
        data_version=dg.DataVersion(fingerprint_of_step(context, "histories", settings, paths)),
    )


@dg.asset(
    op_tags=HEAVY,
    group_name="serving",
    kinds={"numpy", "parquet"},
    io_manager_key="parquet",
    deps=[dg.AssetKey("promotion")],
)
def recommendations(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[pl.DataFrame]:
    """The top movies of each user at the end of the data, by the version in production, for batch use.

    Without a version in production the table is empty.
    """
    paths = Paths.from_environment()
    production = Registry(connect(paths)).by_alias(PRODUCTION)
    data, _ = events_and_catalogue(interactions, catalogue)
    if production is None:
        context.log.warning("no version is in production, so nothing is recommended")
        frame = no_recommendations()
    else:
        with version_bundle(paths, production.number) as folder:
            model = read_registered(folder).model
            frame = recommend_all(model, data, end_of(data), settings.recommendations_k, context.log.info)
    return dg.MaterializeResult(
        value=frame,
        metadata=describe(
            frame,
            users=len(data.user_ids),
            movies_recommended=frame["movie_id"].n_unique(),
            version="none" if production is None else production.number,
        ),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "recommendations", settings, Paths.from_environment())
        ),
    )
