"""The movies that a candidate source can propose."""

from functools import cached_property
from typing import Final
from weakref import WeakValueDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Support:
    """The catalogue rows that a source can score above 0, in the order of its scores.

    Few movies have enough events for the collaborative sources; a score for each of these only, and not for
    every row of the catalogue, is less to clear, to fill and to look through.
    """

    def __init__(self, rows: NDArray[np.int64], n_movies: int) -> None:
        """`rows` are different ones below `n_movies`."""
        self.rows = rows
        self.n_movies = n_movies

    @classmethod
    def of(cls, rows: NDArray[np.int64], n_movies: int) -> "Support":
        """The support of these rows, one object for all sources that have the same."""
        key = n_movies, np.ascontiguousarray(rows, np.int64).tobytes()
        return _KNOWN.setdefault(key, cls(rows, n_movies))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """Per catalogue row its place in `rows`, -1 for a row that is not there."""
        places = np.full(self.n_movies, -1, np.int32)
        places[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        return places

    def at(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of one score per place, those of any catalogue rows; 0 for a row that is not there."""
        out = np.empty(len(rows), np.float32)
        _take(scores, self.places, rows, out)
        return out

    def everywhere(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of one score per place, one per catalogue row."""
        out = np.zeros(self.n_movies, np.float32)
        out[self.rows] = scores
        return out


@njit(cache=True, nogil=True)
def _take(scores, places, rows, out):  # type: ignore[no-untyped-def]  # numba
    for k in range(len(rows)):
        place = places[rows[k]]
        out[k] = scores[place] if place >= 0 else np.float32(0)


_KNOWN: Final[WeakValueDictionary[tuple[int, bytes], Support]] = WeakValueDictionary()
