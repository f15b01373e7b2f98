"""A history as the candidate sources read it: movies of the catalogue, with ratings centred on the user."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import DISLIKE_THRESHOLD, LIKE_THRESHOLD, History


@dataclass(frozen=True, slots=True)
class Query:
    """The latest events of a history, oldest first, without movies that the catalogue lacks.

    Arrays have one entry per event unless their description says otherwise.
    """

    rows: NDArray[np.int64]
    """Catalogue rows."""
    timestamps: NDArray[np.int64]
    """Seconds since 1970."""
    ratings: NDArray[np.float32]
    """Stars; NaN without a rating."""
    centred: NDArray[np.float32]
    """Rating minus `mean_rating`; 0 without a rating."""
    is_liked: NDArray[np.bool_]
    """Whether the rating is at least 4."""
    is_disliked: NDArray[np.bool_]
    """Whether the rating is at most 2; False for a hidden movie."""
    is_presence: NDArray[np.bool_]
    """Whether the user chose the movie at some time; False for a hidden movie."""
    excluded: NDArray[np.int64]
    """Catalogue rows that the user has seen or hidden, in the whole history."""
    hidden: NDArray[np.int64]
    """Catalogue rows that the user has hidden, in the whole history."""
    n_events: int
    """Number of catalogue movies in the whole history."""
    mean_rating: float
    """Mean rating of the whole history without hidden movies, shrunken towards the global mean."""
    like_share: float
    """Share of likes among the same ratings, shrunken towards the global share."""
    as_of: int
    """Exclusive upper bound of the events, in seconds since 1970."""

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(
        cls,
        history: History,
        catalogue: Catalogue,
        as_of: int,
        global_mean: float,
        global_like_share: float,
        max_events: int | None = None,
        prior_weight: float = ModelConfig().user_prior_weight,
    ) -> "Query":
        """The latest `max_events` events of `history` strictly before `as_of` (seconds since 1970)."""
        history = history.before(as_of)
        rows = catalogue.rows_of(history.movie_ids)
        known = rows >= 0
        rows, ratings = rows[known], history.ratings[known]
        hidden = history.is_hidden[known]
        has_opinion = ~np.isnan(ratings)
        opinions = ratings[has_opinion & ~hidden].astype(np.float64)
        n = len(opinions)
        mean = float(shrunken_mean(opinions.sum(), n, global_mean, prior_weight))
        likes = int((opinions >= LIKE_THRESHOLD).sum())
        share = float(shrunken_mean(likes, n, global_like_share, prior_weight))
        latest = slice(0 if max_events is None else max(0, len(rows) - max_events), None)
        ratings = ratings[latest]
        return cls(
            rows=rows[latest],
            timestamps=history.timestamps[known][latest],
            ratings=ratings,
            centred=np.where(has_opinion[latest], ratings - np.float32(mean), 0).astype(np.float32),
            is_liked=ratings >= LIKE_THRESHOLD,
            is_disliked=(ratings <= DISLIKE_THRESHOLD) & ~hidden[latest],
            is_presence=~hidden[latest],
            excluded=rows[history.is_seen[known] | hidden],
            hidden=rows[hidden],
            n_events=len(rows),
            mean_rating=mean,
            like_share=share,
            as_of=as_of,
        )


def shrunken_mean(total: Any, n: Any, prior_mean: float, prior_weight: float) -> Any:
    """(total + prior_weight * prior_mean) / (n + prior_weight), for numbers or arrays.

    It is the mean of `n` values with the sum `total` and of `prior_weight` pseudo-values at `prior_mean`.
    """
    return (total + prior_weight * prior_mean) / (n + prior_weight)
