"""The ranker against the best source of each slice, corrected for the number of slices."""

import numpy as np
import pytest

from movierank_pipeline.evaluation.bootstrap import Difference
from movierank_pipeline.evaluation.measures.slices import slice_verdict, with_leads
from movierank_pipeline.evaluation.report import Slice
from tests.support.planted import planted, report_on
from tests.support.simulated import SimulatedRatings


def part(n_users: int, mean: float, p_value: float) -> Slice:
    lead = Difference(mean, mean - 0.1, mean + 0.1, 0.1, 0.0, p_value)
    other = Difference(-1.0, -1.0, -1.0, -1.0, -1.0, 0.001)
    return Slice(
        n_requests=n_users, n_users=n_users, systems={}, best_source="als",
        differences={"ndcg@10": {"als": lead, "content": other}},
    )  # fmt: skip


def test_p_values_are_corrected_for_the_slices_that_are_large_enough() -> None:
    slices = with_leads({"0": part(19, -0.1, 0.001), "1-4": part(20, -0.1, 0.02), "5-19": part(50, 0.1, 0.3)})
    assert slices["0"].leads == {}
    assert slices["1-4"].leads["ndcg@10"].p_holm == pytest.approx(0.04)
    assert slices["5-19"].leads["ndcg@10"].p_holm == pytest.approx(0.3)
    assert slice_verdict(slices, "ndcg@10") == (
        "The ranker is significantly below the best source in the slices 1-4"
        " (2 slices of at least 20 users, Holm's correction)."
    )


def test_a_slice_that_is_below_only_before_the_correction_is_not_named() -> None:
    slices = with_leads(
        {"1-4": part(20, -0.1, 0.03), "5-19": part(50, 0.2, 0.01), "20-99": part(50, 0.1, 0.3)}
    )
    assert slice_verdict(slices, "ndcg@10").startswith("In no slice is the ranker significantly below")
    # Significantly above is not below.
    assert slices["5-19"].leads["ndcg@10"].p_holm == pytest.approx(0.03)
    assert slice_verdict({"0": part(5, -1.0, 0.001)}, "ndcg@10") == "No slice has 20 users or more."


def test_a_report_compares_each_slice_with_its_own_best_source(simulated: SimulatedRatings) -> None:
    quality = [0.5, 0.5, 0.5, 0.5, 0.1]  # Of the ranker; the last slice is far below the source.
    report = report_on(simulated, planted(quality, 0.3, [0.2, 0.2, 0.4, 0.2, 0.2]))
    assert [each.best_source for each in report.slices.values()] == [
        *("ease_likes", "ease_likes", "popularity_365d", "ease_likes", "ease_likes")
    ]
    for label, each in report.slices.items():
        lead = each.leads["ndcg@10"]
        systems = each.systems
        expected = systems["movierank"]["ndcg@10"].mean - systems[each.best_source]["ndcg@10"].mean
        assert lead.mean == pytest.approx(expected)
        assert (lead.mean < 0) == (label == "100+")
    assert report.slice_verdict == (
        "The ranker is significantly below the best source in the slices 100+"
        " (5 slices of at least 20 users, Holm's correction)."
    )
    assert np.isfinite([each.leads["recall@100"].p_holm for each in report.slices.values()]).all()
