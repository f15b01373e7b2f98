"""The one list of candidate sources, and their fit."""

from collections.abc import Callable
from typing import Final

from movierank_core.config import ModelConfig
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.source import Source
from movierank_core.retrieval.sources.als import ImplicitALS
from movierank_core.retrieval.sources.between import WatchedBetween
from movierank_core.retrieval.sources.content import Content
from movierank_core.retrieval.sources.ease import EaseLikes, EasePresence, EaseRecent
from movierank_core.retrieval.sources.neighbours import ItemNeighbours, UserNeighbours
from movierank_core.retrieval.sources.popularity import (
    Popularity,
    PopularityMonth,
    PopularityThreeYears,
    PopularityYear,
)
from movierank_core.retrieval.sources.sequence import ContextNeighbours, HazardMarkov, NextItem

SOURCES: Final[tuple[type[Source], ...]] = (
    EaseLikes,
    EasePresence,
    EaseRecent,
    ItemNeighbours,
    UserNeighbours,
    HazardMarkov,
    ContextNeighbours,
    NextItem,
    WatchedBetween,
    ImplicitALS,
    Content,
    Popularity,
    PopularityThreeYears,
    PopularityYear,
    PopularityMonth,
)
"""Every candidate source, in the order of feature columns and reports. A new source is one more line here."""


def sources_of(config: ModelConfig) -> tuple[type[Source], ...]:
    """The sources of a model with this configuration, in the order of `SOURCES`."""
    return tuple(source for source in SOURCES if source.is_used(config))


def source_types() -> dict[str, type[Source]]:
    """Every source of `SOURCES` by name, in the same order."""
    return {source.name: source for source in SOURCES}


def fit_sources(context: FitContext, progress: Callable[[str], None] | None = None) -> dict[str, Source]:
    """The sources of the configuration by name, fitted on the events of `context`."""
    sources: dict[str, Source] = {}
    for source in sources_of(context.config):
        if progress is not None:
            progress(f"fitting {source.name}")
        sources[source.name] = context.fitted(source)
    return sources
