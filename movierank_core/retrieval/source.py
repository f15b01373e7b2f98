"""The contract of a candidate source, and the rows that it can propose."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.retrieval.query import Query

if TYPE_CHECKING:
    from movierank_core.features.movie_facts import MovieFacts
    from movierank_core.retrieval.fit_context import FitContext

Arrays = dict[str, NDArray[Any]]


class Support:
    """The catalogue rows that a source can score above 0, in the order of its scores.

    Few movies have enough events for the collaborative sources. Scores for these rows alone take less time
    to clear, fill and scan than scores for the whole catalogue.
    """

    def __init__(self, rows: NDArray[np.int64], n_movies: int) -> None:
        """`rows`: distinct catalogue rows, each below `n_movies`."""
        self.rows = rows
        self.n_movies = n_movies

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def columns(self) -> NDArray[np.int32]:
        """Per catalogue row its index in `rows`, -1 for a row outside the support."""
        return columns_of(self.rows, self.n_movies)

    def at(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores of any catalogue `rows`; 0 outside the support. `scores` has one entry per column."""
        out = np.empty(len(rows), np.float32)
        _take(scores, self.columns, rows, out)
        return out

    def everywhere(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """One score per catalogue row, from one per column of the support; 0 outside the support."""
        out = np.zeros(self.n_movies, np.float32)
        out[self.rows] = scores
        return out


def columns_of(rows: NDArray[np.int64], n_movies: int) -> NDArray[np.int32]:
    """Per catalogue row its index in `rows`, -1 for a row that is not in it."""
    columns = np.full(n_movies, -1, np.int32)
    columns[rows] = np.arange(len(rows), dtype=np.int32)
    return columns


@njit(cache=True, nogil=True)
def _take(scores, columns, rows, out):  # type: ignore[no-untyped-def]  # numba
    for k in range(len(rows)):
        column = columns[rows[k]]
        out[k] = scores[column] if column >= 0 else np.float32(0)


class Detail(NamedTuple):
    """A figure of a source about a candidate, besides its score. It becomes a feature of the ranker."""

    name: str
    """The feature is called `<source>_<name>`."""
    unit: str
    meaning: str
    """One sentence, shown in docs/features.md."""


class Source(ABC):
    """Proposes movies for a query.

    A source holds plain arrays and nothing about any person. `scores` is a pure function of the query, so
    an event of one second ago already counts. To add a source, write one subclass and add one line to
    `SOURCES` in `movierank_core/retrieval/registry.py`; features, documentation, reports and the page
    derive from the class.
    """

    name: ClassVar[str]
    """Identifier in features, bundles, reports and the API."""
    label: ClassVar[str]
    """Display name on the page."""
    family: ClassVar[str]
    """Family of the source's features, which reasons name."""
    meaning: ClassVar[str]
    """What the score measures, as a phrase that completes "Score of …" in docs/features.md."""
    is_personal: ClassVar[bool] = True
    """Whether the scores depend on the history. An empty history then scores 0 everywhere."""
    scores_unrated_movies: ClassVar[bool] = False
    """Whether a movie without any event can score above 0. Such a source proposes little-known movies."""
    cold_user_weight: ClassVar[float] = 0.0
    """Fusion weight of the source in the list for a user without history; 0 leaves it out."""
    is_similarity: ClassVar[bool] = False
    """Whether `similar_to` counts for `GET /movie/{movie_id}/similar`; its values are then at most 1."""

    details: ClassVar[tuple[Detail, ...]] = ()
    """What `describe` returns, in its order."""

    support: Support
    """The rows that can score above 0: ascending, or by descending score if the order never changes."""

    @classmethod
    def is_used(cls, config: ModelConfig) -> bool:
        """Whether models with this configuration have the source."""
        return True

    @classmethod
    @abstractmethod
    def fit(cls, context: "FitContext") -> Self:
        """The source fitted on the events of `context`; without events it proposes nothing."""

    @abstractmethod
    def scores(self, query: Query) -> NDArray[np.float32]:
        """One finite score per row of the support; at most 0 where the source proposes nothing.

        Rows outside the support score 0.
        """

    def describe(self, query: Query, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """[len(details), len(rows)] figures about distinct catalogue `rows`; NaN where one is unknown."""
        return np.empty((0, len(rows)), np.float32)

    @abstractmethod
    def arrays(self) -> Arrays:
        """All arrays that `from_arrays` needs to give the same scores to the last bit."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The source that `arrays` describes."""

    def with_facts(self, facts: "MovieFacts") -> "Source":
        """The source with newer facts of movies; itself if its scores do not depend on facts."""
        return self

    def attribute(self, query: Query, rows: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
        """`items` with each -1 replaced by the liked history item that adds most to the score of its row.

        One entry per catalogue row of `rows`: an index into the query. It stays -1 where no liked item adds
        anything, and always if the source has no value per history item.
        """
        return items

    def similar_to(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Catalogue rows similar to one row, with their similarity; none if the source has no such values."""
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
