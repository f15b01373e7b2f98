"""How the genres of a movie fit the genres of the history and the user's ratings of these genres."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.columns import list_codes
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays

GENRE_PRIOR_WEIGHT: Final = 3.0
"""Number of pseudo-ratings at the user's mean, added to the user's ratings of every genre."""
RECENT_MOVIES: Final = 5
"""Number of movies at the end of the history that give its recent direction."""


@dataclass(frozen=True, slots=True)
class GenreTaste:
    """How a history relates to each genre: one entry per column of the array `genres`."""

    share: NDArray[np.float32]
    """Share of the history's movies that have the genre."""
    preference: NDArray[np.float32]
    """Mean centred rating of movies that have it, shrunken towards 0 by `GENRE_PRIOR_WEIGHT` ratings."""

    @property
    def appeal(self) -> NDArray[np.float32]:
        """The share, raised where the user rates the genre above their mean, lowered where below."""
        return self.share * (1.0 + self.preference)


class Genre(Block):
    """Genre features.

    Arrays: `genres` [n_movies, n_genres], rows of length 1 (zeros for a movie without genres), genres in
    alphabetical order; `n_genres` per catalogue row.
    """

    NAME = "genre"
    FEATURES = tuple(
        Feature(name, CROSS, "genre_match", unit, meaning)
        for name, unit, meaning in (
            ("genre_affinity", "cosine", "Cosine of the movie's genres with the genres of the history."),
            (
                "genre_preference",
                "stars",
                "Mean over the movie's genres of the user's shrunken centred rating of that genre.",
            ),
            ("genre_preference_min", "stars", "Minimum of the same ratings over the movie's genres."),
            (
                "genre_recent_affinity",
                "cosine",
                "Cosine of the movie's genres with those of the last five movies of the history.",
            ),
        )
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        _, genres, n_genres = genre_indicators(catalogue.frame["genres"])
        return {"genres": genres, "n_genres": n_genres}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        genres = arrays["genres"]
        # The genres of row i are codes[offsets[i] : offsets[i + 1]].
        self._offsets = np.concatenate([[0], np.cumsum((genres > 0).sum(axis=1))]).astype(np.int64)
        self._codes = np.nonzero(genres)[1].astype(np.int32)
        self._n_genres = genres.shape[1]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        tastes = self._tastes(request.query)
        match_genres(request.candidates.rows, self._offsets, self._codes, tastes, out)

    def taste(self, query: Query) -> GenreTaste:
        """The genre taste of a query's history; zeros for an empty one."""
        share, preference, _, _ = self._tastes(query)
        return GenreTaste(share, preference)

    def _tastes(self, query: Query) -> NDArray[np.float32]:
        """[4, n_genres] as `genre_tastes` fills it."""
        tastes = np.empty((4, self._n_genres), np.float32)
        genre_tastes(query.rows, query.centred, self._offsets, self._codes, tastes)
        return tastes


def genre_indicators(genres: pl.Series) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Genre names (sorted), unit-length indicator rows [n_movies, n_genres], and genres per movie."""
    names = sorted(genres.explode(empty_as_null=False, keep_nulls=False).unique().to_list())
    rows, columns = list_codes(genres)
    matrix = np.zeros((len(genres), len(names)), np.float32)
    matrix[rows, columns] = 1.0
    count = matrix.sum(axis=1)
    return names, matrix / np.sqrt(np.maximum(count, 1.0))[:, None], count


@njit(cache=True, nogil=True)
def genre_tastes(rows, centred, offsets, codes, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [4, n_genres] for a history: share, preference, direction and recent direction.

    `rows` and `centred` are the history, oldest first. Share and preference are those of `GenreTaste`. A
    direction is the sum of the unit genre vectors of all movies, or of the latest, scaled to length 1.
    """
    out[:] = 0
    # Step 1: sums over the movies of the history.
    for k in range(len(rows)):
        start, stop = offsets[rows[k]], offsets[rows[k] + 1]
        for entry in range(start, stop):
            genre = codes[entry]
            out[0, genre] += 1
            out[1, genre] += centred[k]
            length = 1 / np.sqrt(np.float32(stop - start))
            out[2, genre] += length
            if k >= len(rows) - RECENT_MOVIES:
                out[3, genre] += length
    # Step 2: shrunken means and shares.
    for genre in range(out.shape[1]):
        out[1, genre] /= out[0, genre] + np.float32(GENRE_PRIOR_WEIGHT)
        out[0, genre] /= max(len(rows), 1)
    # Step 3: directions of length 1; zeros stay zeros.
    for direction in out[2:]:
        length = np.sqrt((direction * direction).sum())
        direction /= max(length, np.float32(1e-9))


@njit(cache=True, nogil=True)
def match_genres(rows, offsets, codes, tastes, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [4, n] in the order of `Genre.FEATURES`; zeros for a movie without genres."""
    for candidate in range(len(rows)):
        start, stop = offsets[rows[candidate]], offsets[rows[candidate] + 1]
        cosine, recent_cosine, total, least = np.float32(0), np.float32(0), np.float32(0), np.float32(np.inf)
        for entry in range(start, stop):
            genre = codes[entry]
            cosine += tastes[2, genre]
            recent_cosine += tastes[3, genre]
            total += tastes[1, genre]
            least = min(least, tastes[1, genre])
        n = np.float32(max(stop - start, 1))
        out[0, candidate] = cosine / np.sqrt(n)
        out[1, candidate] = total / n
        out[2, candidate] = least if least < np.inf else np.float32(0)
        out[3, candidate] = recent_cosine / np.sqrt(n)
