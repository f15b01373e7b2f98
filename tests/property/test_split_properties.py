"""Splits lose no row, make none up, and cut where they say."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from movierank_core.data.schema import RATINGS
from movierank_pipeline.evaluation.protocols.split import (
    split_at_random,
    split_last,
    split_users,
)

SPLITS: dict[str, Callable[[pl.DataFrame, int], tuple[pl.DataFrame, ...]]] = {
    "last": lambda ratings, seed: split_last(ratings, seed % 3 + 1),
    "random": lambda ratings, seed: split_at_random(ratings, seed % 11 / 10, np.random.default_rng(seed)),
    "by user": lambda ratings, seed: split_at_random(
        ratings, 0.25, np.random.default_rng(seed), by="user_id"
    ),
    "by movie": lambda ratings, seed: split_at_random(
        ratings, 0.25, np.random.default_rng(seed), by="movie_id"
    ),
    "users": lambda ratings, seed: split_users(ratings, 1, np.random.default_rng(seed)),
}


@st.composite
def ratings_frames(draw: st.DrawFn, min_users: int = 2) -> pl.DataFrame:
    """RATINGS in any order with few distinct times, a pair at most once; the rating numbers the row."""
    n_users = draw(st.integers(min_users, 5))
    pairs = {(user, 0) for user in range(n_users)}
    pairs |= set(draw(st.lists(st.tuples(st.integers(0, n_users - 1), st.integers(0, 6)), max_size=25)))
    rows = draw(st.permutations(sorted(pairs)))
    times = draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    return pl.DataFrame(
        [
            (user, movie, float(number), datetime.fromtimestamp(time, UTC))
            for number, ((user, movie), time) in enumerate(zip(rows, times, strict=True))
        ],
        schema=RATINGS,
        orient="row",
    )


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=40, deadline=None)
@given(ratings=ratings_frames(), seed=st.integers(0, 2**32))
def test_every_row_is_in_one_part_and_in_order(name: str, ratings: pl.DataFrame, seed: int) -> None:
    parts = SPLITS[name](ratings, seed)
    assert_frame_equal(pl.concat(parts).sort("rating"), ratings)
    for part in parts:
        assert part["rating"].is_sorted()


@settings(max_examples=60, deadline=None)
@given(ratings=ratings_frames())
def test_the_last_row_is_one_per_user_with_none_after_it(ratings: pl.DataFrame) -> None:
    train, test = split_last(ratings)
    assert test["user_id"].is_unique().all()
    several = ratings.group_by("user_id").len().filter(pl.col("len") > 1)
    assert set(test["user_id"]) == set(several["user_id"])
    both = train.join(test, on="user_id", suffix="_last")
    later_row = (pl.col("timestamp") == pl.col("timestamp_last")) & (pl.col("rating") < pl.col("rating_last"))
    assert both.filter(~((pl.col("timestamp") < pl.col("timestamp_last")) | later_row)).is_empty()
