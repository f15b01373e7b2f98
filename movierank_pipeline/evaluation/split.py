"""Ways to cut ratings into what a model may learn from and what it is judged by.

All take a RATINGS frame in any order (further columns ride along), keep the order of its rows, and give
every row to exactly one part. The protocols that replay moments are in `ranking_requests`.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.history import LIKE_THRESHOLD


class Split(NamedTuple):
    train: pl.DataFrame
    test: pl.DataFrame


class UserSplit(NamedTuple):
    """Strong generalisation: the users of `history` and `targets` are not in `train`."""

    train: pl.DataFrame
    history: pl.DataFrame
    """What the held-out users are known by."""
    targets: pl.DataFrame
    """What is to be found for them."""


def split_by_time(ratings: pl.DataFrame, quantile: float = 0.8) -> Split:
    """Rows before the `quantile` of time, and rows at or after it. Equal times stay together."""
    if ratings.is_empty():
        return Split(ratings, ratings)
    times = ratings["timestamp"].to_physical().to_numpy()
    return _cut(ratings, times >= np.quantile(times, quantile, method="higher"))


def split_last(ratings: pl.DataFrame, n_last: int = 1) -> Split:
    """All but each user's `n_last` latest rows, and those; of equal times the later row is the later one.

    Users with `n_last` rows or fewer stay in `train`: nothing would be known of them.
    """
    users, times = ratings["user_id"].to_numpy(), ratings["timestamp"].to_physical().to_numpy()
    order = np.lexsort((np.arange(len(ratings)), times, users))
    from_end = _group_sizes(users[order]) - 1 - _places(users[order])
    size = _group_sizes(users[order])
    in_test = np.zeros(len(ratings), np.bool_)
    in_test[order] = (from_end < n_last) & (size > n_last)
    return _cut(ratings, in_test)


def split_at_random(
    ratings: pl.DataFrame, test_share: float, rng: np.random.Generator, *, by: str | None = None
) -> Split:
    """A random share of the rows is `test`; with `by` (`user_id` or `movie_id`), of the rows of each.

    Of n rows, round(n × (1 - test_share)) are for training, halves to the even number, as the published
    75/25 split by movie does it (recommenders-team, `python_stratified_split`).
    """
    groups = np.zeros(len(ratings), np.int64) if by is None else ratings[by].to_numpy()
    order = np.lexsort((rng.permutation(len(ratings)), groups))
    n_train = np.round(_group_sizes(groups[order]) * (1 - test_share))
    in_test = np.zeros(len(ratings), np.bool_)
    in_test[order] = _places(groups[order]) >= n_train
    return _cut(ratings, in_test)


def split_users(
    ratings: pl.DataFrame, n_test_users: int, rng: np.random.Generator, *, history_share: float = 0.8
) -> UserSplit:
    """Strong generalisation (Liang et al. 2018): `n_test_users` random users are held out.

    Of each of them a random `history_share` is given as history and the rest is to be found; who has a
    single row keeps it as history. Liang et al. use `frequent_likes` of the ratings. Raises ValueError
    if no user would be left for training.
    """
    users = np.unique(ratings["user_id"].to_numpy())
    if n_test_users >= len(users):
        raise ValueError(f"{n_test_users} of {len(users)} users cannot be held out")
    return hold_out(ratings, rng.permutation(users)[:n_test_users], rng, history_share=history_share)


def hold_out(
    ratings: pl.DataFrame,
    user_ids: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    history_share: float = 0.8,
) -> UserSplit:
    """`split_users` for users who are named."""
    is_held_out = ratings["user_id"].is_in(pl.Series(user_ids).implode()).to_numpy()
    train, others = _cut(ratings, is_held_out)
    history, targets = split_at_random(others, 1 - history_share, rng, by="user_id")
    return UserSplit(train, history, targets)


def frequent_likes(ratings: pl.DataFrame, min_likes: int = 5) -> pl.DataFrame:
    """The likes of users who have at least `min_likes`; the rows of Liang et al. 2018."""
    likes = ratings.filter(pl.col("rating") >= LIKE_THRESHOLD)
    return likes.filter(pl.len().over("user_id") >= min_likes)


def _cut(ratings: pl.DataFrame, in_test: NDArray[np.bool_]) -> Split:
    return Split(ratings.filter(pl.Series(~in_test)), ratings.filter(pl.Series(in_test)))


def _starts(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a group of equal neighbours begins."""
    return np.concatenate([np.ones(min(len(groups), 1), np.bool_), groups[1:] != groups[:-1]])


def _group_sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row of sorted groups, the size of its group."""
    starts = np.flatnonzero(_starts(groups))
    sizes = np.diff(np.append(starts, len(groups)))
    return np.repeat(sizes, sizes)


def _places(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row of sorted groups, its place 0, 1, … in its group."""
    is_start = _starts(groups)
    return np.arange(len(groups)) - np.flatnonzero(is_start)[np.cumsum(is_start) - 1]
