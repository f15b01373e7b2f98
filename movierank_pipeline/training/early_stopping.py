"""The number of trees, chosen by the nDCG@10 of validation requests."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from movierank_pipeline.ranking_metrics import ndcg

if TYPE_CHECKING:
    from lightgbm import Booster

STAGE: Final = 20
"""Number of trees between two evaluations on the validation requests."""
TOP: Final = 10
"""Number of ranks that count."""


def staged_scores(booster: "Booster", matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n_stages, n_rows]: raw scores after every STAGE trees."""
    stages = []
    total = np.zeros(len(matrix))
    for start in range(0, booster.num_trees(), STAGE):
        if len(matrix):
            total = total + booster.predict(
                matrix, start_iteration=start, num_iteration=STAGE, raw_score=True
            )
        stages.append(total)
    return np.array(stages)


def best_n_trees(
    staged: NDArray[np.float64], labels: NDArray[np.int8], group_sizes: NDArray[np.int64], n_trees: int
) -> tuple[int, float]:
    """The number of trees with the highest validation nDCG@10, and that nDCG; the first one of equals.

    `staged` is [n_stages, n_rows] of `staged_scores`; `labels` [n_rows] are grouped by request, with
    `group_sizes` rows each. nDCG is noisy from stage to stage, so the mean of three neighbouring stages
    decides. Without validation requests: `n_trees` and NaN.
    """
    n_requests = len(group_sizes)
    if not n_requests:
        return n_trees, float("nan")
    request_of_row = np.repeat(np.arange(n_requests), group_sizes)
    starts = np.concatenate([[0], np.cumsum(group_sizes)[:-1]])
    n_relevant = np.add.reduceat(labels.astype(np.int64), starts)
    # Requests with fewer than TOP candidates have no movie at the last ranks.
    ranks = np.arange(TOP)
    is_filled = ranks < group_sizes[:, None]
    row_at_rank = starts[:, None] + np.where(is_filled, ranks, 0)
    values = []
    for scores in staged:
        order = np.lexsort((-scores, request_of_row))
        hits = (labels[order[row_at_rank]] > 0) & is_filled
        values.append(float(np.nan_to_num(np.nanmean(ndcg(hits, n_relevant, TOP)))))
    padded = np.pad(values, 1, mode="edge")
    best = int(np.argmax(np.convolve(padded, np.ones(3) / 3, mode="valid")))
    return min((best + 1) * STAGE, n_trees), values[best]
