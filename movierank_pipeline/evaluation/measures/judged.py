"""Figures for judged sets: people graded movies, and most movies have no judgment."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.ranking_metrics import bpref, gain_ndcg, gains_of, hits_of, judged_share


class Judgments(NamedTuple):
    """The judgments of one user. Both arrays have the same length."""

    rows: NDArray[np.int64]
    """Catalogue rows; -1 for a movie that is not in the catalogue."""
    grades: NDArray[np.float64]
    """A movie is relevant from grade 1; 0 or less says that it was judged and is not."""


def judged_values(
    ranked: NDArray[np.int64], judgments: Sequence[Judgments], k: int
) -> dict[str, NDArray[np.float64]]:
    """nDCG@k with grades as gains, bpref, and the share of judged results, one value per request.

    Grades below 0 gain 0. bpref counts the whole of `ranked` [n_requests, depth].
    """
    rows = [each.rows for each in judgments]
    grades = [np.maximum(each.grades, 0.0) for each in judgments]
    gains = gains_of(ranked, rows, grades)
    is_judged = hits_of(ranked, rows)
    n_relevant = np.array([(of_user >= 1).sum() for of_user in grades], np.int64)
    n_judged = np.array([len(of_user) for of_user in grades], np.int64)
    return {
        f"ndcg@{k}": gain_ndcg(gains, grades, k),
        "bpref": bpref(gains >= 1, is_judged, n_relevant, n_judged),
        f"judged@{k}": judged_share(ranked, is_judged, k),
    }
