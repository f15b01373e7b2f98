"""The evaluation report: every system on the same requests, with intervals, slices and calibration."""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import from_epoch
from movierank_core.recommender.model import RankingModel
from movierank_core.retrieval.sources.popularity import PopularityYear
from movierank_pipeline.evaluation.answers import FUSED, RANDOM, TOP, Answers, answer
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.compare import (
    HEADLINE,
    MAIN,
    RECALL,
    Values,
    paired_differences,
    request_values,
    system_intervals,
)
from movierank_pipeline.evaluation.holdout import HoldOut, temporal_holdout
from movierank_pipeline.evaluation.reliability import expected_calibration_error, reliability_table
from movierank_pipeline.ranking_metrics import coverage, intra_list_diversity, ndcg, novelty, recall
from movierank_pipeline.training.ranker import TrainedRanker

HISTORY_SLICES: Final = (("0", 0, 0), ("1-4", 1, 4), ("5-19", 5, 19), ("20-99", 20, 99), ("100+", 100, None))
RECENT_POPULARITY: Final = PopularityYear.name
"""The popularity that answers those without a history, and that every model has to beat."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Requests whose history has about the same length."""

    n_requests: int
    n_users: int
    systems: dict[str, dict[str, Interval]]
    differences: dict[str, Difference]
    """The ranker's nDCG@10 minus each other system's, paired by user."""
    recall_differences: dict[str, Difference]
    """The same for recall@100."""


class Ablation(msgspec.Struct, frozen=True, kw_only=True):
    """A ranker trained without something, on the same requests."""

    n_features: int
    metrics: dict[str, Interval]
    """Its own figures."""
    differences: dict[str, Difference]
    """By metric, the ranker with everything minus this one, paired by user: what was left out is worth so
    much."""


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `movierank evaluate` prints and writes. Intervals are 95 %, over users."""

    protocol: str
    split_time: str
    """T; empty where the protocol does not cut by time."""
    n_requests: int
    n_users: int
    n_movies: int
    unknown_like_share: float
    """Share of hidden likes on movies that nobody had an event with in training: no system can find them."""
    best_source: str
    """The single candidate source with the highest nDCG@10."""
    recent_popularity: str = RECENT_POPULARITY
    """The source that stands for recent popularity."""
    without: list[str] = []
    """What the ranker was trained without, beyond what every ranker leaves out."""
    systems: dict[str, dict[str, Interval]]
    """Metric by system; `coverage@10`, `novelty@10` and `diversity@10` are of all lists together and have no
    interval."""
    differences: dict[str, Difference]
    """The ranker's nDCG@10 minus each other system's, paired by user."""
    recall_differences: dict[str, Difference] = {}
    """The same for recall@100."""
    slices: dict[str, Slice]
    calibration: list[dict[str, float]]
    """The reliability table: see `movierank_pipeline.evaluation.reliability`."""
    expected_calibration_error: float
    ablations: dict[str, Ablation] = {}
    """By the group of features that was left out; only where it was asked for."""
    source_ablations: dict[str, Ablation] = {}
    """By the candidate source that was left out; only where it was asked for."""

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def evaluate_temporal(
    data: InteractionArrays,
    catalogue: Catalogue,
    ranker: TrainedRanker,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
) -> EvaluationReport:
    """The temporal protocol: the state is fitted on events before T, requests are those after.

    `ranker` must come from requests before T (the training set holds no others). The trees judged here
    are the ones that a version serves with, on a state that knows nothing after T.
    """
    holdout = temporal_holdout(data, catalogue, config, progress)
    model = model_on(holdout, ranker)
    return report_of(
        holdout, model, answer(model, holdout.ask(), seed=config.seed, progress=progress), config
    )


def model_on(holdout: HoldOut, ranker: TrainedRanker) -> RankingModel:
    """The ranker on the state that the protocol allows it."""
    return ranker.on(holdout.catalogue, holdout.state)


def report_of(
    holdout: HoldOut, model: RankingModel, answers: Answers, config: ModelConfig
) -> EvaluationReport:
    """Judges what all systems answered."""
    seed, user_ids = config.seed, answers.user_ids
    values = values_of(answers, deep=holdout.protocol == "strong")
    systems = system_intervals(values, user_ids, seed)
    differences = paired_differences(values, user_ids, seed)
    return EvaluationReport(
        protocol=holdout.protocol,
        split_time="" if holdout.split is None else from_epoch(holdout.split).isoformat(),
        n_requests=len(user_ids),
        n_users=len(np.unique(user_ids)),
        n_movies=int(model.state.is_known.sum()),
        unknown_like_share=holdout.unknown_like_share,
        best_source=best_source_of(systems),
        systems={
            name: {**figures, **_beyond_accuracy(answers.top[name], model)}
            for name, figures in systems.items()
        },
        differences=differences[HEADLINE],
        recall_differences=differences[RECALL],
        slices={
            label: _slice(values, user_ids, mask, seed)
            for label, mask in slice_masks(answers.history_lengths).items()
        },
        calibration=reliability_table(answers.predicted, answers.liked).to_dicts(),
        expected_calibration_error=expected_calibration_error(answers.predicted, answers.liked),
    )


def values_of(answers: Answers, *, deep: bool = False) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Per system and metric one value per request; `deep` adds those that Liang et al. 2018 report."""
    n = answers.n_relevant
    return {
        name: request_values(hits, n)
        | (
            {
                "recall@20": recall(hits, n, 20),
                "recall@50": recall(hits, n, 50),
                "ndcg@100": ndcg(hits, n, 100),
            }
            if deep
            else {}
        )
        for name, hits in answers.hits.items()
    }


def scored_requests(holdout: HoldOut, answers: Answers) -> pl.DataFrame:
    """The requests with `history_length` and, per metric, what the main system got for each."""
    values = values_of(answers)[MAIN]
    return holdout.requests.with_columns(
        pl.Series("history_length", answers.history_lengths), *(pl.Series(*item) for item in values.items())
    )


def best_source_of(systems: dict[str, dict[str, Interval]]) -> str:
    """The single candidate source with the highest mean nDCG@10; the first of equals."""
    sources = [name for name in systems if name not in (MAIN, FUSED, RANDOM)]
    return max(sources, key=lambda name: np.nan_to_num(systems[name][HEADLINE].mean, nan=-1.0))


def slice_masks(lengths: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Which requests are in which slice of HISTORY_SLICES; slices without any are left out."""
    masks = {
        label: (lengths >= low) & (lengths <= (high if high is not None else lengths.max(initial=0)))
        for label, low, high in HISTORY_SLICES
    }
    return {label: mask for label, mask in masks.items() if mask.any()}


def _slice(values: Values, user_ids: NDArray[np.int64], mask: NDArray[np.bool_], seed: int) -> Slice:
    inside = {
        name: {metric: of_request[mask] for metric, of_request in of_system.items()}
        for name, of_system in values.items()
    }
    differences = paired_differences(inside, user_ids[mask], seed)
    return Slice(
        n_requests=int(mask.sum()),
        n_users=len(np.unique(user_ids[mask])),
        systems=system_intervals(inside, user_ids[mask], seed),
        differences=differences[HEADLINE],
        recall_differences=differences[RECALL],
    )


def _beyond_accuracy(top: NDArray[np.int64], model: RankingModel) -> dict[str, Interval]:
    movies = model.state.movies
    diversity = intra_list_diversity(top, movies.genres, TOP)
    figures = {
        f"coverage@{TOP}": coverage(top, int(model.state.is_known.sum()), TOP),
        f"novelty@{TOP}": novelty(top, movies.n_events, TOP),
        f"diversity@{TOP}": float(np.nanmean(diversity)) if not np.isnan(diversity).all() else float("nan"),
    }
    return {name: Interval(value, value, value) for name, value in figures.items()}
