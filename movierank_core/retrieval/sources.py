"""The list of candidate sources: fitting all of them, and fusing what they propose."""

from collections.abc import Callable
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from movierank_core.catalogue import Catalogue
from movierank_core.config import ModelConfig
from movierank_core.interaction_arrays import InteractionArrays
from movierank_core.retrieval.als import ImplicitALS
from movierank_core.retrieval.content import Content
from movierank_core.retrieval.ease import EaseLikes, EasePresence, EaseRecent
from movierank_core.retrieval.neighbours import ItemNeighbours, UserNeighbours
from movierank_core.retrieval.popularity import Popularity, PopularityMonth, PopularityYear
from movierank_core.retrieval.selection import add_reciprocal_ranks, best_rows
from movierank_core.retrieval.sequence import NextItem, Transitions
from movierank_core.retrieval.source import Source

SOURCE_TYPES: Final[dict[str, type[Source]]] = {
    source.name: source
    for source in (
        EaseLikes,
        EasePresence,
        EaseRecent,
        ItemNeighbours,
        UserNeighbours,
        Transitions,
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


def fuse(
    proposals: dict[str, NDArray[np.int64]], weights: dict[str, float], n_movies: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Up to `n` rows by weighted reciprocal rank fusion of ranked proposals, best first, with their scores.

    fused(j) = sum over the sources that propose j of weight / (60 + rank of j), ranks from 1; ties by row.
    A source that `weights` does not name weighs 1.
    """
    fused = np.zeros(n_movies, np.float32)
    for name, rows in proposals.items():
        add_reciprocal_ranks(rows, weights.get(name, 1.0), RANK_OFFSET, fused)
    rows = best_rows(fused, np.ones(n_movies, np.bool_), n)
    return rows, fused[rows]
