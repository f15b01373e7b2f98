"""The rule of not being worse: its operating characteristics, by simulation of users."""

import numpy as np
import pytest

from movierank_core.config import GateLimits
from movierank_pipeline.evaluation.bootstrap import Difference
from movierank_pipeline.promotion.not_worse import (
    largest_error,
    least_difference,
    pass_probability,
    relative_error,
    standard_error,
)

LIMITS = GateLimits()


def simulated_pass_rate(true_difference: float, n_users: int, spread: float) -> float:
    """Share of 2,000 exams that a version passes; `spread` is the deviation between users, relative."""
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(2000):
        differences = rng.normal(true_difference, spread, n_users)
        error = float(differences.std(ddof=1) / np.sqrt(n_users))
        passed += float(differences.mean()) >= least_difference(error, n_users, LIMITS)
    return passed / 2000


@pytest.mark.parametrize("n_users", [200, 500, 5000])
def test_an_equally_good_version_passes_and_a_worse_one_does_not(n_users: int) -> None:
    assert simulated_pass_rate(0.0, n_users, 0.25) >= 0.79  # 0.80, and what 2,000 draws add.
    assert simulated_pass_rate(-0.05, n_users, 0.25) <= 0.06


def test_too_few_users_prefer_the_fresher_version_only_if_nothing_suggests_harm() -> None:
    assert largest_error(0.05) == pytest.approx(0.0201, abs=1e-4)
    assert least_difference(0.021, 5000, LIMITS) == 0.0
    assert least_difference(0.001, 29, LIMITS) == 0.0
    assert least_difference(0.001, 30, LIMITS) == pytest.approx(-0.00128, abs=1e-5)


def test_the_stated_probabilities_are_those_of_the_simulation() -> None:
    for true_difference in (-0.05, -0.01, 0.0, 0.02):
        stated = pass_probability(true_difference, 0.25 / np.sqrt(500), 500, LIMITS)
        assert simulated_pass_rate(true_difference, 500, 0.25) == pytest.approx(stated, abs=0.03)


def test_the_relative_error_follows_from_the_interval() -> None:
    difference = Difference(0.02, 0.02 - 1.959964 * 0.01, 0.02 + 1.959964 * 0.01, 0.1, 0.002)
    assert standard_error(difference) == pytest.approx(0.01)
    assert relative_error(difference) == pytest.approx(0.05)
    assert relative_error(Difference(0.0, 0.0, 0.0, 0.0, 0.0)) == 0.0
    assert relative_error(Difference(0.0, -0.0196, 0.0196, 0.0, -0.196)) == pytest.approx(0.1, rel=1e-3)
    assert np.isnan(relative_error(Difference(0.0, 0.0, 0.0, float("nan"), float("nan"))))
