"""The evaluation report: every system on the same requests, with intervals, slices and calibration."""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.catalogue import Catalogue
from movierank_core.config import ModelConfig
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.model import RankingModel
from movierank_core.point_in_time import from_epoch
from movierank_core.state import fit_state
from movierank_pipeline.evaluation.bootstrap import Interval, bootstrap_interval
from movierank_pipeline.evaluation.metrics import (
    average_precision,
    coverage,
    hits_of,
    intra_list_diversity,
    mean_by_group,
    ndcg,
    novelty,
    precision,
    recall,
    reciprocal_rank,
)
from movierank_pipeline.evaluation.reliability import expected_calibration_error, reliability_table
from movierank_pipeline.evaluation.systems import FUSED, MAIN, RANDOM, Answers, answer_requests
from movierank_pipeline.ranking_requests import plan_requests, split_time, unknown_like_share
from movierank_pipeline.training import TrainedRanker

HISTORY_SLICES: Final = (("0", 0, 0), ("1-4", 1, 4), ("5-19", 5, 19), ("20-99", 20, 99), ("100+", 100, None))
HEADLINE: Final = "ndcg@10"


class Slice(msgspec.Struct, frozen=True):
    """Requests whose history has about the same length."""

    n_requests: int
    n_users: int
    systems: dict[str, dict[str, Interval]]


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `movierank evaluate` prints and writes. Intervals are 95 %, over users."""

    protocol: str
    split_time: str
    n_requests: int
    n_users: int
    n_movies: int
    unknown_like_share: float
    """Share of later likes on movies that nobody had an event with before T: no system can find them."""
    systems: dict[str, dict[str, Interval]]
    """Metric by system; `coverage@10` and `novelty@10` are of all lists together and have no interval."""
    differences: dict[str, Interval]
    """The ranker's nDCG@10 minus each other system's, paired by user."""
    slices: dict[str, Slice]
    calibration: list[dict[str, float]]
    """The reliability table: see `movierank_pipeline.evaluation.reliability`."""
    expected_calibration_error: float

    @property
    def best_source(self) -> str:
        """The single candidate source with the highest nDCG@10."""
        sources = [name for name in self.systems if name not in (MAIN, FUSED, RANDOM)]
        return max(sources, key=lambda name: self.systems[name][HEADLINE].mean)

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
    split = split_time(data, config)
    until = int(data.timestamps.max()) + 1
    state = fit_state(data, catalogue, split, config, progress)
    model = RankingModel(catalogue, state, ranker.features, ranker.trees, ranker.calibration)
    requests = plan_requests(data, catalogue, config).filter(pl.col("role") == "test")
    answers = answer_requests(model, data, requests, until=until, seed=config.seed, progress=progress)
    everyone = np.ones(len(answers.user_ids), np.bool_)
    values = {name: request_metrics(answers, name) for name in answers.ranked}
    return EvaluationReport(
        protocol="temporal",
        split_time=from_epoch(split).isoformat(),
        n_requests=len(requests),
        n_users=len(np.unique(answers.user_ids)),
        n_movies=int(state.is_known.sum()),
        unknown_like_share=unknown_like_share(data, catalogue, split),
        systems={
            name: {
                **_intervals(values[name], answers.user_ids, everyone, config.seed),
                **_beyond_accuracy(answers.ranked[name], model),
            }
            for name in answers.ranked
        },
        differences={
            name: bootstrap_interval(
                mean_by_group(values[MAIN][HEADLINE] - values[name][HEADLINE], answers.user_ids), config.seed
            )
            for name in answers.ranked
            if name != MAIN
        },
        slices={
            label: Slice(
                n_requests=int(mask.sum()),
                n_users=len(np.unique(answers.user_ids[mask])),
                systems={
                    name: _intervals(values[name], answers.user_ids, mask, config.seed) for name in values
                },
            )
            for label, mask in _slice_masks(answers.history_lengths).items()
        },
        calibration=reliability_table(answers.predicted, answers.liked).to_dicts(),
        expected_calibration_error=expected_calibration_error(answers.predicted, answers.liked),
    )


def request_metrics(answers: Answers, system: str) -> dict[str, NDArray[np.float64]]:
    """Per metric one value per request."""
    hits = hits_of(answers.ranked[system], answers.targets)
    n_relevant = np.array([len(rows) for rows in answers.targets], np.int64)
    return {
        "ndcg@10": ndcg(hits, n_relevant, 10),
        "precision@10": precision(hits, n_relevant, 10),
        "recall@10": recall(hits, n_relevant, 10),
        "recall@100": recall(hits, n_relevant, 100),
        "map@10": average_precision(hits, n_relevant, 10),
        "mrr": reciprocal_rank(hits, n_relevant),
    }


def _intervals(
    values: dict[str, NDArray[np.float64]], user_ids: NDArray[np.int64], mask: NDArray[np.bool_], seed: int
) -> dict[str, Interval]:
    return {
        metric: bootstrap_interval(mean_by_group(of_request[mask], user_ids[mask]), seed)
        for metric, of_request in values.items()
    }


def _beyond_accuracy(ranked: NDArray[np.int64], model: RankingModel) -> dict[str, Interval]:
    movies = model.state.movies
    diversity = intra_list_diversity(ranked, movies.genres, 10)
    figures = {
        "coverage@10": coverage(ranked, int(model.state.is_known.sum()), 10),
        "novelty@10": novelty(ranked, movies.n_events, 10),
        "diversity@10": float(np.nanmean(diversity)) if not np.isnan(diversity).all() else float("nan"),
    }
    return {name: Interval(value, value, value) for name, value in figures.items()}


def _slice_masks(lengths: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    masks = {
        label: (lengths >= low) & (lengths <= (high if high is not None else lengths.max(initial=0)))
        for label, low, high in HISTORY_SLICES
    }
    return {label: mask for label, mask in masks.items() if mask.any()}
