"""The movies that a request is about, with what every source says of them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.kernels.top_k import add_rows, best_rows
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.content import Content


class ContentRows(NamedTuple):
    """Rows that content can propose."""

    rows: NDArray[np.int64]
    """Ascending."""
    columns: NDArray[np.int32]
    """Of each among the rows of the content source's support."""

    @classmethod
    def among(cls, rows: NDArray[np.int64], content: Source | None) -> "ContentRows":
        """Those of `rows` that the source can propose; none without it."""
        if content is None:
            return cls(rows[:0], np.zeros(0, np.int32))
        columns = content.support.columns[rows]
        return cls(rows[columns >= 0], columns[columns >= 0])


@dataclass(frozen=True, slots=True)
class Candidates:
    """The fused ones, best first, then those that are candidates in another way."""

    rows: NDArray[np.int64]
    fused: NDArray[np.float32]
    """The fused scores; 0 for what is not fused."""
    n_fused: int
    """How many are fused. What a source says of a candidate is compared with these, whatever comes after."""
    reserved: NDArray[np.int64]
    """Places in `rows` of the little-known movies that content proposes, the most like the history first."""
    scores: dict[str, NDArray[np.float32]]
    """Per source, one score per candidate, whether or not the source proposed it."""
    n_sources: NDArray[np.float32]
    """How many sources proposed each candidate."""


def find_candidates(
    query: Query,
    sources: dict[str, Source],
    eligible: NDArray[np.bool_],
    *,
    fusion: dict[str, float],
    n_per_source: int,
    n_candidates: int,
    little_known: ContentRows,
    n_little_known: int,
) -> Candidates:
    """What the sources propose among the `eligible` rows, fused; fewer than asked if there are fewer.

    `fusion` is each source's weight; see `fuse`. One that weighs 0 proposes nothing. Of the `little_known`
    rows the `n_little_known` that content scores highest are candidates in any case: fusion goes
    by how often a source finds what people like, and what hardly anybody has seen is hardly ever liked.
    """
    scores = {name: source.scores(query) for name, source in sources.items()}
    proposals = {
        name: proposals_of(sources[name], of_source, eligible, n_per_source)
        for name, of_source in scores.items()
        if fusion.get(name, 1.0) > 0
    }
    fused = fuse(proposals, fusion, n_candidates)
    reserved = (
        best_rows(scores[Content.name][little_known.columns], little_known.rows, eligible, n_little_known)
        if Content.name in proposals
        else little_known.rows[:0]
    )
    proposed = np.concatenate([little_known.rows[:0], *proposals.values()])
    rows, columns, n_sources = add_rows(fused.rows, reserved, proposed)
    return Candidates(
        rows=rows,
        fused=np.concatenate([fused.scores, np.zeros(len(n_sources), np.float32)]),
        n_fused=len(fused.rows),
        reserved=columns,
        scores={name: sources[name].support.at(of_source, rows) for name, of_source in scores.items()},
        n_sources=np.concatenate([fused.n_sources, n_sources]),
    )
