"""Films that resemble a recent dislike move down the list.

Sources and trees learn what people watch next, and people also watch films like one that they disliked. This
rule makes a dislike visible in the next answer, and fades within days and with what comes after it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.timestamps import DAY_SECONDS
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source

MIN_DROP: Final = 3.0
"""Minimum drop of the most similar films that has an effect. Older dislikes only count in the sources."""
N_SIMILAR: Final = 10
"""Films that have the whole drop: the most similar ones. Less similar films have a part of it."""


class DislikeRule(NamedTuple):
    """How far films like a dislike move down: parameters of a model version.

    With the defaults, the ten most similar films lost 30 places in the median (quartiles 16 and 47) on 200
    validation requests of ml-latest-small, and nDCG@10 of all validation requests changed by -0.0011
    [-0.0043, +0.0013] (`benchmarks/feedback_moves.py --validation`).
    """

    drop: float
    """Ranks by which the films most similar to the latest event move down, if it is a dislike."""
    decay: float
    """Factor by which the drop falls per later event of the history."""
    half_life_days: float
    """Time in which the drop of a dislike halves, in days."""

    @classmethod
    def of(cls, config: ModelConfig) -> "DislikeRule":
        return cls(config.dislike_drop, config.dislike_decay, config.dislike_half_life_days)


class Similar(NamedTuple):
    """The films with a similarity above 0 to one film."""

    rows: NDArray[np.int64]
    """Ascending catalogue rows, without the film itself."""
    values: NDArray[np.float32]
    """By audience plus by content, at most 2."""

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The similarity of each of the catalogue `rows`; 0 for a film that is not in `self.rows`."""
        if len(self.rows) == 0:
            return np.zeros(len(rows), np.float32)
        found = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[found] == rows, self.values[found], np.float32(0))


def similar_films(row: int, sources: Mapping[str, Source]) -> Similar:
    """The films similar to one catalogue row by the sources with `is_similarity`, their values added."""
    found = [source.similar_to(row) for source in sources.values() if source.is_similarity]
    listed = np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in found)])
    values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in found)])
    rows, index = np.unique(listed, return_inverse=True)
    sums = np.bincount(index, values, minlength=len(rows)).astype(np.float32)
    kept = (rows != row) & (sums > 0)
    return Similar(rows[kept], sums[kept])


def dislike_drops(
    query: Query, rows: NDArray[np.int64], sources: Mapping[str, Source], rule: DislikeRule
) -> NDArray[np.float64]:
    """Ranks by which each of the catalogue `rows` moves down, from 0 to `rule.drop`.

    A dislike that is k events and d days old gives drop * decay^k * 0.5^(d / half_life_days) * min(1,
    similarity / that of the tenth most similar film). The largest value over the dislikes counts. Hidden
    movies are neither dislikes nor events here.
    """
    drops = np.zeros(len(rows))
    latest = np.flatnonzero(query.is_presence)[::-1]
    for age in np.flatnonzero(query.is_disliked[latest]).tolist():
        strength = rule.drop * rule.decay**age
        if strength < MIN_DROP:
            break
        days = (query.as_of - int(query.timestamps[latest[age]])) / DAY_SECONDS
        strength *= 0.5 ** (days / rule.half_life_days)
        if strength < MIN_DROP:
            break  # Earlier ones are older still.
        similar = similar_films(int(query.rows[latest[age]]), sources)
        n = len(similar.values)
        if n:
            tenth = np.partition(similar.values, max(n - N_SIMILAR, 0))[max(n - N_SIMILAR, 0)]
            drops = np.maximum(drops, strength * np.minimum(similar.of(rows) / tenth, 1.0))
    return drops


def push_down(order: NDArray[np.int64], drops: NDArray[np.float64]) -> NDArray[np.int64]:
    """`order` with each film moved down by its drop; `drops` has one entry per film that `order` counts.

    Films are sorted by rank plus drop. Equal sums keep their order.
    """
    if not drops.any():
        return order
    return order[np.argsort(np.arange(len(order)) + drops[order], kind="stable")]
