"""The gate on answers with planted qualities: what it lets serve, what it refuses, and what it says."""

import math
from typing import Any

import msgspec
import pytest

from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.promotion.bundle_checks import BundleFacts
from movierank_pipeline.promotion.gate import GateError, Verdict, judge, require_better_than_popularity
from movierank_pipeline.promotion.incumbent import Incumbent
from tests.support.planted import incumbent_with, planted, report_on
from tests.support.simulated import SimulatedRatings

BUNDLE = BundleFacts(scorer_difference=0.0, megabytes=12.0, latency_ms=4.0, data_hash="abc")


def failed(verdict: Verdict) -> list[str]:
    return [check.rule for check in verdict.checks if check.passed is False]


def judged(
    simulated: SimulatedRatings, production: Any = None, bundle: BundleFacts = BUNDLE, **answers: Any
) -> Verdict:
    asked = planted(**answers)
    incumbent = None if production is None else incumbent_with(asked, production)
    return judge(report_on(simulated, asked), incumbent, bundle)


def test_a_better_model_passes_and_every_number_is_kept(simulated: SimulatedRatings) -> None:
    verdict = judged(simulated, ranker=0.45, production=0.4)
    assert (verdict.outcome, verdict.may_serve, failed(verdict)) == ("passed", True, [])
    tags = verdict.tags()
    assert tags["gate.verdict"] == "passed"
    assert float(tags["gate.difference_to_production_low"]) > 0
    assert float(tags["gate.difference_to_best_source_low"]) > 0
    assert float(tags["gate.difference_to_recent_popularity_low"]) > 0
    assert tags["gate.production_version"] == "1"
    assert tags["gate.history_100_or_more_users"] == "60"
    assert float(tags["gate.history_0_to_production"]) > 0
    assert float(tags["gate.expected_calibration_error"]) < 0.05
    assert (tags["gate.scorer_difference"], tags["gate.latency_ms"]) == ("0", "4")
    assert "against the best source, ease_likes." in verdict.reason
    table = verdict.markdown().splitlines()
    assert table[0].startswith("**Passed.** ndcg@10 0.")
    assert len(table) == 4 + len(verdict.checks)
    assert "| not below production (version 1) | +0." in table[4]


def test_the_same_model_passes(simulated: SimulatedRatings) -> None:
    """A retraining that changes nothing is no step back."""
    verdict = judged(simulated, ranker=0.45, production=0.45)
    assert verdict.outcome == "passed"
    assert verdict.figures["difference_to_production"] == 0


def test_a_worse_model_is_refused(simulated: SimulatedRatings) -> None:
    verdict = judged(simulated, ranker=0.42, production=0.45)
    assert (verdict.outcome, verdict.may_serve) == ("refused", False)
    assert "not below production (version 1)" in failed(verdict)
    assert verdict.reason.startswith("Not met: not below production (version 1): -0.0")
    assert verdict.tags()["gate.verdict"] == "refused"


@pytest.mark.parametrize(("share", "outcome"), [(-0.011, "passed"), (-0.014, "refused"), (0.05, "passed")])
def test_a_loss_within_chance_passes_and_one_beyond_it_does_not(
    simulated: SimulatedRatings, share: float, outcome: str
) -> None:
    """At a standard error of 1 %, the least difference that passes is -1.28 %."""
    asked = planted(0.45)
    incumbent = msgspec.structs.replace(incumbent_with(asked, 0.45), difference=difference_of(share, 0.01))
    assert judge(report_on(simulated, asked), incumbent, BUNDLE).outcome == outcome


def test_with_too_few_users_to_tell_the_mean_must_not_be_below(simulated: SimulatedRatings) -> None:
    asked = planted(0.45)
    report = report_on(simulated, asked)
    for share, outcome in ((0.001, "passed"), (-0.001, "refused")):
        incumbent = msgspec.structs.replace(
            incumbent_with(asked, 0.45), difference=difference_of(share, 0.03)
        )
        verdict = judge(report, incumbent, BUNDLE)
        assert verdict.outcome == outcome
        assert "too few users (300) to see a loss of 5%" in verdict.markdown()
    few = msgspec.structs.replace(report, n_users=3)
    incumbent = msgspec.structs.replace(incumbent_with(asked, 0.45), difference=difference_of(-0.001, 0.001))
    assert judge(few, incumbent, BUNDLE).outcome == "refused"


def test_a_version_below_the_anchor_is_refused_though_it_is_not_below_production(
    simulated: SimulatedRatings,
) -> None:
    asked = planted(0.45)
    same = incumbent_with(asked, 0.45)
    anchor = msgspec.structs.replace(
        same, number=7, alias="anchor", difference=difference_of(-0.04, 0.01), slices={}
    )
    verdict = judge(report_on(simulated, asked), same, BUNDLE, anchor=anchor)
    assert failed(verdict) == ["not below anchor (version 7)"]


def test_a_slice_that_is_lower_by_chance_is_no_reason_to_refuse(simulated: SimulatedRatings) -> None:
    """The interval of the slice holds 0."""
    asked = planted(0.45)
    incumbent = incumbent_with(asked, 0.45)
    slices = {**incumbent.slices, "5-19": difference_of(-0.06, 0.04)}
    incumbent = msgspec.structs.replace(incumbent, slices=slices)
    assert judge(report_on(simulated, asked), incumbent, BUNDLE).outcome == "passed"
    slices["5-19"] = difference_of(-0.06, 0.02)
    incumbent = msgspec.structs.replace(incumbent, slices=slices)
    assert failed(judge(report_on(simulated, asked), incumbent, BUNDLE)) == [
        "history of 5-19, against version 1"
    ]


def difference_of(share: float, error: float, mean: float = 0.45) -> Difference:
    """A relative difference with a relative standard error, on a version with this mean."""
    low, high = ((share + sign * 1.959964 * error) * mean for sign in (-1, 1))
    return Difference(share * mean, low, high, share, low / mean)


def test_a_model_better_on_average_but_much_worse_for_newcomers_is_refused(
    simulated: SimulatedRatings,
) -> None:
    verdict = judged(simulated, ranker=(0.6, 0.3, 0.6, 0.6, 0.6), source=0.2, popular=0.15, production=0.4)
    assert verdict.figures["difference_to_production_low"] > 0
    assert failed(verdict) == ["history of 1-4, against version 1"]
    assert verdict.outcome == "refused"
    assert "not significantly lower (level 1.0%)" in verdict.reason


def test_newcomers_without_a_production_are_compared_with_the_best_source(
    simulated: SimulatedRatings,
) -> None:
    verdict = judged(simulated, ranker=(0.6, 0.3, 0.6, 0.6, 0.6), source=0.4)
    assert failed(verdict) == ["history of 1-4, against ease_likes"]
    assert verdict.outcome == "refused"  # Even for the first version: this is no want of certainty.


def test_without_a_history_the_first_version_is_compared_with_recent_popularity(
    simulated: SimulatedRatings,
) -> None:
    """Personal sources know nothing there, so that to be above them says nothing."""
    verdict = judged(simulated, ranker=(0.15, 0.6, 0.6, 0.6, 0.6), source=(0, 0.4, 0.4, 0.4, 0.4))
    assert failed(verdict) == ["history of 0, against popularity_365d"]
    verdict = judged(simulated, ranker=(0.2, 0.6, 0.6, 0.6, 0.6), source=(0, 0.4, 0.4, 0.4, 0.4))
    assert verdict.outcome == "passed"


def test_a_slice_of_few_people_is_shown_but_not_judged(simulated: SimulatedRatings) -> None:
    verdict = judged(simulated, ranker=(0.6, 0.3, 0.6, 0.6, 0.6), source=0.4, users_per_slice=29)
    checks = {check.rule: check for check in verdict.checks}
    assert checks["history of 1-4, against ease_likes"].passed is None
    assert verdict.outcome == "passed"
    assert "29 users | not significantly lower (level 5.0%) (applies from 30 users)" in verdict.markdown()


def test_a_miscalibrated_model_is_refused(simulated: SimulatedRatings) -> None:
    verdict = judged(simulated, ranker=0.45, production=0.4, is_calibrated=False)
    assert verdict.figures["expected_calibration_error"] > 0.1
    assert failed(verdict) == ["scores are probabilities"]
    assert verdict.outcome == "refused"


def test_a_model_without_predictions_to_check_is_refused(simulated: SimulatedRatings) -> None:
    report = msgspec.structs.replace(report_on(simulated, planted(0.45)), expected_calibration_error=math.nan)
    assert failed(judge(report, None, BUNDLE)) == ["scores are probabilities"]


def test_a_model_below_its_best_source_is_refused_even_as_the_first(simulated: SimulatedRatings) -> None:
    for production in (None, 0.2):
        verdict = judged(simulated, ranker=0.28, source=0.3, production=production)
        assert verdict.outcome == "refused"
        assert "above the best single source (ease_likes)" in failed(verdict)


def test_a_model_below_recent_popularity_is_refused(simulated: SimulatedRatings) -> None:
    verdict = judged(simulated, ranker=0.28, source=0.1, popular=0.3)
    assert verdict.outcome == "refused"
    assert "above recent popularity (popularity_365d)" in failed(verdict)


def test_a_first_version_that_is_better_but_not_beyond_doubt_is_provisional(
    simulated: SimulatedRatings,
) -> None:
    unproven = {"ranker": 0.305, "source": 0.3, "noise": 0.9, "users_per_slice": 20}
    verdict = judged(simulated, **unproven)
    assert verdict.figures["difference_to_best_source"] > 0 > verdict.figures["difference_to_best_source_low"]
    assert (verdict.outcome, verdict.may_serve) == ("provisional", True)
    assert failed(verdict) == ["above the best single source (ease_likes)"]
    assert (
        "the mean is better, but not significantly. It serves because no other version does" in verdict.reason
    )
    # A later one has to prove itself.
    assert judged(simulated, production=0.2, **unproven).outcome == "refused"


def test_a_production_that_this_code_cannot_use_is_no_rival(simulated: SimulatedRatings) -> None:
    report = report_on(simulated, planted(0.45))
    incumbent = Incumbent(number=3, problem="It uses features that this code does not compute.")
    verdict = judge(report, incumbent, BUNDLE)
    assert (verdict.outcome, verdict.may_serve) == ("passed", True)
    assert verdict.reason.endswith(
        ". Version 3, production, is no rival: It uses features that this code does not compute."
    )
    assert judge(report_on(simulated, planted(0.28)), incumbent, BUNDLE).outcome == "refused"


@pytest.mark.parametrize(
    ("bundle", "rule"),
    [
        ({"scorer_difference": 2e-9}, "raw scores equal LightGBM's"),
        ({"scorer_difference": math.nan}, "raw scores equal LightGBM's"),
        ({"megabytes": 1001.0}, "size"),
        ({"latency_ms": 51.0}, "latency"),
        ({"problem": "Golden request 1 gives others."}, "the bundle can be served"),
    ],
)
def test_a_bundle_that_is_wrong_large_or_slow_is_refused(
    simulated: SimulatedRatings, bundle: dict[str, Any], rule: str
) -> None:
    verdict = judged(simulated, ranker=0.45, bundle=msgspec.structs.replace(BUNDLE, **bundle))
    assert failed(verdict) == [rule]
    assert verdict.outcome == "refused"


def test_every_reason_to_refuse_is_named(simulated: SimulatedRatings) -> None:
    slow = msgspec.structs.replace(BUNDLE, latency_ms=80.0)
    verdict = judged(simulated, ranker=0.28, source=0.3, bundle=slow, is_calibrated=False)
    assert {"above the best single source (ease_likes)", "scores are probabilities", "latency"} <= set(
        failed(verdict)
    )
    for rule in failed(verdict):
        assert f"{rule}: " in verdict.reason


def with_ranker_at(report: Report, mean: float) -> Report:
    systems = {**report.systems, "movierank": {"ndcg@10": Interval(mean, mean, mean)}}
    systems["popularity"] = {"ndcg@10": Interval(0.1, 0.1, 0.1)}
    return msgspec.structs.replace(report, systems=systems)


@pytest.mark.parametrize("ranker", [0.10, 0.05, math.nan])
def test_a_ranker_not_above_popularity_must_not_be_registered(
    simulated: SimulatedRatings, ranker: float
) -> None:
    with pytest.raises(GateError) as refused:
        require_better_than_popularity(with_ranker_at(report_on(simulated, planted(0.4)), ranker))
    assert str(refused.value) == (
        f"The ranker's ndcg@10 is {ranker:.4f}, that of popularity 0.1000. Expected: a ranker above"
        " popularity. Remedy: look at the evaluation in the Dagster UI; more data or other model settings"
        " may help."
    )


def test_a_ranker_above_popularity_may_be_registered(simulated: SimulatedRatings) -> None:
    require_better_than_popularity(with_ranker_at(report_on(simulated, planted(0.4)), 0.11))
