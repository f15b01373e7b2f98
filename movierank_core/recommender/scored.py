"""The scored candidates of one request, and the time of its stages."""

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from movierank_core.recommender.degradation import ServedBy
from movierank_core.reranking.cold_items import fill_cold_item_slots
from movierank_core.reranking.dislikes import push_down
from movierank_core.retrieval.query import Query


@dataclass(frozen=True)
class Scored:
    """Candidates of one request by descending score: entry r of each array is the movie of rank r, from 0."""

    query: Query
    rows: NDArray[np.int64]
    """Catalogue rows."""
    raw_scores: NDArray[np.float64]
    """Output of the ranker. Without the ranker: the fused score that orders the candidates."""
    probabilities: NDArray[np.float64]
    """P(the user likes it | they rate it), never increasing."""
    matrix: NDArray[np.float32] | None
    """[n_candidates, n_features] in the order of the candidates; None without the ranker."""
    candidate_of: NDArray[np.int64]
    """Per rank, the row of `matrix`."""
    served_by: ServedBy
    """`model`, or `popularity` for an empty history. `recommender.degradation` lists the others."""
    stage_ms: dict[str, float]
    """Milliseconds per stage."""
    cold_items: NDArray[np.int64]
    """Ranks of the movies that may move up into a cold-item slot, in the order of their claim."""
    is_cold_item: NDArray[np.bool_]
    cold_item_spacing: int
    """Ranks per cold-item slot."""
    drops: NDArray[np.float64]
    """Ranks by which each movie moves down because it resembles a recent dislike, 0 or more."""

    def arranged(self, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """A list of ranks after re-ranking, and per entry whether it was moved up into a cold-item slot.

        Films like a recent dislike move down, then the slots are filled.
        """
        pushed = push_down(order, self.drops)
        return fill_cold_item_slots(pushed, self.is_cold_item, self.cold_items, self.cold_item_spacing)

    def features_of(self, ranks: NDArray[np.int64]) -> NDArray[np.float32]:
        """[len(ranks), n_features]; only with the ranker.

        Reordering the whole matrix would take longer than all else that is done with a page of results.
        """
        assert self.matrix is not None
        return self.matrix[self.candidate_of[ranks]]

    @property
    def features(self) -> NDArray[np.float32] | None:
        """[n_candidates, n_features] by rank; None without the ranker."""
        return None if self.matrix is None else self.matrix[self.candidate_of]

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Ranks in the order of the list: by score, except for films like a dislike and cold-item slots."""
        return self.arranged(np.arange(len(self.rows)))[0]

    @property
    def listed(self) -> NDArray[np.int64]:
        """Catalogue rows in the order of the list."""
        return self.rows[self.shown]


class StageClock:
    """Milliseconds per stage of one request."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Adds the time since the last lap to a stage."""
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now
