"""The explanation of one movie for one history: its rank, or the reason why it is not listed.

The movie is scored by the same calls as in a ranking. A movie that is not a candidate of the request is
scored as one more candidate.
"""

from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from movierank_core.recommender.degradation import ServedBy
from movierank_core.recommender.state import RankingState
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """Score and rank of the movie by one candidate source."""

    name: str
    weight: Annotated[float, Meta(description="Weight of the source in the fusion of all sources.")]
    score: float
    rank: Annotated[
        int | None,
        Meta(
            description="Rank by this source among the movies that may be shown, from 1; null if the score "
            "is not above 0."
        ),
    ]
    proposes: Annotated[bool, Meta(description="Whether the rank is high enough to propose the movie.")]


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of the movie in this request."""

    name: str
    value: Annotated[float | None, Meta(description="Null if the value is unknown.")]
    contribution: Annotated[float, Meta(description="Contribution to the raw score.")]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One movie for one history."""

    served_by: ServedBy
    filtered_by: list[str]
    """Every rule that excludes the movie: `seen`, `hidden`, `unreleased`, `filters.<field>`."""
    is_candidate: bool
    """Whether it is a candidate, or would be without the rules that exclude it."""
    rank: int | None
    """Rank in the request's list without diversity, from 1; None if it is not listed."""
    would_rank: int
    """Rank in that list if no rule excluded it and it were a candidate."""
    n_candidates: int
    """Number of candidates in that list, the movie included."""
    score: float
    raw_score: float
    contributions: dict[str, float]
    """Contribution by family, and `base`; they sum to `raw_score`."""
    features: list[FeatureView]
    """In the model's order; empty if the ranker did not score the movie."""
    reasons: list[str]
    sources: list[SourceView]


def source_views(
    state: RankingState, query: Query, row: int, eligible: NDArray[np.bool_]
) -> list[SourceView]:
    """The view of each source on a row, which must be eligible, among the `eligible` rows."""
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


def with_candidate(
    state: RankingState, query: Query, candidates: Candidates, row: int, views: list[SourceView]
) -> Candidates:
    """The candidates with `row` appended after the fused ones, whose features stay the same.

    `views` are the sources' views on the row. Unchanged if `row` is a candidate already.
    """
    if row in candidates.rows:
        return candidates
    return replace(
        candidates,
        rows=np.append(candidates.rows, row),
        fused=np.append(candidates.fused, np.float32(0)),
        scores={view.name: np.append(candidates.scores[view.name], np.float32(view.score)) for view in views},
        details={
            name: np.append(details, state.sources[name].describe(query, np.array([row])), axis=1)
            for name, details in candidates.details.items()
        },
        n_sources=np.append(candidates.n_sources, np.float32(sum(view.proposes for view in views))),
    )
