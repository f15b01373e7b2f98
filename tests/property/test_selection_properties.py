"""The best rows are those that a sort gives, however they are found."""

import numpy as np
import pytest

from movierank_core.kernels.top_k import best_rows


def by_sorting(scores: np.ndarray, eligible: np.ndarray, n: int) -> np.ndarray:
    order = np.lexsort((np.arange(len(scores)), -scores))
    return order[(scores[order] > 0) & eligible[order]][:n]


@pytest.mark.parametrize("n_rows", [0, 5, 900, 20_000])
@pytest.mark.parametrize("kind", ["distinct", "ties", "few positive", "all equal", "none", "one high block"])
def test_the_best_rows_are_those_of_a_sort(n_rows: int, kind: str) -> None:
    rng = np.random.default_rng(n_rows)
    for n in (0, 1, 10, 200):
        scores = {
            "distinct": rng.normal(size=n_rows),
            "ties": rng.integers(-3, 40, n_rows),
            "few positive": np.where(rng.random(n_rows) < 0.005, rng.random(n_rows), 0.0),
            "all equal": np.ones(n_rows),
            "none": -rng.random(n_rows),
            "one high block": np.where(np.arange(n_rows) < 150, 5.0, rng.random(n_rows)),
        }[kind].astype(np.float32)
        eligible = rng.random(n_rows) < 0.9
        expected = by_sorting(scores, eligible, n)
        assert best_rows(scores, np.arange(n_rows), eligible, n).tolist() == expected.tolist()
        positive = np.flatnonzero(scores > 0)
        assert best_rows(scores[positive], positive, eligible, n).tolist() == expected.tolist()
