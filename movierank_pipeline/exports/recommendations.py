"""Exports the top films of every user as one table."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from movierank_core.data.interactions import InteractionArrays
from movierank_core.recommender.model import RankingModel

SCHEMA: Final = {"user_id": pl.Int64, "rank": pl.Int32, "movie_id": pl.Int64, "score": pl.Float64}
REPORTED_EVERY: Final = 1000
"""Users between two progress messages."""


def recommend_all(
    model: RankingModel,
    data: InteractionArrays,
    as_of: int,
    k: int,
    progress: Callable[[str], None] | None = None,
) -> pl.DataFrame:
    """The top `k` films of every user at `as_of` (seconds since 1970), by the code that answers `/rank`.

    Columns: user_id, rank (from 1), movie_id, score. A user with fewer than `k` eligible films has fewer
    rows. Needs memory for the result only: 24 bytes per row.
    """
    n_users = len(data.user_ids)
    movie_ids = np.zeros((n_users, k), np.int64)
    scores = np.zeros((n_users, k))
    n_shown = np.zeros(n_users, np.int64)
    for user in range(n_users):
        if progress is not None and user % REPORTED_EVERY == 0:
            progress(f"user {user:,} of {n_users:,}")
        scored = model.score(data.history(user, as_of), as_of=as_of)
        shown = scored.shown[:k]
        n = len(shown)
        n_shown[user] = n
        movie_ids[user, :n] = model.catalogue.movie_ids[scored.rows[shown]]
        scores[user, :n] = scored.probabilities[shown]
    is_shown = np.arange(k) < n_shown[:, None]
    return _table(
        {
            "user_id": np.repeat(data.user_ids, n_shown),
            "rank": np.tile(np.arange(1, k + 1), (n_users, 1))[is_shown],
            "movie_id": movie_ids[is_shown],
            "score": scores[is_shown],
        }
    )


def no_recommendations() -> pl.DataFrame:
    """The table of `recommend_all` without rows."""
    return _table({name: [] for name in SCHEMA})


def _table(columns: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=SCHEMA)
