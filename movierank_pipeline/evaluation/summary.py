"""What a bundle keeps of an evaluation, for whoever looks at the version while it serves."""

import math
from typing import Final

from movierank_core.manifest import Estimate, EvaluationSummary, ReliabilityBin
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.compare import HEADLINE, RECALL
from movierank_pipeline.evaluation.evaluate import EvaluationReport

KEPT: Final = (HEADLINE, RECALL)


def summary_of(report: EvaluationReport) -> EvaluationSummary:
    """The metrics KEPT of every system with their intervals, and the reliability of the score.

    Figures that nobody has (a mean over no people is NaN) are left out, never replaced.
    """
    systems = {
        name: {metric: _estimate(figures[metric]) for metric in KEPT if _is_known(figures.get(metric))}
        for name, figures in report.systems.items()
    }
    error = report.expected_calibration_error
    return EvaluationSummary(
        protocol=report.protocol,
        split_time=report.split_time,
        n_requests=report.n_requests,
        n_users=report.n_users,
        systems={name: figures for name, figures in systems.items() if figures},
        reliability=[
            ReliabilityBin(n=int(row["n"]), predicted=row["mean_p"], observed=row["observed"])
            for row in report.calibration
        ],
        expected_calibration_error=error if math.isfinite(error) else None,
    )


def _is_known(interval: Interval | None) -> bool:
    return interval is not None and all(map(math.isfinite, (interval.mean, interval.low, interval.high)))


def _estimate(interval: Interval) -> Estimate:
    return Estimate(interval.mean, interval.low, interval.high)
