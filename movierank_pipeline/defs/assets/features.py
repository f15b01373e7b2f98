"""The stream of events, and what is known of every film and every user at its end."""

import dagster as dg
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import (
    InteractionFacts,
    StoredFeedback,
    StoredInteractions,
    StoredRatings,
)
from movierank_pipeline.defs.metadata import describe
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.exports.feature_tables import movie_table, user_table
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.settings import Settings


def events_and_catalogue(
    interactions: StoredInteractions, catalogue: pl.DataFrame
) -> tuple[InteractionArrays, Catalogue]:
    """Both tables in the form that fitting reads."""
    movies = Catalogue(catalogue)
    return InteractionArrays.from_frame(interactions.frame, movies), movies


def end_of(data: InteractionArrays) -> int:
    """The first moment (seconds since 1970) that knows every event; 0 without events."""
    return int(data.timestamps.max(initial=-1)) + 1


@dg.asset(group_name="features", kinds={"polars", "parquet"}, io_manager_key="folders")
def interactions(
    context: dg.AssetExecutionContext, ratings: StoredRatings, feedback: StoredFeedback, settings: Settings
) -> dg.MaterializeResult[StoredInteractions]:
    """Ratings and feedback as one stream by user and time, without what was undone or forgotten."""
    forgotten = feedback.facts.forgotten_user_ids
    kept = ratings.frame.filter(~pl.col("user_id").is_in(forgotten)) if forgotten else ratings.frame
    frame = build_interactions(kept, feedback.frame)
    facts = InteractionFacts(
        dataset=ratings.facts.name,
        ratings_are_simulated=ratings.facts.ratings_are_simulated,
        feedback_through=feedback.facts.watermark,
    )
    return dg.MaterializeResult(
        value=StoredInteractions(frame, facts),
        metadata=describe(
            frame,
            "timestamp",
            users=frame["user_id"].n_unique(),
            from_feedback=frame.height - kept.height,
            dataset=facts.dataset,
        ),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "interactions", settings, Paths.from_environment())
        ),
    )


@dg.asset(group_name="features", kinds={"numpy", "parquet"}, io_manager_key="parquet")
def movie_features(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What the model knows of every film at the end of the data: counts, means, recency."""
    data, movies = events_and_catalogue(interactions, catalogue)
    frame = movie_table(data, movies, end_of(data))
    return dg.MaterializeResult(
        value=frame,
        metadata=describe(frame, without_events=int((frame["n_events"] == 0).sum())),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "movie_features", settings, Paths.from_environment())
        ),
    )


@dg.asset(group_name="features", kinds={"numpy", "parquet"}, io_manager_key="parquet")
def user_features(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[pl.DataFrame]:
    """What a request at the end of the data would know of every user."""
    data, movies = events_and_catalogue(interactions, catalogue)
    frame = user_table(data, movies, end_of(data))
    return dg.MaterializeResult(
        value=frame,
        metadata=describe(frame, "last_event"),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "user_features", settings, Paths.from_environment())
        ),
    )
