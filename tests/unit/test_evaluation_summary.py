"""A bundle keeps the evaluation's figures as they are, and leaves out those that nobody has."""

import math

import msgspec

from movierank_core.manifest import Estimate, Manifest, ReliabilityBin
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.report import Report
from tests.support.service import FakeRecommender

NOBODY = Interval(math.nan, math.nan, math.nan)


def report(**changes: object) -> Report:
    whole = Report(
        protocol="temporal",
        split_time="2015-01-01T00:00:00+00:00",
        n_requests=30,
        n_users=10,
        n_movies=100,
        unknown_like_share=0.1,
        best_source="ease",
        systems={
            "movierank": {
                "ndcg@10": Interval(0.2, 0.1, 0.3),
                "mrr": Interval(0.4, 0.3, 0.5),
                "coverage@10": Interval(0.03, 0.03, 0.03),
            },
            "ease": {"ndcg@10": Interval(0.15, 0.1, 0.2), "recall@100": NOBODY},
            "random": {"ndcg@10": NOBODY},
        },
        differences={},
        slices={},
        calibration=[{"p_low": 0.3, "p_high": 0.4, "n": 12, "mean_p": 0.35, "observed": 0.25}],
        expected_calibration_error=0.1,
    )
    return msgspec.structs.replace(whole, **changes)  # type: ignore[arg-type]  # Fields of the report.


def test_every_system_keeps_its_figures_with_their_intervals() -> None:
    summary = report().summary()
    assert summary.systems == {
        "movierank": {"ndcg@10": Estimate(0.2, 0.1, 0.3)},
        "ease": {"ndcg@10": Estimate(0.15, 0.1, 0.2)},
    }
    assert summary.reliability == [ReliabilityBin(n=12, predicted=0.35, observed=0.25)]
    assert (summary.n_requests, summary.n_users, summary.expected_calibration_error) == (30, 10, 0.1)


def test_what_nobody_has_is_absent_and_can_be_written_and_read() -> None:
    summary = report(expected_calibration_error=math.nan, calibration=[]).summary()
    assert (summary.expected_calibration_error, summary.reliability) == (None, [])
    manifest = msgspec.structs.replace(FakeRecommender().manifest, evaluation=summary)
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest


def test_a_manifest_of_before_evaluations_were_kept_is_read() -> None:
    content = msgspec.to_builtins(FakeRecommender().manifest)
    del content["evaluation"]
    assert msgspec.convert(content, Manifest).evaluation is None
