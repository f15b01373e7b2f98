"""Popularity over several windows up to the moment of the fit: the same for everybody."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.interactions import InteractionArrays
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Source, Support

DAY = 86_400


class Popularity(Source):
    """Events per movie within a window; ties by events of all time, so that an order always exists."""

    name: ClassVar[str] = "popularity"
    label: ClassVar[str] = "Most popular"
    family: ClassVar[str] = "high_popularity"
    meaning: ClassVar[str] = "events of all time"
    is_personal: ClassVar[bool] = False
    window_days: ClassVar[float] = float("inf")

    def __init__(self, counts: NDArray[np.float32]) -> None:
        """`counts` per catalogue row."""
        self.counts = counts
        rows = np.lexsort((np.arange(len(counts)), -counts))[: int((counts > 0).sum())]
        self.support = Support(rows, len(counts))
        self._scores = counts[rows]

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, as_of: int) -> Self:
        recent = data.timestamps >= as_of - cls.window_days * DAY
        of_window = np.bincount(data.rows[recent], minlength=n_movies)
        of_all_time = np.bincount(data.rows, minlength=n_movies)
        return cls((of_window + of_all_time / (of_all_time.max(initial=0) + 1)).astype(np.float32))

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self._scores

    def arrays(self) -> Arrays:
        return {"counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["counts"])


class PopularityYear(Popularity):
    name = "popularity_365d"
    label = "Popular in the last year"
    family = "popular_lately"
    meaning = "events of the last 365 days before the state's moment"
    window_days = 365.0


class PopularityMonth(Popularity):
    name = "popularity_30d"
    label = "Popular in the last month"
    family = "popular_lately"
    meaning = "events of the last 30 days before the state's moment"
    window_days = 30.0
