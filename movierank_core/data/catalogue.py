"""The movies of one model version: movie ids to rows and back, and the facts that the page shows.

Rows are numbered 0 to n - 1 by ascending `movie_id`. Every array of a model is indexed by row.
"""

from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from movierank_core.data.facets import Facets
from movierank_core.data.schema import CATALOGUE, require_schema
from movierank_core.data.timestamps import DAY_SECONDS
from movierank_core.errors import DataError

MAX_TABLE_SHARE: Final = 50
"""Maximum length of the table of rows by movie id, per movie. MovieLens needs four entries per movie."""


class Catalogue:
    """A CATALOGUE table, sorted by `movie_id`, with a fast look-up of rows."""

    def __init__(self, frame: pl.DataFrame) -> None:
        """`frame` has the CATALOGUE schema, one row per movie, in any order; else DataError."""
        frame = require_schema(frame, CATALOGUE, "catalogue").sort("movie_id")
        movie_ids = frame["movie_id"].to_numpy()
        if len(movie_ids) and bool((np.diff(movie_ids) == 0).any()):
            twice = movie_ids[:-1][np.diff(movie_ids) == 0][:5].tolist()
            raise DataError(
                f"The catalogue has several rows for the movies {twice}", expected="one row per movie_id"
            )
        self.frame = frame
        self.movie_ids: NDArray[np.int64] = np.ascontiguousarray(movie_ids)

    def __len__(self) -> int:
        return len(self.movie_ids)

    @classmethod
    def read(cls, path: Path) -> "Catalogue":
        return cls(pl.read_parquet(path))

    def write(self, path: Path) -> None:
        self.frame.write_parquet(path)

    def rows_of(self, movie_ids: ArrayLike) -> NDArray[np.int64]:
        """Rows of `movie_ids`, in the same shape; -1 for movies that the catalogue does not have."""
        wanted = np.asarray(movie_ids, np.int64)
        if not len(self):
            return np.full(wanted.shape, -1, np.int64)
        if len(self._row_of_id):
            is_possible = (wanted >= 0) & (wanted < len(self._row_of_id))
            return np.where(is_possible, self._row_of_id[np.where(is_possible, wanted, 0)], -1)
        rows = np.searchsorted(self.movie_ids, wanted)
        rows[rows == len(self)] = 0
        return np.where(self.movie_ids[rows] == wanted, rows, -1)

    @cached_property
    def released_at(self) -> NDArray[np.int64]:
        """Seconds from 1970 to the release date per row; to the start of the release year without a date.

        The minimum of int64 for a movie without either.
        """
        year = pl.date(pl.col("release_year"), 1, 1)
        dates = self.frame.select(pl.coalesce("release_date", year).cast(pl.Int64)).to_series()
        days = dates.fill_null(0).to_numpy() * DAY_SECONDS
        return np.where(dates.is_null().to_numpy(), np.iinfo(np.int64).min, days)

    @cached_property
    def last_release(self) -> int:
        """The maximum of `released_at`; the minimum of int64 for an empty catalogue."""
        return int(self.released_at.max(initial=np.iinfo(np.int64).min))

    @cached_property
    def facets(self) -> Facets:
        """Arrays for filters. Making them takes 0.4 s for 88,000 movies, so a recommender does it at load."""
        return Facets.of(self.frame)

    @cached_property
    def _row_of_id(self) -> NDArray[np.int64]:
        """Row by movie id, -1 for no movie; empty where MAX_TABLE_SHARE forbids the table.

        Looking up a few hundred ids in it takes a tenth of the time of a binary search.
        """
        first, last = (int(self.movie_ids[0]), int(self.movie_ids[-1])) if len(self) else (0, 0)
        if first < 0 or last > MAX_TABLE_SHARE * len(self):
            return np.zeros(0, np.int64)
        rows = np.full(last + 1, -1, np.int64)
        rows[self.movie_ids] = np.arange(len(self))
        return rows

    def row_of(self, movie_id: int) -> int:
        """The row of one movie; -1 if the catalogue does not have it."""
        return int(self.rows_of([movie_id])[0])
