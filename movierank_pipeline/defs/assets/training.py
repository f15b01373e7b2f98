"""Candidate sources, training rows, the ranker, and how good it is."""

import dagster as dg
import polars as pl

from movierank_core.paths import Paths
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.artifacts import StoredInteractions
from movierank_pipeline.defs.assets.features import end_of, events_and_catalogue
from movierank_pipeline.defs.metadata import describe, plot
from movierank_pipeline.defs.provenance import fingerprint_of_step
from movierank_pipeline.evaluation.answers import answer
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN, RECALL
from movierank_pipeline.evaluation.evaluate import model_on, report_of, scored_requests
from movierank_pipeline.evaluation.holdout import temporal_holdout
from movierank_pipeline.evaluation.plots import importance_plot
from movierank_pipeline.evaluation.stored import StoredEvaluation
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import TrainedRanker
from movierank_pipeline.training.requests import episode_moments, plan_requests
from movierank_pipeline.training.training_set import TrainingSet, build_training_set
from movierank_pipeline.training.tuning import tune_ranker


def _version(context: dg.AssetExecutionContext, asset: str, settings: Settings) -> dg.DataVersion:
    return dg.DataVersion(fingerprint_of_step(context, asset, settings, Paths.from_environment()))


@dg.asset(group_name="retrieval", kinds={"numpy"}, io_manager_key="folders")
def retrievers(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[RankingState]:
    """The candidate sources and film states that serve: fitted on all events."""
    data, movies = events_and_catalogue(interactions, catalogue)
    state = fit_state(data, movies, end_of(data), settings.model_parameters, context.log.info)
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
    """Replayed requests: who asked when, and which films they went on to like."""
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


@dg.asset(group_name="training", kinds={"numpy", "parquet"}, io_manager_key="folders")
def training_set(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    ranking_requests: pl.DataFrame,
    settings: Settings,
) -> dg.MaterializeResult[TrainingSet]:
    """Every candidate of every training request with its features as of then, and whether it was liked."""
    data, movies = events_and_catalogue(interactions, catalogue)
    made = build_training_set(data, ranking_requests, movies, settings.model_parameters, context.log.info)
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


@dg.asset(group_name="model", kinds={"lightgbm"}, io_manager_key="folders")
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


@dg.asset(group_name="model", kinds={"numpy"}, io_manager_key="folders")
def evaluation(
    context: dg.AssetExecutionContext,
    interactions: StoredInteractions,
    catalogue: pl.DataFrame,
    ranker: TrainedRanker,
    settings: Settings,
) -> dg.MaterializeResult[StoredEvaluation]:
    """The ranker beside every baseline on requests after the split, by the temporal protocol."""
    data, movies = events_and_catalogue(interactions, catalogue)
    config = settings.model_parameters
    holdout = temporal_holdout(data, movies, config, context.log.info)
    model = model_on(holdout, ranker)
    answers = answer(model, holdout.ask(), seed=config.seed, progress=context.log.info)
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
            **{name: plot(png, name.replace("_", " ")) for name, png in stored.plots.items()},
        },
        data_version=_version(context, "evaluation", settings),
    )
