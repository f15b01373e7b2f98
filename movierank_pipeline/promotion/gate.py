"""The promotion gate: rules that decide whether a new version may serve.

This module only applies rules. The measurements come from the evaluation report, from `incumbent` (the
version in production on the same requests) and from `bundle_checks` (size, latency, equality with LightGBM).
"""

import math
from statistics import NormalDist
from typing import Final

import msgspec

from movierank_core.config import GateLimits
from movierank_core.errors import MovierankError
from movierank_pipeline.evaluation.bootstrap import Difference, Interval
from movierank_pipeline.evaluation.compare import HEADLINE, MAIN
from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.report import Report
from movierank_pipeline.promotion.bundle_checks import BundleFacts
from movierank_pipeline.promotion.incumbent import Incumbent
from movierank_pipeline.promotion.not_worse import least_difference, relative_error, standard_error
from movierank_pipeline.release.registry import GATE_REASON_TAG, GATE_VERDICT_TAG, PROVISIONAL, REFUSED

POPULARITY: Final = "popularity"

PASSED: Final = "passed"


class GateError(MovierankError):
    """The model fails the condition for registration: it does not beat overall popularity."""


class Check(msgspec.Struct, frozen=True):
    """The result of one rule."""

    rule: str
    measured: str
    needed: str
    passed: bool | None
    """None if the rule was not applied."""
    may_be_unproven: bool = False
    """The mean is on the right side, but its 95 % interval includes 0."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's decision on one version."""

    outcome: str
    """`passed`, `provisional` or `refused`."""
    reason: str
    checks: list[Check]
    figures: dict[str, float]
    """Every measured number by name; unknown numbers are left out."""

    @property
    def may_serve(self) -> bool:
        return self.outcome in (PASSED, PROVISIONAL)

    def tags(self) -> dict[str, str]:
        """The verdict as tags of the registered version."""
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


def require_better_than_popularity(report: Report) -> None:
    """Raises GateError unless the ranker's mean nDCG@10 is above that of overall popularity."""
    ours, theirs = report.systems[MAIN][HEADLINE].mean, report.systems[POPULARITY][HEADLINE].mean
    if not ours > theirs:
        raise GateError(
            f"The ranker's {HEADLINE} is {ours:.4f}, that of {POPULARITY} {theirs:.4f}",
            expected=f"a ranker above {POPULARITY}",
            remedy="look at the evaluation in the Dagster UI; more data or other model settings may help",
        )


def judge(
    report: Report,
    incumbent: Incumbent | None,
    bundle: BundleFacts,
    limits: GateLimits | None = None,
    *,
    anchor: Incumbent | None = None,
) -> Verdict:
    """Applies every rule to the version with this `report` and `bundle`.

    `incumbent` is the version in production; if the judged version is itself in production, the previous one.
    `anchor` is the best version that was in production lately, if that is a third one.
    An incumbent with a `problem` is no rival: a version that this code cannot read cannot serve either, so it
    does not hold the alias against one that works, and one of another data set answers other people. Without
    a rival, a version whose mean is above recent popularity and above its best source, but not significantly,
    is `provisional` instead of `refused`, so that some version serves.
    """
    limits = limits or GateLimits()
    checks = [
        *(_not_below(other, report, limits) for other in (incumbent, anchor) if other is not None),
        _above(report, report.recent_popularity, "recent popularity"),
        _above(report, report.best_source, "the best single source"),
        *_slices(report, incumbent, limits),
        _calibration(report, limits),
        *_bundle(bundle, limits),
    ]
    rival = None if incumbent is not None and incumbent.problem else incumbent
    outcome = _outcome(checks, rival)
    return Verdict(
        outcome=outcome,
        reason=_reason(outcome, checks, report, incumbent),
        checks=checks,
        figures=_figures(report, incumbent, bundle),
    )


def _outcome(checks: list[Check], rival: Incumbent | None) -> str:
    failed = [check for check in checks if check.passed is False]
    if not failed:
        return PASSED
    if rival is None and all(check.may_be_unproven for check in failed):
        return PROVISIONAL
    return REFUSED


def _not_below(other: Incumbent, report: Report, limits: GateLimits) -> Check:
    """The rule of `not_worse` against another version."""
    rule = f"not below {other.alias} (version {other.number})"
    if other.difference is None or other.ndcg is None:
        return Check(rule, other.problem, "a version that this code can use", None)
    difference = other.difference
    error = relative_error(difference)
    least = least_difference(error, report.n_users, limits)
    if math.isnan(error):
        # The other version's nDCG is 0: there is no relative difference, and nothing can be below it.
        return Check(rule, _lead(difference), "not below", difference.mean >= 0)
    can_tell = (
        ""
        if least < 0
        else f"; too few users ({report.n_users}) to see a loss of {limits.production_margin:.0%}"
    )
    return Check(
        rule,
        f"{_lead(difference)} on {other.ndcg.mean:.4f}: {difference.relative:+.1%}, standard error"
        f" {error:.1%}",
        f"at least {least:+.1%}{can_tell}",
        difference.relative >= least,
    )


def _above(report: Report, system: str, meaning: str) -> Check:
    difference = report.differences[HEADLINE][system]
    return Check(
        f"above {meaning} ({system})",
        f"{_lead(difference)} on {report.systems[system][HEADLINE].mean:.4f}",
        "lower bound above 0",
        difference.low > 0,
        may_be_unproven=difference.mean > 0,
    )


def _slices(report: Report, incumbent: Incumbent | None, limits: GateLimits) -> list[Check]:
    """One check per history length: against production if it has the slice, else against the best source.

    A slice fails if it is significantly worse, corrected for the number of judged slices. Users without a
    history are compared with recent popularity, since personal sources score 0 for them.
    """
    n_judged = sum(part.n_users >= limits.min_users for part in report.slices.values())
    checks = []
    for label, part in report.slices.items():
        if incumbent is not None and label in incumbent.slices:
            other, difference = f"version {incumbent.number}", incumbent.slices[label]
        else:
            other = report.recent_popularity if label == "0" else report.best_source
            difference = part.differences[HEADLINE][other]
        is_judged = part.n_users >= limits.min_users
        shown = "" if math.isnan(difference.relative) else f", {difference.relative:+.1%}"
        level = limits.slice_error / max(n_judged, 1)
        checks.append(
            Check(
                f"history of {label}, against {other}",
                f"{_lead(difference)}{shown}, {part.n_users} users",
                f"not significantly lower (level {level:.1%})"
                + ("" if is_judged else f" (applies from {limits.min_users} users)"),
                not _is_lower(difference, level) if is_judged else None,
            )
        )
    return checks


def _is_lower(difference: Difference, level: float) -> bool:
    """Whether the mean is below 0 at this one-sided level, by its standard error."""
    error = standard_error(difference)
    if not error > 0:
        return difference.mean < 0
    return difference.mean / error < NormalDist().inv_cdf(level)


def _calibration(report: Report, limits: GateLimits) -> Check:
    error = report.expected_calibration_error
    return Check(
        "scores are probabilities",
        f"expected calibration error {error:.4f}",
        f"at most {limits.calibration_error:g}",
        error <= limits.calibration_error,
    )


def _bundle(bundle: BundleFacts, limits: GateLimits) -> list[Check]:
    if bundle.problem:
        return [Check("the bundle can be served", bundle.problem, "a bundle that loads and verifies", False)]
    return [
        Check(
            "raw scores equal LightGBM's",
            f"largest difference on the golden requests {bundle.scorer_difference:.1e}",
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


def _reason(outcome: str, checks: list[Check], report: Report, incumbent: Incumbent | None) -> str:
    failed = [
        f"{check.rule}: {check.measured}, needed {check.needed}" for check in checks if check.passed is False
    ]
    against = (
        ""
        if incumbent is None or incumbent.difference is None
        else f"{_lead(incumbent.difference)} against {incumbent.alias}, "
    )
    leads = report.differences[HEADLINE]
    lead = (
        f"{HEADLINE} {report.systems[MAIN][HEADLINE].mean:.4f}, {against}"
        f"{_lead(leads[report.recent_popularity])} against recent popularity,"
        f" {_lead(leads[report.best_source])} against the best source, {report.best_source}"
    )
    unread = (
        f" Version {incumbent.number}, {incumbent.alias}, is no rival: {incumbent.problem}"
        if incumbent is not None and incumbent.problem
        else ""
    )
    if outcome == PASSED:
        return f"{lead}.{unread}"
    if outcome == PROVISIONAL:
        return (
            f"{lead}: the mean is better, but not significantly. It serves because no other version does; the"
            f" next version must pass every rule.{unread}"
        )
    return f"Not met: {'; '.join(failed)}.{unread}"


def _figures(report: Report, incumbent: Incumbent | None, bundle: BundleFacts) -> dict[str, float]:
    """Every finite number, under names that MLflow accepts as tags."""
    figures = {"ndcg_at_10": report.systems[MAIN][HEADLINE].mean}
    for name, system in (
        ("popularity", POPULARITY),
        ("recent_popularity", report.recent_popularity),
        ("best_source", report.best_source),
    ):
        figures[f"ndcg_at_10_{name}"] = report.systems[system][HEADLINE].mean
        figures |= _bounds(f"difference_to_{name}", report.differences[HEADLINE][system])
    if incumbent is not None:
        figures["production_version"] = incumbent.number
        if incumbent.ndcg is not None and incumbent.difference is not None:
            figures["ndcg_at_10_production"] = incumbent.ndcg.mean
            figures |= _bounds("difference_to_production", incumbent.difference)
            figures["relative_difference_to_production"] = incumbent.difference.relative
            figures["relative_difference_to_production_low"] = incumbent.difference.relative_low
    for label, part in report.slices.items():
        name = f"history_{label.replace('+', '_or_more')}"
        figures[f"{name}_users"] = part.n_users
        figures[f"{name}_to_best_source"] = part.differences[HEADLINE][report.best_source].relative
        if incumbent is not None and label in incumbent.slices:
            figures[f"{name}_to_production"] = incumbent.slices[label].relative
    figures["expected_calibration_error"] = report.expected_calibration_error
    figures["scorer_difference"] = bundle.scorer_difference
    figures["bundle_megabytes"] = bundle.megabytes
    figures["latency_ms"] = bundle.latency_ms
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _bounds(name: str, difference: Difference) -> dict[str, float]:
    return {name: difference.mean, f"{name}_low": difference.low, f"{name}_high": difference.high}


def _lead(interval: Interval) -> str:
    return interval_text(interval, signed=True)
