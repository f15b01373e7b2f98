"""The gate: whether a version may serve, and why (not)."""

from dataclasses import dataclass

from movierank_core.errors import MovierankError
from movierank_pipeline.evaluation.evaluate import HEADLINE, EvaluationReport
from movierank_pipeline.evaluation.systems import MAIN

POPULARITY = "popularity"


class GateError(MovierankError):
    """A model that must not even be registered."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one version."""

    passed: bool
    reason: str
    figures: dict[str, float]

    def tags(self) -> dict[str, str]:
        """For the registered version."""
        return {
            "gate.verdict": "passed" if self.passed else "refused",
            "gate.reason": self.reason,
            **{f"gate.{name}": f"{value:.4f}" for name, value in self.figures.items()},
        }


def require_better_than_popularity(report: EvaluationReport) -> None:
    """Raises GateError unless the ranker orders better than overall popularity does."""
    ours, theirs = report.systems[MAIN][HEADLINE].mean, report.systems[POPULARITY][HEADLINE].mean
    if not ours > theirs:
        raise GateError(
            f"The ranker's {HEADLINE} is {ours:.4f}, that of {POPULARITY} {theirs:.4f}",
            expected=f"a ranker above {POPULARITY}",
            remedy="look at the evaluation in the Dagster UI; more data or other model settings may help",
        )


def judge(report: EvaluationReport) -> Verdict:
    """Passed if the ranker is above popularity and not below the best single source, by mean nDCG@10."""
    best = report.best_source
    ours = report.systems[MAIN][HEADLINE].mean
    figures = {
        "ndcg_at_10": ours,
        "ndcg_at_10_popularity": report.systems[POPULARITY][HEADLINE].mean,
        "ndcg_at_10_best_source": report.systems[best][HEADLINE].mean,
        "difference_low": report.differences[best].low,
        "difference_high": report.differences[best].high,
    }
    problems = []
    if not ours > figures["ndcg_at_10_popularity"]:
        problems.append(f"{ours:.4f} is not above popularity with {figures['ndcg_at_10_popularity']:.4f}")
    if not ours >= figures["ndcg_at_10_best_source"]:
        problems.append(
            f"{ours:.4f} is below the best source, {best}, with {figures['ndcg_at_10_best_source']:.4f}"
        )
    if problems:
        return Verdict(False, f"{HEADLINE} {' and '.join(problems)}", figures)
    return Verdict(
        True,
        f"{HEADLINE} {ours:.4f} is above popularity ({figures['ndcg_at_10_popularity']:.4f}) and not below"
        f" the best source, {best} ({figures['ndcg_at_10_best_source']:.4f})",
        figures,
    )
