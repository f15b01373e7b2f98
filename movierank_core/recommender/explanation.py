"""Why a movie is where it is for one history, or why it is not there at all.

The movie is scored by the same calls as in a ranking. One that no ranking of this request would hold is
scored as if it were one more candidate, which is what the model would have given it.
"""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.recommender.degradation import ServedBy
from movierank_core.recommender.state import RankingState
from movierank_core.reranking.filters import Filters, admitted
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """What one candidate source says of the movie."""

    name: str
    weight: float
    """Of its proposals when they are fused."""
    score: float
    rank: int | None
    """Its place among what may be shown, from 1; None where the source has nothing to say (0 or less)."""
    proposes: bool
    """Whether the place is high enough to be proposed."""


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of the movie in this request."""

    name: str
    value: float | None
    """None where it is missing."""
    contribution: float
    """What it adds to the raw score."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One movie for one history."""

    served_by: ServedBy
    filtered_by: list[str]
    """Every rule that keeps the movie out: `seen`, `hidden`, `filters.<field>`."""
    is_candidate: bool
    """Whether it is among the candidates, or would be if no rule kept it out."""
    rank: int | None
    """Its place in the ranking of this request without diversity, from 1; None if it is not in it."""
    would_rank: int
    """Its place there if no rule kept it out and it were a candidate in any case."""
    n_candidates: int
    """How many candidates it is compared with, itself included."""
    score: float
    raw_score: float
    contributions: dict[str, float]
    """Family to contribution; with `base` they sum to `raw_score`."""
    features: list[FeatureView]
    """In the model's order; empty where the trees were not asked."""
    reasons: list[str]
    sources: list[SourceView]


def broken_rules(
    query: Query,
    row: int,
    *,
    exclude_seen: bool,
    filters: Filters | None,
    catalogue: Catalogue,
    n_events: NDArray[np.float32],
) -> list[str]:
    """The rules of a request that keep the movie out, each of which would do so alone."""
    rules = []
    if row in query.hidden:
        rules.append("hidden")
    elif exclude_seen and row in query.excluded:
        rules.append("seen")
    for name, value in ({} if filters is None else msgspec.structs.asdict(filters)).items():
        if value is not None and not admitted(Filters(**{name: value}), catalogue, n_events)[row]:
            rules.append(f"filters.{name}")
    return rules


def source_views(
    state: RankingState, query: Query, row: int, eligible: NDArray[np.bool_]
) -> list[SourceView]:
    """What each source says of a row among the `eligible` ones, of which it must be one."""
    views = []
    earlier = np.arange(len(eligible)) < row
    for name, source in state.sources.items():
        scores = source.support.everywhere(source.scores(query))
        score, weight = float(scores[row]), state.fusion.get(name, 1.0)
        ahead = eligible & ((scores > scores[row]) | ((scores == scores[row]) & earlier))
        rank = int(ahead.sum()) + 1 if score > 0 else None
        proposes = rank is not None and rank <= state.n_per_source and weight > 0
        views.append(SourceView(name=name, weight=weight, score=score, rank=rank, proposes=proposes))
    return views


def with_candidate(candidates: Candidates, row: int, views: list[SourceView]) -> Candidates:
    """The candidates with `row` behind the last, where it changes nothing for them; the same if it is one."""
    if row in candidates.rows:
        return candidates
    return replace(
        candidates,
        rows=np.append(candidates.rows, row),
        fused=np.append(candidates.fused, np.float32(0)),
        scores={view.name: np.append(candidates.scores[view.name], np.float32(view.score)) for view in views},
        n_sources=np.append(candidates.n_sources, np.float32(sum(view.proposes for view in views))),
    )
