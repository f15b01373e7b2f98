"""The gate: whether a version may serve, and why (not).

Rules alone: everything is measured elsewhere, by the evaluation, `rival` and `bundle_facts`.
"""

import math
from typing import Final

import msgspec

from movierank_core.config import GateLimits
from movierank_core.errors import MovierankError
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.evaluation.evaluate import EvaluationReport
from movierank_pipeline.promotion.bundle_checks import BundleFacts
from movierank_pipeline.promotion.incumbent import Rival
from movierank_pipeline.release.registry import GATE_REASON_TAG, GATE_VERDICT_TAG, PROVISIONAL, REFUSED

POPULARITY: Final = "popularity"

PASSED: Final = "passed"
UNDECIDED: Final = "undecided"
"""All is well, but production could not be judged beside it: a person decides."""


class GateError(MovierankError):
    """A model that must not even be registered."""


class Check(msgspec.Struct, frozen=True):
    """One rule, applied."""

    rule: str
    measured: str
    needed: str
    passed: bool | None
    """None where nothing was judged."""
    may_be_unproven: bool = False
    """It failed, but only for want of certainty."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says of one version."""

    outcome: str
    """`passed`, `provisional`, `undecided` or `refused`."""
    reason: str
    checks: list[Check]
    figures: dict[str, float]
    """Every number, those that are not known left out."""

    @property
    def may_serve(self) -> bool:
        return self.outcome in (PASSED, PROVISIONAL)

    def tags(self) -> dict[str, str]:
        """For the registered version."""
        return {
            GATE_VERDICT_TAG: self.outcome,
            GATE_REASON_TAG: self.reason,
            **{f"gate.{name}": f"{value:.6g}" for name, value in self.figures.items()},
        }

    def markdown(self) -> str:
        """The verdict and a table of the checks."""
        words = {True: "passed", False: "**failed**", None: "not judged"}
        rows = [
            f"| {check.rule} | {check.measured.replace('|', '/')} | {check.needed} | {words[check.passed]} |"
            for check in self.checks
        ]
        return "\n".join(
            [
                f"**{self.outcome.capitalize()}.** {self.reason}",
                "",
                "| rule | measured | needed | |",
                "|---|---|---|---|",
                *rows,
            ]
        )


def require_better_than_popularity(report: EvaluationReport) -> None:
    """Raises GateError unless the ranker orders better than overall popularity does."""
    ours, theirs = report.systems[MAIN][HEADLINE].mean, report.systems[POPULARITY][HEADLINE].mean
    if not ours > theirs:
        raise GateError(
            f"The ranker's {HEADLINE} is {ours:.4f}, that of {POPULARITY} {theirs:.4f}",
            expected=f"a ranker above {POPULARITY}",
            remedy="look at the evaluation in the Dagster UI; more data or other model settings may help",
        )


def judge(
    report: EvaluationReport, rival: Rival | None, bundle: BundleFacts, limits: GateLimits | None = None
) -> Verdict:
    """The verdict on the version with this `report` and `bundle`.

    `rival` is the version in production (of the version in production, the one before it), None where there
    is no other: then a version that is better by
    its mean than recent popularity and its best source, but not beyond doubt, is `provisional` instead of
    refused, so that something serves. Where the rival could not be judged on the same requests, nothing
    is better than `undecided`.
    """
    limits = limits or GateLimits()
    checks = [
        *([] if rival is None else [_not_below_production(rival, limits)]),
        _above(report, report.recent_popularity, "recent popularity"),
        _above(report, report.best_source, "the best single source"),
        *_slices(report, rival, limits),
        _calibration(report, limits),
        *_bundle(bundle, limits),
    ]
    outcome = _outcome(checks, rival)
    return Verdict(
        outcome=outcome,
        reason=_reason(outcome, checks, report, rival),
        checks=checks,
        figures=_figures(report, rival, bundle),
    )


def _outcome(checks: list[Check], rival: Rival | None) -> str:
    failed = [check for check in checks if check.passed is False]
    if not failed:
        return UNDECIDED if rival is not None and rival.problem else PASSED
    if rival is None and all(check.may_be_unproven for check in failed):
        return PROVISIONAL
    return REFUSED


def _not_below_production(rival: Rival, limits: GateLimits) -> Check:
    rule = f"not below {rival.alias} (version {rival.number})"
    needed = f"lower bound above {-limits.production_margin:.1%} of its mean"
    if rival.difference is None or rival.ndcg is None:
        return Check(rule, rival.problem, needed, None)
    difference = rival.difference
    # A production that finds nothing has no mean to take a share of.
    bound = difference.relative_low if not math.isnan(difference.relative_low) else difference.low
    return Check(
        rule,
        f"{_text(difference)} on {rival.ndcg.mean:.4f}: lower bound {bound:+.1%}",
        needed,
        bound > -limits.production_margin,
    )


def _above(report: EvaluationReport, system: str, meaning: str) -> Check:
    difference = report.differences[system]
    return Check(
        f"above {meaning} ({system})",
        f"{_text(difference)} on {report.systems[system][HEADLINE].mean:.4f}",
        "lower bound above 0",
        difference.low > 0,
        may_be_unproven=difference.mean > 0,
    )


def _slices(report: EvaluationReport, rival: Rival | None, limits: GateLimits) -> list[Check]:
    """Against production; else against the best source, and without a history against what is popular."""
    checks = []
    for label, part in report.slices.items():
        if rival is not None and label in rival.slices:
            other, difference = f"version {rival.number}", rival.slices[label]
        else:
            other = report.recent_popularity if label == "0" else report.best_source
            difference = part.differences[other]
        share = difference.relative
        is_judged = part.n_users >= limits.min_slice_users
        # Without a share the other finds nothing there, and a loss is impossible.
        is_kept = share >= -limits.slice_drop if not math.isnan(share) else difference.mean >= 0
        shown = "" if math.isnan(share) else f", {share:+.1%}"
        checks.append(
            Check(
                f"history of {label}, against {other}",
                f"{_text(difference)}{shown}, {part.n_users} users",
                f"down by {limits.slice_drop:.0%} at the most"
                + ("" if is_judged else f" (judged from {limits.min_slice_users} users on)"),
                is_kept if is_judged else None,
            )
        )
    return checks


def _calibration(report: EvaluationReport, limits: GateLimits) -> Check:
    error = report.expected_calibration_error
    return Check(
        "scores are probabilities",
        f"expected calibration error {error:.4f}",
        f"at most {limits.calibration_error:g}",
        error <= limits.calibration_error,
    )


def _bundle(bundle: BundleFacts, limits: GateLimits) -> list[Check]:
    if bundle.problem:
        return [Check("the bundle can be served", bundle.problem, "a bundle that answers as it did", False)]
    return [
        Check(
            "our trees are LightGBM's",
            f"golden requests differ by {bundle.scorer_difference:.1e}",
            f"at most {limits.scorer_difference:.0e}",
            bundle.scorer_difference <= limits.scorer_difference,
        ),
        Check(
            "size",
            f"{bundle.megabytes:.1f} MB",
            f"at most {limits.megabytes:g} MB",
            bundle.megabytes <= limits.megabytes,
        ),
        Check(
            "latency",
            f"median of the golden requests {bundle.latency_ms:.1f} ms",
            f"at most {limits.latency_ms:g} ms",
            bundle.latency_ms <= limits.latency_ms,
        ),
    ]


def _reason(outcome: str, checks: list[Check], report: EvaluationReport, rival: Rival | None) -> str:
    failed = [
        f"{check.rule}: {check.measured}, needed {check.needed}" for check in checks if check.passed is False
    ]
    against = (
        ""
        if rival is None or rival.difference is None
        else f"{_text(rival.difference)} against {rival.alias}, "
    )
    lead = (
        f"{HEADLINE} {report.systems[MAIN][HEADLINE].mean:.4f}, {against}"
        f"{_text(report.differences[report.recent_popularity])} against recent popularity,"
        f" {_text(report.differences[report.best_source])} against the best source, {report.best_source}"
    )
    if outcome == PASSED:
        return f"{lead}."
    if outcome == PROVISIONAL:
        return (
            f"{lead}: better on average, not beyond doubt. It serves because no version did; a later one has"
            " to prove itself."
        )
    if outcome == UNDECIDED and rival is not None:
        return (
            f"{lead}; but version {rival.number}, {rival.alias}, could not be judged on the same requests:"
            f" {rival.problem} A person decides."
        )
    return f"Not met: {'; '.join(failed)}."


def _figures(report: EvaluationReport, rival: Rival | None, bundle: BundleFacts) -> dict[str, float]:
    """Under names that MLflow takes for tags."""
    figures = {"ndcg_at_10": report.systems[MAIN][HEADLINE].mean}
    for name, system in (
        ("popularity", POPULARITY),
        ("recent_popularity", report.recent_popularity),
        ("best_source", report.best_source),
    ):
        figures[f"ndcg_at_10_{name}"] = report.systems[system][HEADLINE].mean
        figures |= _bounds(f"difference_to_{name}", report.differences[system])
    if rival is not None:
        figures["production_version"] = rival.number
        if rival.ndcg is not None and rival.difference is not None:
            figures["ndcg_at_10_production"] = rival.ndcg.mean
            figures |= _bounds("difference_to_production", rival.difference)
            figures["relative_difference_to_production"] = rival.difference.relative
            figures["relative_difference_to_production_low"] = rival.difference.relative_low
    for label, part in report.slices.items():
        name = f"history_{label.replace('+', '_or_more')}"
        figures[f"{name}_users"] = part.n_users
        figures[f"{name}_to_best_source"] = part.differences[report.best_source].relative
        if rival is not None and label in rival.slices:
            figures[f"{name}_to_production"] = rival.slices[label].relative
    figures["expected_calibration_error"] = report.expected_calibration_error
    figures["scorer_difference"] = bundle.scorer_difference
    figures["bundle_megabytes"] = bundle.megabytes
    figures["latency_ms"] = bundle.latency_ms
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _bounds(name: str, difference: Difference) -> dict[str, float]:
    return {name: difference.mean, f"{name}_low": difference.low, f"{name}_high": difference.high}


def _text(interval: Interval) -> str:
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"
