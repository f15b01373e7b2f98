"""From the answers of all systems to the report."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.timestamps import DAY_SECONDS, from_epoch
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.recommender.model import RankingModel
from movierank_pipeline.evaluation.answers import FUSED, RANDOM, Answers
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.compare import (
    MAIN,
    RECALL,
    Values,
    paired_differences,
    request_values,
    system_intervals,
)
from movierank_pipeline.evaluation.measures.debiased import debiased_intervals
from movierank_pipeline.evaluation.measures.slices import slice_verdict, with_leads
from movierank_pipeline.evaluation.measures.ties import ties_of
from movierank_pipeline.evaluation.protocols.protocol import HoldOut, Measures
from movierank_pipeline.evaluation.reliability import expected_calibration_error, reliability_table
from movierank_pipeline.evaluation.report import Report, Slice
from movierank_pipeline.ranking_metrics import coverage, intra_list_diversity, ndcg, novelty, recall

HISTORY_SLICES: Final = (("0", 0, 0), ("1-4", 1, 4), ("5-19", 5, 19), ("20-99", 20, 99), ("100+", 100, None))
"""Label, minimum and maximum number of events in the history."""


def report_of(
    holdout: HoldOut,
    model: RankingModel,
    answers: Answers,
    config: ModelConfig,
    without: tuple[str, ...] = (),
) -> Report:
    """The report on `answers`, with the figures that `holdout.measures` names.

    `model` gave the answers. `without` names the parts that it was trained without.
    """
    seed, user_ids, measures = config.seed, answers.user_ids, holdout.measures
    values = values_of(answers, measures)
    systems = system_intervals(values, user_ids, seed)
    compared = _compared(measures)
    masks = {} if measures.is_brief else slice_masks(answers.history_lengths)
    slices = with_leads(
        {label: _slice(values, answers, mask, seed, measures) for label, mask in masks.items()}
    )
    debiased = debiased_intervals(answers.debiased, answers.debiased_weights, user_ids, seed)
    return Report(
        protocol=holdout.protocol,
        split_time="" if holdout.split is None else from_epoch(holdout.split).isoformat(),
        facts="origin" if holdout.facts is None else "day",
        targets=holdout.targets,
        refits=[from_epoch(state.as_of).isoformat() for state in holdout.refits.values()],
        n_requests=len(user_ids),
        n_users=len(np.unique(user_ids)),
        n_possible_requests=holdout.n_possible_requests,
        n_movies=int(holdout.pool.sum()),
        unknown_like_share=holdout.unknown_like_share,
        best_source=best_source_of(systems, measures.k),
        without=list(without),
        systems={
            name: {
                **figures,
                **debiased.get(name, {}),
                **_list_figures(answers.top[name], answers.moments, holdout, model),
            }
            for name, figures in systems.items()
        },
        differences=paired_differences(values, user_ids, seed, metrics=compared),
        slices=slices,
        slice_verdict=slice_verdict(slices, compared[0]) if slices else "",
        calibration=reliability_table(answers.predicted, answers.liked).to_dicts(),
        expected_calibration_error=expected_calibration_error(answers.predicted, answers.liked),
        ties=ties_of(answers, measures.k, seed),
        judged=dict(holdout.judged),
    )


def values_of(
    answers: Answers, measures: Measures | None = None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """One value per request, by metric, by system. NaN: the request has no target."""
    measures = measures or Measures()
    n = answers.n_relevant
    values = {name: request_values(hits, n, measures.k) for name, hits in answers.hits.items()}
    if measures.is_deep:
        for name, hits in answers.hits.items():
            values[name] |= {
                "recall@20": recall(hits, n, 20),
                "recall@50": recall(hits, n, 50),
                "ndcg@100": ndcg(hits, n, 100),
            }
    return {name: of_system | answers.values.get(name, {}) for name, of_system in values.items()}


def scored_requests(holdout: HoldOut, answers: Answers) -> pl.DataFrame:
    """The requests with `history_length` and, per metric, the main system's value for each."""
    values = values_of(answers)[MAIN]
    return holdout.requests.with_columns(
        pl.Series("history_length", answers.history_lengths), *(pl.Series(*item) for item in values.items())
    )


def best_source_of(systems: dict[str, dict[str, Interval]], k: int = 10) -> str:
    """The single candidate source with the highest mean nDCG@k; the first one of equals."""
    sources = [name for name in systems if name not in (MAIN, FUSED, RANDOM)]
    return max(sources, key=lambda name: np.nan_to_num(systems[name][f"ndcg@{k}"].mean, nan=-1.0))


def slice_masks(lengths: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Per slice of HISTORY_SLICES, a mask of its requests. Empty slices are left out."""
    masks = {
        label: (lengths >= low) & (lengths <= (high if high is not None else lengths.max(initial=0)))
        for label, low, high in HISTORY_SLICES
    }
    return {label: mask for label, mask in masks.items() if mask.any()}


def unreleased_share(
    top: NDArray[np.int64],
    moments: NDArray[np.int64],
    catalogue: Catalogue,
    n_events: NDArray[np.float32],
    k: int,
    facts: FactsOverTime | None = None,
) -> float:
    """Share of the results [n_requests, at least k] that did not exist at their request (see `exists_at`).

    `moments` has the moment of each request, in seconds since 1970. A movie with an event by then exists: in
    `facts` where they are given, else in `n_events` (per catalogue row). -1 pads short lists. NaN without a
    result.
    """
    shown = top[:, :k]
    counts = n_events[shown]
    if facts is not None:
        midnights = np.repeat(moments - moments % DAY_SECONDS, shown.shape[1])
        counts = np.maximum(counts, facts.n_events(shown.ravel(), midnights).reshape(shown.shape))
    is_early = catalogue.released_at[shown] >= moments[:, None]
    is_unreleased = is_early & (counts == 0) & (shown >= 0)
    n_shown = int((shown >= 0).sum())
    return float(is_unreleased.sum() / n_shown) if n_shown else float("nan")


def _compared(measures: Measures) -> tuple[str, ...]:
    """The metrics of the differences between systems."""
    headline = f"ndcg@{measures.k}"
    return (headline, f"recall@{measures.k}", RECALL) if measures.is_brief else (headline, RECALL)


def _slice(values: Values, answers: Answers, mask: NDArray[np.bool_], seed: int, measures: Measures) -> Slice:
    user_ids = answers.user_ids[mask]
    inside, debiased = _masked(values, mask), _masked(answers.debiased, mask)
    systems = system_intervals(inside, user_ids, seed)
    weights = answers.debiased_weights[mask] if debiased else answers.debiased_weights
    for name, figures in debiased_intervals(debiased, weights, user_ids, seed).items():
        systems[name] |= figures
    return Slice(
        n_requests=int(mask.sum()),
        n_users=len(np.unique(user_ids)),
        systems=systems,
        differences=paired_differences(inside, user_ids, seed, metrics=_compared(measures)),
        best_source=best_source_of(systems, measures.k),
    )


def _masked(values: Values, mask: NDArray[np.bool_]) -> Values:
    return {
        name: {metric: of_request[mask] for metric, of_request in of_system.items()}
        for name, of_system in values.items()
    }


def _list_figures(
    top: NDArray[np.int64], moments: NDArray[np.int64], holdout: HoldOut, model: RankingModel
) -> dict[str, Interval]:
    """Figures of all lists of one system together; they have no interval."""
    k, movies = holdout.measures.k, model.state.movies
    n_events = movies.n_events
    if holdout.facts is not None and len(moments):
        n_events = holdout.facts.at(int(moments.max())).arrays["n_events"]
    figures = {f"coverage@{k}": coverage(top, int(holdout.pool.sum()), k)}
    if not holdout.measures.is_brief:
        diversity = intra_list_diversity(top, movies.genres, k)
        is_known = not np.isnan(diversity).all()
        figures |= {
            f"novelty@{k}": novelty(top, n_events, k),
            f"diversity@{k}": float(np.nanmean(diversity)) if is_known else float("nan"),
            f"unreleased@{k}": unreleased_share(
                top,
                moments,
                holdout.catalogue,
                movies.n_events,
                k,
                holdout.facts,
            ),
        }
    return {name: Interval(value, value, value) for name, value in figures.items()}
