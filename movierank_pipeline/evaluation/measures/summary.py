"""The sentences of a report that both terminal programs print below their tables."""

import math

from movierank_pipeline.evaluation.compare import MAIN
from movierank_pipeline.evaluation.interval_text import interval_text, p_text
from movierank_pipeline.evaluation.report import Report, Ties


def summary_lines(report: Report) -> list[str]:
    """One sentence for each part that was measured: slices, shuffled histories, ties and judgments."""
    lines = []
    if report.slice_verdict:
        lines.append(report.slice_verdict)
    for what, variant in (("", report.shuffled), (" within each second", report.shuffled_ties)):
        if variant is not None:
            drops = [
                f"{interval_text(drop, signed=True)} {metric}, {p_text(drop)}"
                for metric, drop in variant.differences.items()
            ]
            lines.append(f"The order of histories{what} contributes {'; '.join(drops)}.")
    if report.ties is not None:
        lines += _tie_lines(report.ties)
    if report.judged:
        lines.append(
            f"{report.judged['n_judgments']:,} judgments,"
            f" {report.judged['n_judgments_of_history']:,} of which are of movies of the history."
        )
    return lines


def _tie_lines(ties: Ties) -> list[str]:
    lines = []
    if not math.isnan(ties.tied_share):
        lines.append(
            f"{ties.tied_share:.1%} of {ties.n_targets:,} targets have the timestamp of the last event of the"
            f" history{_by_part(ties)}."
        )
    if MAIN in ties.band:
        band = ties.band[MAIN]
        lines.append(
            f"{ties.choice_share:.1%} of the requests have several choices of the target with one timestamp."
            f" nDCG of {MAIN} with the worst choice {interval_text(band.worst)}, with the best"
            f" {interval_text(band.best)}."
        )
    return lines


def _by_part(ties: Ties) -> str:
    """nDCG of the ranker on both parts of the targets."""
    shown = [
        f"{name} {interval_text(interval)}"
        for name, part in ties.parts.items()
        for metric, interval in part.systems[MAIN].items()
        if metric.startswith("ndcg@")
    ]
    return f"; nDCG of {MAIN}: {', '.join(shown)}" if shown else ""
