"""Targets whose events share their timestamp with others: their share, and what they change.

MovieLens has many events in the same second, in the order in which the site proposed movies. A target in the
second of the last event of the history was proposed together with it, which makes it easier to find.
"""

import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.evaluation.answers import Answers
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.compare import request_values, system_intervals
from movierank_pipeline.evaluation.report import Band, Part, Ties
from movierank_pipeline.ranking_metrics import Hits


def ties_of(answers: Answers, k: int, seed: int) -> Ties | None:
    """The share of tied targets, the figures of both parts, and the band; None if ties are unknown.

    A part judges the same lists by its own targets alone; requests without one do not count in it.
    """
    if answers.n_tied is None:
        return None
    n_targets, n_tied = int(answers.n_relevant.sum()), int(answers.n_tied.sum())
    parts = {}
    if n_tied:
        tied, untied = (
            answers.tied_hits,
            {name: hits & ~answers.tied_hits[name] for name, hits in answers.hits.items()},
        )
        parts["tied"] = _part(tied, answers.n_tied, answers.user_ids, k, seed)
        if n_tied < n_targets:
            n_untied = answers.n_relevant - answers.n_tied
            parts["untied"] = _part(untied, n_untied, answers.user_ids, k, seed)
    return Ties(
        n_targets=n_targets,
        tied_share=n_tied / n_targets if n_targets else float("nan"),
        parts=parts,
        choice_share=float("nan") if answers.n_choices is None else float((answers.n_choices > 1).mean()),
        band=_bands(answers, seed),
    )


def _part(
    hits: dict[str, Hits], n_relevant: NDArray[np.int64], user_ids: NDArray[np.int64], k: int, seed: int
) -> Part:
    used = n_relevant > 0
    values = {name: request_values(of_system[used], n_relevant[used], k) for name, of_system in hits.items()}
    return Part(
        n_requests=int(used.sum()),
        n_users=len(np.unique(user_ids[used])),
        systems=system_intervals(values, user_ids[used], seed),
    )


def _bands(answers: Answers, seed: int) -> dict[str, Band]:
    found: dict[str, dict[str, Interval]] = system_intervals(answers.band, answers.user_ids, seed)
    return {name: Band(worst=bounds["worst"], best=bounds["best"]) for name, bounds in found.items()}
