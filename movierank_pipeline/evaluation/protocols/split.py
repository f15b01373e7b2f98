"""Splits of a table of ratings into a training part and a test part.

All functions take a RATINGS frame in any order, with further columns allowed. They keep the order of the rows
and give each row to exactly one part. Requests at moments are planned in `training.requests`.
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
    """The history of the held-out users."""
    targets: pl.DataFrame
    """The hidden rows of the held-out users."""


def split_last(ratings: pl.DataFrame, n_last: int = 1, *, ties_reversed: bool = False) -> Split:
    """The `n_last` latest rows of each user are `test`; among equal times, later rows count as later.

    With `ties_reversed`, earlier rows do: the other end of what equal times leave open. Users with `n_last`
    rows or fewer stay in `train`, since their history would be empty.
    """
    users, times = ratings["user_id"].to_numpy(), ratings["timestamp"].to_physical().to_numpy()
    appearance = np.arange(len(ratings))
    order = np.lexsort((-appearance if ties_reversed else appearance, times, users))
    from_end = _group_sizes(users[order]) - 1 - _index_in_group(users[order])
    size = _group_sizes(users[order])
    in_test = np.zeros(len(ratings), np.bool_)
    in_test[order] = (from_end < n_last) & (size > n_last)
    return _cut(ratings, in_test)


def split_at_random(
    ratings: pl.DataFrame, test_share: float, rng: np.random.Generator, *, by: str | None = None
) -> Split:
    """A random share of the rows is `test`; with `by` (`user_id` or `movie_id`), of the rows of each.

    Of n rows, round(n × (1 - test_share)) are for training, with halves rounded to even. The published 75/25
    split by movie rounds the same way (recommenders-team, `python_stratified_split`).
    """
    groups = np.zeros(len(ratings), np.int64) if by is None else ratings[by].to_numpy()
    order = np.lexsort((rng.permutation(len(ratings)), groups))
    n_train = np.round(_group_sizes(groups[order]) * (1 - test_share))
    in_test = np.zeros(len(ratings), np.bool_)
    in_test[order] = _index_in_group(groups[order]) >= n_train
    return _cut(ratings, in_test)


def split_users(
    ratings: pl.DataFrame, n_test_users: int, rng: np.random.Generator, *, history_share: float = 0.8
) -> UserSplit:
    """Strong generalisation (Liang et al. 2018): `n_test_users` random users are held out.

    A random `history_share` of the rows of each is `history`, the others are `targets`. A single row is
    history. Liang et al. use `frequent_likes` of the ratings. Raises ValueError if no user would be left for
    training.
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
    """`split_users` for given users."""
    is_held_out = ratings["user_id"].is_in(pl.Series(user_ids).implode()).to_numpy()
    train, others = _cut(ratings, is_held_out)
    history, targets = split_at_random(others, 1 - history_share, rng, by="user_id")
    return UserSplit(train, history, targets)


def frequent_likes(ratings: pl.DataFrame, min_likes: int = 5) -> pl.DataFrame:
    """The likes of users with at least `min_likes` likes: the rows of Liang et al. 2018."""
    likes = ratings.filter(pl.col("rating") >= LIKE_THRESHOLD)
    return likes.filter(pl.len().over("user_id") >= min_likes)


def _cut(ratings: pl.DataFrame, in_test: NDArray[np.bool_]) -> Split:
    return Split(ratings.filter(pl.Series(~in_test)), ratings.filter(pl.Series(in_test)))


def _starts(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a row is the first one of its group of equal neighbours."""
    return np.concatenate([np.ones(min(len(groups), 1), np.bool_), groups[1:] != groups[:-1]])


def _group_sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row of sorted groups, the size of its group."""
    starts = np.flatnonzero(_starts(groups))
    sizes = np.diff(np.append(starts, len(groups)))
    return np.repeat(sizes, sizes)


def _index_in_group(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row of sorted groups, its index 0, 1, … in its group."""
    is_start = _starts(groups)
    return np.arange(len(groups)) - np.flatnonzero(is_start)[np.cumsum(is_start) - 1]
