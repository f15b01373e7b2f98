"""The one list of candidate sources, and their fit."""

from collections.abc import Callable
from typing import Final, cast

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.als import ImplicitALS
from movierank_core.retrieval.sources.content import Content
from movierank_core.retrieval.sources.ease import EaseLikes, EasePresence, EaseRecent
from movierank_core.retrieval.sources.neighbours import ItemNeighbours, UserNeighbours
from movierank_core.retrieval.sources.popularity import Popularity, PopularityMonth, PopularityYear
from movierank_core.retrieval.sources.sequence import ContextNeighbours, NextItem, Transitions

SOURCES: Final[tuple[type[Source], ...]] = (
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
"""Every candidate source, in the order of feature columns and reports. A new source is one more line here."""


def source_types() -> dict[str, type[Source]]:
    """Every source of `SOURCES` by name, in the same order."""
    return {source.name: source for source in SOURCES}


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
    for name in source_types():
        if progress is not None:
            progress(f"fitting {name}")
        sources[name] = fits[name]()
    return sources
