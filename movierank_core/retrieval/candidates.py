"""The candidates of one request, with the score of every source for each."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.kernels.top_k import add_rows, best_rows
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source


class UnratedRows(NamedTuple):
    """Rows that a source for movies without ratings can propose."""

    source: str | None
    """The name of the source, the first one that `scores_unrated_movies`; None without such a source."""
    rows: NDArray[np.int64]
    """Ascending catalogue rows."""
    columns: NDArray[np.int32]
    """Per row its column in the support of the source."""

    @classmethod
    def among(cls, rows: NDArray[np.int64], sources: dict[str, Source]) -> "UnratedRows":
        """The part of the ascending catalogue `rows` that the source can propose."""
        for name, source in sources.items():
            if source.scores_unrated_movies:
                columns = source.support.columns[rows]
                return cls(name, rows[columns >= 0], columns[columns >= 0])
        return cls(None, rows[:0], np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class Candidates:
    """The fused candidates, best first, then little-known movies that fusion does not propose."""

    rows: NDArray[np.int64]
    """Distinct catalogue rows."""
    fused: NDArray[np.float32]
    """Fused score per candidate; 0 for a candidate that is not fused."""
    n_fused: int
    """Number of fused candidates, which come first. Features compare each score with these alone."""
    cold_items: NDArray[np.int64]
    """Indices in `rows` of the little-known movies, the most similar to the history first."""
    scores: dict[str, NDArray[np.float32]]
    """By source one score per candidate, whether or not the source proposes it."""
    details: dict[str, NDArray[np.float32]]
    """By source with details [n_details, n_candidates], as `Source.describe` gives them."""
    n_sources: NDArray[np.float32]
    """Number of sources that propose each candidate."""


def find_candidates(
    query: Query,
    sources: dict[str, Source],
    eligible: NDArray[np.bool_],
    *,
    fusion: dict[str, float],
    n_per_source: int,
    n_candidates: int,
    little_known: UnratedRows,
    n_little_known: int,
) -> Candidates:
    """Up to `n_candidates` fused proposals of the sources, and up to `n_little_known` little-known movies.

    `eligible` has one entry per catalogue row. `fusion` holds the weight of each source (see `fuse`); a
    source with weight 0 proposes nothing. The `little_known` rows with the highest scores are candidates in
    any case: fusion weighs a source by how often it finds liked movies, and little-known movies have few
    likes.
    """
    scores = {name: source.scores(query) for name, source in sources.items()}
    proposals = {
        name: proposals_of(sources[name], of_source, eligible, n_per_source)
        for name, of_source in scores.items()
        if fusion.get(name, 1.0) > 0
    }
    fused = fuse(proposals, fusion, n_candidates)
    cold_items = (
        best_rows(
            scores[little_known.source][little_known.columns], little_known.rows, eligible, n_little_known
        )
        if little_known.source in proposals
        else little_known.rows[:0]
    )
    proposed = np.concatenate([little_known.rows[:0], *proposals.values()])
    rows, indices, n_sources = add_rows(fused.rows, cold_items, proposed)
    return Candidates(
        rows=rows,
        fused=np.concatenate([fused.scores, np.zeros(len(n_sources), np.float32)]),
        n_fused=len(fused.rows),
        cold_items=indices,
        scores={name: sources[name].support.at(of_source, rows) for name, of_source in scores.items()},
        details={name: source.describe(query, rows) for name, source in sources.items() if source.details},
        n_sources=np.concatenate([fused.n_sources, n_sources]),
    )
