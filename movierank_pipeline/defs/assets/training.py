"""Candidate sources, training rows, the ranker and its evaluation."""

import dagster as dg
import polars as pl

from movierank_core.paths import Paths
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.artifacts import StoredInteractions
from movierank_pipeline.defs.assets.features import end_of, events_and_catalogue
from movierank_pipeline.defs.heavy_steps import HEAVY
from movierank_pipeline.defs.metadata import describe, plot
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN, RECALL
from movierank_pipeline.evaluation.evaluate import report_of, scored_requests
from movierank_pipeline.evaluation.experiment import answers_to, model_on, rows_of
from movierank_pipeline.evaluation.plots import importance_plot
from movierank_pipeline.evaluation.protocols.protocol import Protocol
from movierank_pipeline.evaluation.protocols.temporal import temporal_protocol
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.movie_states import MovieStates
from movierank_pipeline.training.requests import episode_moments, plan_requests
from movierank_pipeline.training.trained_ranker import TrainedRanker
from movierank_pipeline.training.training_set import TrainingSet
from movierank_pipeline.training.tuning import tune_ranker


def _protocol(
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    ranking_requests: pl.DataFrame,
    movie_features: MovieStates,
    settings: Settings,
) -> Protocol:
    data, movies = events_and_catalogue(interactions, catalogue)
    return temporal_protocol(
        data, movies, settings.model_parameters, ranking_requests, movie_features.by_moment
    )


def _version(context: dg.AssetExecutionContext, asset: str, settings: Settings) -> dg.DataVersion:
    return dg.DataVersion(fingerprint_of_step(context, asset, settings, Paths.from_environment()))


@dg.asset(group_name="retrieval", kinds={"numpy"}, io_manager_key="folders", op_tags=HEAVY)
def retrievers(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    movie_features: MovieStates,
    settings: Settings,
) -> dg.MaterializeResult[RankingState]:
    """The state that serves: candidate sources fitted on all events, with the movie states of their end."""
    data, movies = events_and_catalogue(interactions, catalogue)
    end = end_of(data)
    state = fit_state(
        data,
        movies,
        end,
        settings.model_parameters,
        context.log.info,
        movies=movie_features.by_moment[end],
    )
    sizes = {
        name: sum(array.nbytes for array in source.arrays().values())
        for name, source in state.sources.items()
    }
    return dg.MaterializeResult(
        value=state,
        metadata={
            "sources": list(state.sources),
            "megabytes": {name: round(size / 1e6, 2) for name, size in sizes.items()},
            "known_movies": int(state.is_known.sum()),
        },
        data_version=_version(context, "retrievers", settings),
    )


@dg.asset(group_name="training", kinds={"polars", "parquet"}, io_manager_key="parquet")
def ranking_requests(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[pl.DataFrame]:
    """Replayed requests: users, moments and the movies that they went on to like."""
    data, movies = events_and_catalogue(interactions, catalogue)
    frame = plan_requests(data, movies, settings.model_parameters)
    by_role = frame.group_by("role").len().sort("role").rows()
    return dg.MaterializeResult(
        value=frame,
        metadata=describe(
            frame,
            "as_of",
            by_role=dict(by_role),
            fitted_at=[moment.isoformat() for moment in episode_moments(data, settings.model_parameters)],
        ),
        data_version=_version(context, "ranking_requests", settings),
    )


@dg.asset(group_name="training", kinds={"numpy", "parquet"}, io_manager_key="folders", op_tags=HEAVY)
def training_set(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    ranking_requests: pl.DataFrame,
    movie_features: MovieStates,
    settings: Settings,
) -> dg.MaterializeResult[TrainingSet]:
    """The candidates of each training request, with their features at that moment and whether they were
    liked."""
    protocol = _protocol(interactions, catalogue, ranking_requests, movie_features, settings)
    made = rows_of(protocol, context.log.info)
    frame = made.frame
    return dg.MaterializeResult(
        value=made,
        metadata=describe(
            frame,
            "as_of",
            requests=frame["request_id"].n_unique(),
            likes=int(frame["label"].sum()),
            megabytes=round(frame.estimated_size("mb"), 1),
            fusion={name: round(weight, 3) for name, weight in made.fusion.items()},
        ),
        data_version=_version(context, "training_set", settings),
    )


@dg.asset(group_name="model", kinds={"lightgbm"}, io_manager_key="folders", op_tags=HEAVY)
def ranker(
    context: dg.AssetExecutionContext, training_set: TrainingSet, settings: Settings
) -> dg.MaterializeResult[TrainedRanker]:
    """LightGBM trees that order candidates, with the calibration of their scores."""
    config = settings.model_parameters
    trained = tune_ranker(training_set, config, settings.tune_seconds, context.log.info)
    return dg.MaterializeResult(
        value=trained,
        metadata={
            **trained.metrics,
            **{f"chosen {name}": value for name, value in trained.chosen.items()},
            "importance": plot(importance_plot(trained.importance), "share of the gain per feature"),
        },
        data_version=_version(context, "ranker", settings),
    )


@dg.asset(group_name="model", kinds={"numpy"}, io_manager_key="folders", op_tags=HEAVY)
def evaluation(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    ranking_requests: pl.DataFrame,
    movie_features: MovieStates,
    ranker: TrainedRanker,
    settings: Settings,
) -> dg.MaterializeResult[StoredEvaluation]:
    """The ranker beside every baseline on requests after the split, by the temporal protocol."""
    config = settings.model_parameters
    protocol = _protocol(interactions, catalogue, ranking_requests, movie_features, settings)
    holdout = protocol.holdout(context.log.info)
    model = model_on(holdout, ranker)
    answers = answers_to(holdout, model, config, context.log.info)
    report = report_of(holdout, model, answers, config)
    stored = StoredEvaluation.of(report, ranker.importance, scored_requests(holdout, answers), holdout.state)
    return dg.MaterializeResult(
        value=stored,
        metadata={
            **{f"{HEADLINE} {name}": figures[HEADLINE].mean for name, figures in report.systems.items()},
            RECALL: report.systems[MAIN][RECALL].mean,
            "best_source": report.best_source,
            "expected_calibration_error": report.expected_calibration_error,
            "requests": report.n_requests,
            "users": report.n_users,
            "requests of all users": report.n_possible_requests or report.n_requests,
            **{name: plot(png, name.replace("_", " ")) for name, png in stored.plots.items()},
        },
        data_version=_version(context, "evaluation", settings),
    )
