"""The movies that a request is about, with what every source says of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources import fuse, proposals_of


@dataclass(frozen=True, slots=True)
class Candidates:
    """Best-fused first."""

    rows: NDArray[np.int64]
    fused: NDArray[np.float32]
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
) -> Candidates:
    """What the sources propose among the `eligible` rows, fused; fewer than asked if there are fewer.

    `fusion` is each source's weight; see `fuse`. One that weighs 0 proposes nothing.
    """
    scores = {name: source.scores(query) for name, source in sources.items()}
    proposals = {
        name: proposals_of(sources[name], of_source, eligible, n_per_source)
        for name, of_source in scores.items()
        if fusion.get(name, 1.0) > 0
    }
    fused = fuse(proposals, fusion, len(eligible), n_candidates)
    return Candidates(
        rows=fused.rows,
        fused=fused.scores,
        scores={name: of_source[fused.rows] for name, of_source in scores.items()},
        n_sources=fused.n_sources,
    )
