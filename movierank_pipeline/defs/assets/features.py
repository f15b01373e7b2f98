"""The stream of events, and the states that features of movies are computed from."""

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
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.movie_states import MovieStates, fit_movie_states, movie_table
from movierank_pipeline.training.requests import fit_moments


def events_and_catalogue(
    interactions: StoredInteractions, catalogue: pl.DataFrame
) -> tuple[InteractionArrays, Catalogue]:
    """Both tables in the form that fitting reads."""
    movies = Catalogue(catalogue)
    return InteractionArrays.from_frame(interactions.frame, movies), movies


def end_of(data: InteractionArrays) -> int:
    """One second after the last event, in seconds since 1970; 0 without events."""
    return int(data.timestamps.max(initial=-1)) + 1


@dg.asset(group_name="features", kinds={"polars", "parquet"}, io_manager_key="folders")
def interactions(
    context: dg.AssetExecutionContext, ratings: StoredRatings, feedback: StoredFeedback, settings: Settings
) -> dg.MaterializeResult[StoredInteractions]:
    """Ratings and feedback as one stream by user and time. Withdrawn events and forgotten users are left
    out."""
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


@dg.asset(group_name="features", kinds={"numpy"}, io_manager_key="folders")
def movie_features(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[MovieStates]:
    """Each movie's counts, means and ages at every moment that training, evaluation and serving fit at."""
    data, movies = events_and_catalogue(interactions, catalogue)
    end = end_of(data)
    states = fit_movie_states(data, movies, [*fit_moments(data, settings.model_parameters), end])
    frame = movie_table(states.by_moment[end], movies, end)
    return dg.MaterializeResult(
        value=states,
        metadata=describe(
            frame, moments=len(states.by_moment), without_events=int((frame["n_events"] == 0).sum())
        ),
        data_version=dg.DataVersion(
            fingerprint_of_step(context, "movie_features", settings, Paths.from_environment())
        ),
    )
