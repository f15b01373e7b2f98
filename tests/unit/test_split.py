"""Splits by hand on a few rows, and what each of them promises."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from movierank_core.data.schema import RATINGS
from movierank_pipeline.evaluation.protocols.split import (
    frequent_likes,
    split_at_random,
    split_last,
    split_users,
)


def ratings_of(rows: list[tuple[int, int, int]], rating: float = 4.0) -> pl.DataFrame:
    """RATINGS from (user, movie, seconds)."""
    return pl.DataFrame(
        [(user, movie, rating, datetime.fromtimestamp(time, UTC)) for user, movie, time in rows],
        schema=RATINGS,
        orient="row",
    )


def pairs(frame: pl.DataFrame) -> list[tuple[int, int]]:
    return frame.select("user_id", "movie_id").rows()


MANY = ratings_of([(user, movie, user * 50 + movie) for user in range(30) for movie in range(user % 13 + 1)])


def test_the_last_row_of_each_user_is_held_out_and_ties_go_by_row() -> None:
    ratings = ratings_of([(2, 9, 5), (1, 1, 7), (1, 2, 7), (1, 3, 2), (2, 8, 4), (3, 1, 1)])
    train, test = split_last(ratings)
    assert pairs(test) == [(2, 9), (1, 2)]
    assert pairs(train) == [(1, 1), (1, 3), (2, 8), (3, 1)]


def test_reversed_ties_hold_out_the_first_row_of_the_last_second() -> None:
    ratings = ratings_of([(2, 9, 5), (1, 1, 7), (1, 2, 7), (1, 4, 7), (1, 3, 2), (2, 8, 4)])
    train, test = split_last(ratings, ties_reversed=True)
    assert pairs(test) == [(2, 9), (1, 1)]
    assert pairs(train) == [(1, 2), (1, 4), (1, 3), (2, 8)]


def test_more_than_one_last_row_can_be_held_out() -> None:
    ratings = ratings_of([(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 1), (2, 2, 2)])
    assert pairs(split_last(ratings, 2).test) == [(1, 2), (1, 3)]


@pytest.mark.parametrize("by", ["user_id", "movie_id"])
def test_a_stratified_split_takes_the_share_of_each_group(by: str) -> None:
    test = split_at_random(MANY, 0.25, np.random.default_rng(1), by=by).test
    sizes = MANY.group_by(by).len("all").join(test.group_by(by).len("test"), on=by, how="left")
    sizes = sizes.with_columns(pl.col("test").fill_null(0))
    assert sizes["test"].to_list() == (sizes["all"] - np.round(sizes["all"].to_numpy() * 0.75)).to_list()


def test_a_random_split_takes_the_share_of_all_rows() -> None:
    assert len(split_at_random(MANY, 0.25, np.random.default_rng(1)).test) == len(MANY) - round(
        len(MANY) * 0.75
    )


def test_a_seed_decides_the_split() -> None:
    first, again, other = (
        split_at_random(MANY, 0.3, np.random.default_rng(seed), by="user_id").test for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_held_out_users_are_not_in_the_training_rows() -> None:
    train, history, targets = split_users(MANY, 10, np.random.default_rng(1))
    held_out = set(history["user_id"])
    assert len(held_out) == 10
    assert not held_out & set(train["user_id"])
    assert set(targets["user_id"]) <= held_out
    sizes = history.group_by("user_id").len()
    everything = MANY.group_by("user_id").len("all").join(sizes, on="user_id")
    assert everything["len"].to_list() == np.round(everything["all"].to_numpy() * 0.8).tolist()


def test_a_held_out_user_with_one_row_has_no_targets() -> None:
    lonely = ratings_of([(1, 1, 1), (2, 1, 1)])
    _, history, targets = split_users(lonely, 1, np.random.default_rng(1))
    assert (len(history), len(targets)) == (1, 0)


def test_not_everybody_can_be_held_out() -> None:
    with pytest.raises(ValueError, match=r"^2 of 2 users cannot be held out$"):
        split_users(ratings_of([(1, 1, 1), (2, 1, 1)]), 2, np.random.default_rng(1))


def test_frequent_likes_are_the_likes_of_users_with_enough_of_them() -> None:
    likes = ratings_of([(1, 1, 1), (1, 2, 2), (2, 1, 1)], rating=4.0)
    others = ratings_of([(2, 2, 2), (2, 3, 3)], rating=3.5)
    assert pairs(frequent_likes(pl.concat([others, likes]), min_likes=2)) == [(1, 1), (1, 2)]


def test_nothing_splits_into_nothing() -> None:
    empty = ratings_of([])
    assert [len(part) for part in split_last(empty)] == [0, 0]
    assert [len(part) for part in split_at_random(empty, 0.5, np.random.default_rng(1))] == [0, 0]
