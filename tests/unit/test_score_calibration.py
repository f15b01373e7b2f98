"""Scores become probabilities that mean something, in the same order."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_core.ranker.score_calibration import (
    MIN_SLOPE,
    ScoreCalibration,
    fit_score_calibration,
    margins_of,
)
from movierank_pipeline.evaluation.reliability import expected_calibration_error, reliability_table

PRIOR = ScoreCalibration(MIN_SLOPE, 0.0, 1.0)


def simulated(
    n: int, slope: float, intercept: float, user_slope: float, seed: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    raw, share = rng.normal(2.0, 3.0, n), rng.uniform(0.1, 0.9, n)
    value = slope * raw + intercept + user_slope * np.log(share / (1 - share))
    return raw, share, rng.random(n) < 1 / (1 + np.exp(-value))


def test_probability_is_the_sigmoid_of_score_and_leniency() -> None:
    calibration = ScoreCalibration(slope=2.0, intercept=-1.0, user_slope=0.5)
    expected = 1 / (1 + np.exp(-np.array([-1.0, 1.0]) - 0.5 * np.log(3)))
    np.testing.assert_allclose(calibration.probabilities(np.array([0.0, 1.0]), 0.75), expected, rtol=1e-14)


def test_the_fit_finds_the_parameters_that_made_the_data() -> None:
    found = fit_score_calibration(*simulated(200_000, slope=0.4, intercept=-1.2, user_slope=0.8))
    assert found.slope == pytest.approx(0.4, abs=0.01)
    assert found.intercept == pytest.approx(-1.2, abs=0.05)
    assert found.user_slope == pytest.approx(0.8, abs=0.03)


def test_fitted_probabilities_are_calibrated_on_fresh_data() -> None:
    calibration = fit_score_calibration(*simulated(20_000, 0.4, -1.2, 0.8, seed=1))
    raw, share, liked = simulated(20_000, 0.4, -1.2, 0.8, seed=2)
    assert expected_calibration_error(calibration.probabilities(raw, share), liked) < 0.015


def test_the_fit_does_not_depend_on_the_scale_or_origin_of_raw_scores() -> None:
    raw, share, liked = simulated(2000, 0.4, -1.2, 0.8)
    one = fit_score_calibration(raw, share, liked)
    other = fit_score_calibration(7 * raw + 100, share, liked)
    np.testing.assert_allclose(
        other.probabilities(7 * raw + 100, share), one.probabilities(raw, share), rtol=1e-9
    )


def test_a_weight_counts_like_repeated_rows() -> None:
    raw, share, liked = simulated(300, 0.4, -1.2, 0.8)
    times = np.random.default_rng(5).integers(0, 4, 300)
    weighted = fit_score_calibration(raw, share, liked, times)
    repeated = fit_score_calibration(np.repeat(raw, times), np.repeat(share, times), np.repeat(liked, times))
    np.testing.assert_allclose(
        msgspec.structs.astuple(weighted), msgspec.structs.astuple(repeated), rtol=1e-6
    )


def test_scores_that_mislead_get_the_least_slope() -> None:
    raw, share, liked = simulated(5000, -0.5, 0.0, 1.0)
    calibration = fit_score_calibration(raw, share, liked)
    assert calibration.slope == MIN_SLOPE
    assert calibration.probabilities(raw, share).mean() == pytest.approx(liked.mean(), abs=0.01)


def test_no_data_leaves_the_users_own_like_share() -> None:
    assert fit_score_calibration([], [], []) == PRIOR
    assert fit_score_calibration([1.0], [0.5], [True], [0.0]) == PRIOR
    assert PRIOR.probabilities([0.0], 0.3).tolist() == pytest.approx([0.3])


@pytest.mark.parametrize("liked", [True, False])
@pytest.mark.parametrize("raw", [np.zeros(50), np.linspace(-1, 1, 50)])
def test_one_kind_of_outcome_gives_a_finite_increasing_map(raw: np.ndarray, liked: bool) -> None:
    calibration = fit_score_calibration(raw, np.full(50, 0.5), np.full(50, liked))
    assert all(np.isfinite(value) for value in msgspec.structs.astuple(calibration))
    p = calibration.probabilities([-1.0, 0.0, 1.0], 0.5)
    assert (np.diff(p) > 0).all()
    assert (p[1] > 0.8) if liked else (p[1] < 0.2)


def test_perfect_separation_stays_finite() -> None:
    raw = np.concatenate([np.linspace(-1e6, -1e5, 500), np.linspace(1e5, 1e6, 500)])
    calibration = fit_score_calibration(raw, np.full(1000, 0.5), raw > 0)
    p = calibration.probabilities(raw, 0.5)
    assert np.isfinite(p).all()
    assert (np.diff(p) >= 0).all()


@pytest.mark.parametrize(
    ("raw", "share", "weights"),
    [([np.nan], [0.5], [1.0]), ([1.0], [np.inf], [1.0]), ([1.0], [0.5], [-1.0])],
)
def test_numbers_that_are_none_are_refused(
    raw: list[float], share: list[float], weights: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"^margins and like shares must be finite, weights at least 0$"):
        fit_score_calibration(raw, share, [True], weights)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 1), st.booleans()), min_size=0, max_size=30),
    shown=st.lists(st.integers(-2000, 2000), min_size=2, max_size=20, unique=True),
    like_share=st.floats(0, 1),
)
def test_order_is_that_of_the_raw_scores(
    rows: list[tuple[float, float, bool]], shown: list[int], like_share: float
) -> None:
    raw, share, liked = zip(*rows, strict=True) if rows else ((), (), ())
    calibration = fit_score_calibration(raw, share, liked)
    p = calibration.probabilities(np.sort(shown) / 100, like_share)
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= 0).all()
    between = p[(p > 1e-12) & (p < 1 - 1e-12)]
    assert (np.diff(between) > 0).all()


def test_scores_that_hardly_differ_get_no_steep_slope() -> None:
    raw = np.array([1.0, 1.0 + 1e-12] * 500)
    assert fit_score_calibration(raw, np.full(1000, 0.5), raw > 1.0).slope < 1000


def test_the_table_holds_the_means_of_its_bins() -> None:
    table = reliability_table([0.1, 0.2, 0.5, 1.0], [False, True, True, True], n_bins=2)
    assert table.rows() == [
        (0.0, 0.5, 2, pytest.approx(0.15), 0.5),
        (0.5, 1.0, 2, 0.75, 1.0),
    ]


def test_the_calibration_error_is_the_weighted_gap() -> None:
    # Two bins of two: gaps 0.35 and 0.25.
    assert expected_calibration_error([0.1, 0.2, 0.5, 1.0], [0, 1, 1, 1], 2) == pytest.approx(0.30)


def test_the_calibration_error_of_nothing_is_unknown() -> None:
    assert np.isnan(expected_calibration_error([], []))
    assert reliability_table([], []).is_empty()


def test_probabilities_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^probabilities must lie in \[0, 1\]$"):
        reliability_table([1.1], [True])


def test_a_margin_is_relative_to_the_mean_of_the_fused_candidates() -> None:
    raw = np.array([2.0, 0.5, -1.0, 3.0])
    expected = raw - np.log(np.exp(raw[:3]).mean())
    np.testing.assert_allclose(margins_of(raw, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(margins_of(raw + 7.0, 3), expected, rtol=1e-12)
    # A movie that is scored beside them changes no other margin.
    assert margins_of(raw[:3], 3).tolist() == margins_of(raw, 3)[:3].tolist()
    assert margins_of(raw, 0).tolist() == raw.tolist()
