"""One way to print a mean with its interval."""

import math

import pytest

from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.interval_text import interval_text


def test_the_mean_comes_with_its_bounds() -> None:
    assert interval_text(Interval(0.12345, 0.1, 0.15)) == "0.1235 [0.1000, 0.1500]"
    assert interval_text(Difference(0.01, -0.02, 0.04, 0.1, -0.2), signed=True, digits=3) == (
        "+0.010 [-0.020, +0.040]"
    )
    assert interval_text({"mean": 0.5, "low": 0.4, "high": 0.6}, digits=1, layout="{low}<{mean}<{high}") == (
        "0.4<0.5<0.6"
    )


@pytest.mark.parametrize("bound", [0.5, None])
def test_the_mean_stands_alone_without_bounds_of_its_own(bound: float | None) -> None:
    assert interval_text({"mean": 0.5, "low": bound, "high": bound}) == "0.5000"


@pytest.mark.parametrize(
    "unknown",
    [None, Interval(math.nan, math.nan, math.nan), {"mean": None, "low": None, "high": None}],
)
def test_an_unknown_mean_is_a_dash(unknown: Interval | None) -> None:
    assert interval_text(unknown) == "–"
