"""The movies of one model version: `movie_id` to dense row and back, and the facts that are shown.

Rows are numbered 0..n-1 by ascending `movie_id`. Every array in the model is indexed by row.
"""

from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from movierank_core.data.schema import CATALOGUE, require_schema
from movierank_core.errors import DataError

MAX_TABLE_SHARE: Final = 50
"""Entries of a table of rows by movie id, per movie, at most; those of MovieLens are four times as many."""


class Catalogue:
    """A CATALOGUE table with its row numbers."""

    def __init__(self, frame: pl.DataFrame) -> None:
        """`frame` has the CATALOGUE schema, one row per movie, in any order."""
        frame = require_schema(frame, CATALOGUE, "catalogue").sort("movie_id")
        movie_ids = frame["movie_id"].to_numpy()
        if len(movie_ids) and bool((np.diff(movie_ids) == 0).any()):
            twice = movie_ids[:-1][np.diff(movie_ids) == 0][:5].tolist()
            raise DataError(
                f"The catalogue holds some movies twice, among them {twice}", expected="one row per movie_id"
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
        """Row numbers of `movie_ids`, -1 for movies that are not in the catalogue."""
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
    def _row_of_id(self) -> NDArray[np.int64]:
        """Per movie id its row, -1 where there is none; empty where ids are too far apart for such a table.

        A few hundred places in it are found in a tenth of the time of a search.
        """
        first, last = (int(self.movie_ids[0]), int(self.movie_ids[-1])) if len(self) else (0, 0)
        if first < 0 or last > MAX_TABLE_SHARE * len(self):
            return np.zeros(0, np.int64)
        rows = np.full(last + 1, -1, np.int64)
        rows[self.movie_ids] = np.arange(len(self))
        return rows

    def row_of(self, movie_id: int) -> int:
        """The row number of one movie, -1 if it is not in the catalogue."""
        return int(self.rows_of([movie_id])[0])
