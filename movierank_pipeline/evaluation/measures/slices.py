"""Whether the ranker is below the best source of any slice of history lengths."""

from collections.abc import Mapping
from typing import Final

import msgspec

from movierank_pipeline.evaluation.bootstrap import Difference
from movierank_pipeline.evaluation.compare import holm_corrected
from movierank_pipeline.evaluation.interval_text import SIGNIFICANCE
from movierank_pipeline.evaluation.report import Slice

MIN_USERS: Final = 20
"""Minimum number of users of a slice that is compared with its best source."""


def with_leads(slices: Mapping[str, Slice]) -> dict[str, Slice]:
    """The slices with `leads`: the ranker minus the best source of the slice, paired by user.

    Each metric is corrected by Holm for the number of slices of at least MIN_USERS users; other slices have
    no lead. The source is the best one on the same requests, which favours the source: a small negative lead
    is expected even where ranker and sources are equally good.
    """
    large = {label: part for label, part in slices.items() if part.n_users >= MIN_USERS and part.best_source}
    metrics = list(dict.fromkeys(metric for part in large.values() for metric in part.differences))
    leads: dict[str, dict[str, Difference]] = {label: {} for label in large}
    for metric in metrics:
        of_metric = {label: part.differences[metric][part.best_source] for label, part in large.items()}
        for label, difference in holm_corrected(of_metric).items():
            leads[label][metric] = difference
    return {
        label: msgspec.structs.replace(part, leads=leads.get(label, {})) for label, part in slices.items()
    }


def slice_verdict(slices: Mapping[str, Slice], metric: str) -> str:
    """One sentence on `metric`: the slices in which the ranker is significantly below the best source."""
    leads = {label: part.leads[metric] for label, part in slices.items() if metric in part.leads}
    if not leads:
        return f"No slice has {MIN_USERS} users or more."
    below = [label for label, lead in leads.items() if lead.mean < 0 and lead.p_holm <= SIGNIFICANCE]
    judged = f"{len(leads)} slices of at least {MIN_USERS} users, Holm's correction"
    if below:
        return (
            f"The ranker is significantly below the best source in the slices {', '.join(below)} ({judged})."
        )
    return f"In no slice is the ranker significantly below the best source ({judged})."
