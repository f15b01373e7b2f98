"""Intervals hold the mean as often as they claim, and are the same for the same seed."""

import numpy as np
import pytest

from movierank_pipeline.evaluation import bootstrap
from movierank_pipeline.evaluation.bootstrap import Interval, bootstrap_interval


def test_users_who_agree_leave_no_doubt() -> None:
    assert bootstrap_interval(np.full(7, 0.25), seed=1) == Interval(0.25, 0.25, 0.25)


def test_one_user_leaves_no_doubt() -> None:
    assert bootstrap_interval(np.array([0.5]), seed=1) == Interval(0.5, 0.5, 0.5)


def test_no_users_have_no_mean() -> None:
    interval = bootstrap_interval(np.array([np.nan]), seed=1)
    assert np.isnan([interval.mean, interval.low, interval.high]).all()


def test_users_without_a_value_are_left_out() -> None:
    values = np.random.default_rng(0).random(40)
    assert bootstrap_interval(np.concatenate([values, [np.nan]]), seed=1) == bootstrap_interval(
        values, seed=1
    )


def test_the_interval_is_that_of_the_normal_approximation_for_many_users() -> None:
    values = np.random.default_rng(0).exponential(size=4000)
    interval = bootstrap_interval(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_nine_of_ten_intervals_at_ninety_percent_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    intervals = [bootstrap_interval(rng.random(50), seed, 500, level=0.9) for seed in range(300)]
    assert 0.85 < np.mean([interval.low <= 0.5 <= interval.high for interval in intervals]) < 0.95


def test_a_seed_decides_the_interval() -> None:
    values = np.random.default_rng(0).random(30)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values.copy(), seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_paired_differences_see_what_separate_intervals_miss() -> None:
    rng = np.random.default_rng(3)
    of_user = rng.random(200)
    better = of_user + 0.01 + rng.normal(0, 0.01, 200)
    assert bootstrap_interval(better, seed=1).low < bootstrap_interval(of_user, seed=1).high
    assert bootstrap_interval(better - of_user, seed=1).low > 0


def test_chunks_give_the_same_kind_of_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random(100)
    whole = bootstrap_interval(values, seed=1)
    monkeypatch.setattr(bootstrap, "_CHUNK", 33_000)
    chunked = bootstrap_interval(values, seed=1)
    # numpy draws one resample after the other, so that the chunks do not show.
    assert (chunked.mean, chunked.low, chunked.high) == pytest.approx((whole.mean, whole.low, whole.high))
