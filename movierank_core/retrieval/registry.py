"""The list of candidate sources: fitting all of them, and fusing what they propose."""

from collections.abc import Callable
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.kernels.top_k import add_reciprocal_ranks, best_rows, descending, first_rows
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.als import ImplicitALS
from movierank_core.retrieval.sources.content import Content
from movierank_core.retrieval.sources.ease import EaseLikes, EasePresence, EaseRecent
from movierank_core.retrieval.sources.neighbours import ItemNeighbours, UserNeighbours
from movierank_core.retrieval.sources.popularity import Popularity, PopularityMonth, PopularityYear
from movierank_core.retrieval.sources.sequence import ContextNeighbours, NextItem, Transitions

SOURCE_TYPES: Final[dict[str, type[Source]]] = {
    source.name: source
    for source in (
        EaseLikes,
        EasePresence,
        EaseRecent,
        ItemNeighbours,
        UserNeighbours,
        Transitions,
        ContextNeighbours,
        NextItem,
        ImplicitALS,
        Content,
        Popularity,
        PopularityYear,
        PopularityMonth,
    )
}
"""Every candidate source by name, in the order in which features and reports list them."""

RANK_OFFSET: Final = 60.0
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""


def fit_sources(
    data: InteractionArrays,
    catalogue: Catalogue,
    as_of: int,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Source]:
    """Every source, fitted on `data`: events strictly before `as_of`, one per user and movie."""
    n_movies = len(catalogue)
    sources: dict[str, Source] = {}
    fits: dict[str, Callable[[], Source]] = {
        EaseLikes.name: lambda: EaseLikes.fit(data, n_movies, config),
        EasePresence.name: lambda: EasePresence.fit(data, n_movies, config),
        EaseRecent.name: lambda: EaseRecent.of(cast(EasePresence, sources[EasePresence.name])),
        ItemNeighbours.name: lambda: ItemNeighbours.fit(data, n_movies, config),
        UserNeighbours.name: lambda: UserNeighbours.fit(data, n_movies, config),
        Transitions.name: lambda: Transitions.fit(data, n_movies, config),
        ContextNeighbours.name: lambda: ContextNeighbours.fit(data, n_movies, config),
        NextItem.name: lambda: NextItem.fit(data, n_movies, config),
        ImplicitALS.name: lambda: ImplicitALS.fit(data, n_movies, config),
        Content.name: lambda: Content.fit(catalogue, config),
        Popularity.name: lambda: Popularity.fit(data, n_movies, as_of),
        PopularityYear.name: lambda: PopularityYear.fit(data, n_movies, as_of),
        PopularityMonth.name: lambda: PopularityMonth.fit(data, n_movies, as_of),
    }
    for name in SOURCE_TYPES:
        if progress is not None:
            progress(f"fitting {name}")
        sources[name] = fits[name]()
    return sources


def proposals_of(
    source: Source, scores: NDArray[np.float32], eligible: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """The `n` eligible rows that a source scores highest and above 0, best first; `scores` are its own."""
    if not source.is_personal:
        return first_rows(source.support.rows, eligible, n)
    return best_rows(scores, source.support.rows, eligible, n)


class Fused(NamedTuple):
    """Proposed rows, best first."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    n_sources: NDArray[np.float32]
    """How many sources proposed each."""


def fuse(proposals: dict[str, NDArray[np.int64]], weights: dict[str, float], n: int) -> Fused:
    """Up to `n` rows by weighted reciprocal rank fusion of ranked proposals, ties by row.

    score(j) = sum over the sources that propose j of weight / (60 + rank of j), ranks from 1. A source that
    `weights` does not name weighs 1; one that weighs 0 proposes nothing.
    """
    lists = {name: rows for name, rows in proposals.items() if weights.get(name, 1.0) > 0}
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in lists.values()])]).astype(np.int64)
    rows, scores, n_sources = add_reciprocal_ranks(
        np.concatenate([np.zeros(0, np.int64), *lists.values()]),
        starts,
        np.array([weights.get(name, 1.0) for name in lists], np.float64),
        RANK_OFFSET,
    )
    best = descending(scores, rows)[:n]
    return Fused(rows[best], scores[best], n_sources[best])
