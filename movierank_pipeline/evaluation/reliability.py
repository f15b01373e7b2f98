"""Calibration of probabilities: the reliability table and the expected calibration error."""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

RELIABILITY = pl.Schema(
    {
        "p_low": pl.Float64,
        "p_high": pl.Float64,
        "n": pl.Int64,
        "mean_p": pl.Float64,
        "observed": pl.Float64,
    }
)
"""One row per non-empty bin, ascending: bounds, number of predictions, mean prediction, and observed
share."""


def reliability_table(p: ArrayLike, y: ArrayLike, n_bins: int = 10) -> pl.DataFrame:
    """RELIABILITY of the probabilities `p` against the outcomes `y`, in `n_bins` bins of equal width.

    A bin includes its lower bound and excludes its upper one; the last bin includes 1. Raises ValueError for
    probabilities outside [0, 1].
    """
    probability, outcome = np.asarray(p, np.float64), np.asarray(y, np.float64)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bin_of = np.searchsorted(edges[1:-1], probability, side="right")
    n = np.bincount(bin_of, minlength=n_bins)
    used = n > 0
    return pl.DataFrame(
        {
            "p_low": edges[:-1][used],
            "p_high": edges[1:][used],
            "n": n[used],
            "mean_p": np.bincount(bin_of, probability, n_bins)[used] / n[used],
            "observed": np.bincount(bin_of, outcome, n_bins)[used] / n[used],
        },
        schema=RELIABILITY,
    )


def expected_calibration_error(p: ArrayLike, y: ArrayLike, n_bins: int = 10) -> float:
    """Mean |mean prediction - observed share| over bins of equal width, weighted by their number of
    predictions.

    Formula: Naeini et al. 2015. In [0, 1]; NaN without predictions. Raises ValueError for probabilities
    outside [0, 1].
    """
    table = reliability_table(p, y, n_bins)
    if table.is_empty():
        return float("nan")
    gap = np.abs(table["mean_p"].to_numpy() - table["observed"].to_numpy())
    return float(np.average(gap, weights=table["n"].to_numpy()))
