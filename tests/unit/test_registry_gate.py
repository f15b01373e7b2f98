import math

import pytest

from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.evaluate import EvaluationReport
from movierank_pipeline.gate import GateError, judge, require_better_than_popularity


def report(ranker: float, ease: float, popularity: float) -> EvaluationReport:
    """A report in which only nDCG@10 matters."""

    def at(value: float) -> dict[str, Interval]:
        return {"ndcg@10": Interval(value, value - 0.01, value + 0.01)}

    systems = {"movierank": at(ranker), "ease": at(ease), "popularity": at(popularity)}
    return EvaluationReport(
        protocol="temporal",
        split_time="2020-01-01T00:00:00+00:00",
        n_requests=10,
        n_users=5,
        n_movies=20,
        unknown_like_share=0.1,
        systems={**systems, "fused": at(1.0), "random": at(1.0)},
        differences={
            name: Interval(ranker - value, ranker - value - 0.01, ranker - value + 0.01)
            for name, value in (("ease", ease), ("popularity", popularity))
        },
        slices={},
        calibration=[],
        expected_calibration_error=0.02,
    )


def test_a_ranker_above_popularity_and_its_best_source_passes() -> None:
    verdict = judge(report(0.20, 0.18, 0.10))
    assert verdict.passed
    assert verdict.reason == (
        "ndcg@10 0.2000 is above popularity (0.1000) and not below the best source, ease (0.1800)"
    )
    assert verdict.tags()["gate.verdict"] == "passed"
    assert verdict.tags()["gate.ndcg_at_10_best_source"] == "0.1800"
    assert verdict.tags()["gate.difference_low"] == "0.0100"


def test_a_ranker_as_good_as_its_best_source_passes() -> None:
    assert judge(report(0.18, 0.18, 0.10)).passed


def test_a_ranker_below_its_best_source_is_refused() -> None:
    verdict = judge(report(0.17, 0.18, 0.10))
    assert not verdict.passed
    assert verdict.reason == "ndcg@10 0.1700 is below the best source, ease, with 0.1800"
    assert verdict.tags()["gate.verdict"] == "refused"


def test_every_reason_to_refuse_is_named() -> None:
    assert judge(report(0.10, 0.18, 0.11)).reason == (
        "ndcg@10 0.1000 is not above popularity with 0.1100 and 0.1000 is below the best source, ease, with"
        " 0.1800"
    )


@pytest.mark.parametrize("ranker", [0.10, 0.05, math.nan])
def test_a_ranker_not_above_popularity_must_not_be_registered(ranker: float) -> None:
    with pytest.raises(GateError) as refused:
        require_better_than_popularity(report(ranker, 0.18, 0.10))
    assert str(refused.value) == (
        f"The ranker's ndcg@10 is {ranker:.4f}, that of popularity 0.1000. Expected: a ranker above"
        " popularity. Remedy: look at the evaluation in the Dagster UI; more data or other model settings"
        " may help."
    )


def test_a_ranker_above_popularity_may_be_registered() -> None:
    require_better_than_popularity(report(0.11, 0.18, 0.10))
