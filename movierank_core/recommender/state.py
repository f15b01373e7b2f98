"""The state fitted on the events before one moment: candidate sources and the state of every movie."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.bounds import check_movies, check_source
from movierank_core.reranking.dislikes import DislikeRule
from movierank_core.reranking.filters import Filters, eligible_rows
from movierank_core.retrieval.candidates import Candidates, UnratedRows, find_candidates
from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.registry import fit_sources, source_types
from movierank_core.retrieval.source import Arrays, Source


@dataclass(frozen=True)
class RankingState:
    """The whole model except the trees. It holds no data about any person."""

    sources: dict[str, Source]
    movies: MovieState
    as_of: int
    """Exclusive upper bound of the events in the sources, in seconds since 1970; the facts may be newer."""
    n_per_source: int
    n_candidates: int
    max_history: int
    fusion: dict[str, float] = field(default_factory=dict)
    """Fusion weight by source; 1 for a source without an entry."""
    min_movie_events: int = 0
    """Movies with fewer events may be cold items."""
    cold_item_days: float = ModelConfig().cold_item_days
    """Maximum time since the first event of a cold item, in days."""
    user_prior_weight: float = ModelConfig().user_prior_weight
    """Number of pseudo-ratings at the global mean in a user's mean rating."""
    dislike_rule: DislikeRule = field(default_factory=lambda: DislikeRule.of(ModelConfig()))
    """How far films like a dislike move down."""
    cold_item_spacing: int = ModelConfig().cold_item_spacing
    """Ranks per cold-item slot."""
    n_little_known: int = 0
    """Maximum cold items that are candidates in any case and may move up into a slot."""

    def with_fusion(self, weights: dict[str, float]) -> "RankingState":
        """The same state with other fusion weights."""
        return replace(self, fusion=weights)

    def with_facts(self, facts: MovieFacts) -> "RankingState":
        """The same structure with other facts of movies, also in the sources that are nothing but facts."""
        return replace(
            self,
            movies=self.movies.with_facts(facts),
            sources={name: source.with_facts(facts) for name, source in self.sources.items()},
        )

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Per catalogue row, whether the movie had an event before the moment of its facts."""
        return self.movies.n_events > 0

    @cached_property
    def is_cold_item(self) -> NDArray[np.bool_]:
        """Per catalogue row, whether it is a cold item: fewer than `min_movie_events` events, and new.

        The first event must be at most `cold_item_days` old: an older movie with few events had its chance.
        Without an event the last day of the release year counts instead. Without a year the movie is new.
        """
        days_released = (self.movies.age_years - 1) * YEAR_SECONDS / DAY_SECONDS
        days = np.where(self.movies.n_events > 0, self.movies.days_known, days_released)
        return (self.movies.n_events < self.min_movie_events) & ~(days > self.cold_item_days)

    @cached_property
    def little_known(self) -> NDArray[np.int64]:
        """The rows of the cold items, ascending."""
        return np.flatnonzero(self.is_cold_item)

    @cached_property
    def _little_known(self) -> UnratedRows:
        return UnratedRows.among(self.little_known, self.sources)

    def query(self, history: History, catalogue: Catalogue, as_of: int) -> Query:
        return Query.of(
            history,
            catalogue,
            as_of,
            self.movies.mean_rating_of_all,
            self.movies.like_share_of_all,
            self.max_history,
            self.user_prior_weight,
        )

    def eligible(
        self,
        query: Query,
        catalogue: Catalogue,
        *,
        exclude_seen: bool = True,
        filters: Filters | None = None,
    ) -> NDArray[np.bool_]:
        """Per catalogue row, whether the request may show it; see `filters.eligible_rows`."""
        return eligible_rows(
            query, catalogue, self.movies.n_events, exclude_seen=exclude_seen, filters=filters
        )

    def candidates(self, query: Query, eligible: NDArray[np.bool_]) -> Candidates:
        return find_candidates(
            query,
            self.sources,
            eligible,
            fusion=self.fusion,
            n_per_source=self.n_per_source,
            n_candidates=self.n_candidates,
            little_known=self._little_known,
            n_little_known=self.n_little_known,
        )

    def save(self, folder: Path) -> None:
        """Writes each array to a `.npy` file, and the other fields to `state.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {name: source.arrays() for name, source in self.sources.items()}
        written: dict[int, Path] = {}  # Sources that share an array share its file.
        for name, arrays in {**tables, "movies": self.movies.arrays()}.items():
            for key, array in arrays.items():
                file = folder / f"{name}.{key}.npy"
                if id(array) in written:
                    os.link(written[id(array)], file)
                    continue
                np.save(file, array, allow_pickle=False)
                written[id(array)] = file
        facts = {
            "as_of": self.as_of,
            "n_per_source": self.n_per_source,
            "n_candidates": self.n_candidates,
            "max_history": self.max_history,
            "sources": list(self.sources),
            "fusion": self.fusion,
            "min_movie_events": self.min_movie_events,
            "n_little_known": self.n_little_known,
            "cold_item_days": self.cold_item_days,
            "cold_item_spacing": self.cold_item_spacing,
            "dislike_rule": self.dislike_rule._asdict(),
            "user_prior_weight": self.user_prior_weight,
        }
        (folder / "state.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")

    def check_bounds(self, n_movies: int) -> None:
        """Raises ValueError if an index array reaches beyond its columns or the `n_movies` catalogue rows."""
        for name, source in self.sources.items():
            check_source(name, source.arrays(), n_movies)
        check_movies(self.movies.arrays(), n_movies)

    @classmethod
    def load(cls, folder: Path) -> "RankingState":
        """The state as saved, its arrays memory-mapped."""
        facts = json.loads((folder / "state.json").read_text("utf-8"))
        types = source_types()
        return cls(
            sources={name: types[name].from_arrays(_read_arrays(folder, name)) for name in facts["sources"]},
            movies=MovieState.from_arrays(_read_arrays(folder, "movies")),
            as_of=facts["as_of"],
            n_per_source=facts["n_per_source"],
            n_candidates=facts["n_candidates"],
            max_history=facts["max_history"],
            fusion=facts["fusion"],
            # States that were saved before there were cold-item slots have none.
            min_movie_events=facts.get("min_movie_events", 0),
            n_little_known=facts.get("n_little_known", 0),
            # States that were saved before these were parameters have their defaults.
            cold_item_days=facts.get("cold_item_days", ModelConfig().cold_item_days),
            user_prior_weight=facts.get("user_prior_weight", ModelConfig().user_prior_weight),
            cold_item_spacing=facts.get("cold_item_spacing", ModelConfig().cold_item_spacing),
            dislike_rule=DislikeRule(**facts.get("dislike_rule", DislikeRule.of(ModelConfig())._asdict())),
        )


def _read_arrays(folder: Path, name: str) -> Arrays:
    throttle()
    return {
        path.name.removeprefix(f"{name}.").removesuffix(".npy"): np.asarray(
            np.load(path, mmap_mode="r", allow_pickle=False)
        )
        for path in sorted(folder.glob(f"{name}.*.npy"))
    }


def fit_state(
    data: InteractionArrays,
    catalogue: Catalogue,
    as_of: int,
    config: ModelConfig,
    progress: Callable[[str], None] | None = None,
    *,
    movies: MovieState | None = None,
) -> RankingState:
    """The state from the events of `data` strictly before `as_of` (seconds since 1970).

    Later events are not read, so they cannot change the result. Without events the personal sources score 0
    everywhere and popularity is 0. `movies` is the result of `fit_movie_state` where it is at hand; else it
    is fitted here.
    """
    presence = events_before(data, as_of).presence().without_idle_users()
    return RankingState(
        sources=fit_sources(FitContext(presence, catalogue, as_of, config), progress),
        movies=fit_movie_state(data, catalogue, as_of) if movies is None else movies,
        as_of=as_of,
        n_per_source=config.n_per_source,
        n_candidates=config.n_candidates,
        max_history=config.max_history,
        min_movie_events=config.min_movie_events,
        n_little_known=config.n_little_known,
        cold_item_days=config.cold_item_days,
        user_prior_weight=config.user_prior_weight,
        cold_item_spacing=config.cold_item_spacing,
        dislike_rule=DislikeRule.of(config),
    )


def fit_movie_state(data: InteractionArrays, catalogue: Catalogue, as_of: int) -> MovieState:
    """The movie part of `fit_state` alone, without fitting candidate sources."""
    return MovieState.fit(data.before(as_of), catalogue, as_of)


def events_before(data: InteractionArrays, as_of: int) -> InteractionArrays:
    """The events that stand among those strictly before `as_of`, without users who have none."""
    return data.before(as_of).standing().without_idle_users()
