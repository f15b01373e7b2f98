"""How a mean with its 95 % interval is printed, everywhere: terminal, page, model card and gate."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from movierank_pipeline.evaluation.bootstrap import Difference, Interval

BRACKETS: Final = "{mean} [{low}, {high}]"
UNKNOWN: Final = "–"
SIGNIFICANCE: Final = 0.05
"""Maximum corrected p value of a significant difference."""


def interval_text(
    interval: Interval | Mapping[str, float | None] | None,
    *,
    digits: int = 4,
    signed: bool = False,
    layout: str = BRACKETS,
) -> str:
    """`0.1234 [0.1000, 0.1500]`, in `layout`; the mean alone where the bounds are unknown or equal.

    A mapping has the keys `mean`, `low` and `high`. `–` stands for a mean that is unknown: None or NaN.
    """
    if interval is None:
        return UNKNOWN
    plain = msgspec.structs.asdict(interval) if isinstance(interval, Interval) else interval
    mean, low, high = (plain[bound] for bound in ("mean", "low", "high"))
    if mean is None or math.isnan(mean):
        return UNKNOWN
    form = f"{'+' if signed else ''}.{digits}f"
    if low is None or high is None or low == high:
        return format(mean, form)
    return layout.format(mean=format(mean, form), low=format(low, form), high=format(high, form))


def p_text(difference: Difference) -> str:
    """The verdict after Holm's correction: `significant (p 0.012)` or `not significant (p 0.210)`.

    `–` if the corrected p value is unknown.
    """
    p = difference.p_holm
    if math.isnan(p):
        return UNKNOWN
    return f"{'significant' if p <= SIGNIFICANCE else 'not significant'} (p {p:.3f})"
