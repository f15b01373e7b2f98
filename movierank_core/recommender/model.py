"""The four stages as one object: retrieval, features, ranker, re-ranking.

Training rows, offline evaluation and `/rank` all come through here.
"""

import time
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.errors import BundleError
from movierank_core.features.matrix import assemble
from movierank_core.features.registry import Feature
from movierank_core.ranker.score_calibration import ScoreCalibration
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.cold_users import decreasing_fit
from movierank_core.recommender.degradation import STRICT, ServedBy, Strict
from movierank_core.recommender.state import RankingState
from movierank_core.reranking.cold_items import with_reserved_places
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_core.retrieval.query import Query


@dataclass(frozen=True)
class Scored:
    """Candidates of one request in the order of their scores, best first."""

    query: Query
    rows: NDArray[np.int64]
    raw_scores: NDArray[np.float64]
    """The ranker's output; where it was not asked, the fused score that orders the candidates."""
    probabilities: NDArray[np.float64]
    """P(the user likes it | they rate it), never increasing down the list."""
    matrix: NDArray[np.float32] | None
    """[n, n_features] in the order of the candidates; None where the ranker was not asked."""
    order: NDArray[np.int64]
    """By position, the line of `matrix`."""
    served_by: ServedBy
    """`model`, or `popularity` for an empty history; the other rungs are in `recommender.degradation`."""
    stage_ms: dict[str, float]
    reserved: NDArray[np.int64]
    """Positions of the little-known movies that may stand above their score, in the order of their claim."""
    is_little_known: NDArray[np.bool_]
    """By position."""

    def in_places(self, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """An order of the positions with places reserved, and whether a movie was moved up to each place."""
        return with_reserved_places(order, self.is_little_known, self.reserved)

    def features_of(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """[len(positions), n_features]; only where the ranker was asked. The whole matrix in the order of the
        positions would take longer than a page of it is worth."""
        assert self.matrix is not None
        return self.matrix[self.order[positions]]

    @property
    def features(self) -> NDArray[np.float32] | None:
        """[n, n_features] by position; None where the ranker was not asked."""
        return None if self.matrix is None else self.matrix[self.order]

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Positions in the order of the list: by score, but for the reserved places."""
        return self.in_places(np.arange(len(self.rows)))[0]

    @property
    def listed(self) -> NDArray[np.int64]:
        """Catalogue rows in the order of the list."""
        return self.rows[self.shown]


@dataclass(frozen=True)
class RankingModel:
    """A fitted state with the trees and the calibration that read it."""

    catalogue: Catalogue
    state: RankingState
    features: tuple[Feature, ...]
    trees: TreeEnsemble
    calibration: ScoreCalibration

    def eligible(self, query: Query, *, exclude_seen: bool = True) -> NDArray[np.bool_]:
        """Rows that may be shown: hidden ones never, seen ones only if asked for."""
        mask = np.ones(len(self.catalogue), np.bool_)
        mask[query.excluded if exclude_seen else query.hidden] = False
        return mask

    def score(
        self,
        history: History,
        *,
        as_of: int,
        exclude_seen: bool = True,
        admitted: NDArray[np.bool_] | None = None,
        ladder: Strict = STRICT,
    ) -> Scored:
        """Every candidate of the request, ranked. `as_of` is exclusive, in seconds since 1970.

        An empty history (or one whose movies are all unknown) is answered by recent popularity, since a
        personal model knows nothing there that popularity does not. `ladder` decides what else may be.
        """
        clock = _Clock()
        query = self.state.query(history, self.catalogue, as_of)
        mask = self.eligible(query, exclude_seen=exclude_seen)
        if admitted is not None:
            mask &= admitted
        if len(query) == 0:
            return self.by_popularity(query, mask, clock)
        candidates = ladder.attempt("candidates", lambda: self.state.candidates(query, mask))
        clock.lap("retrieval")
        if candidates is None:
            return self.by_popularity(query, mask, clock)
        scored = ladder.attempt("model", lambda: self.rank_candidates(query, candidates, clock))
        return self._by_fusion(query, candidates, clock) if scored is None else scored

    def rank_candidates(self, query: Query, candidates: Candidates, clock: "_Clock | None" = None) -> Scored:
        """Features, trees and calibration; BundleError for scores that are no numbers."""
        clock = _Clock() if clock is None else clock
        matrix = assemble(query, candidates, self.state.movies, self.features)
        clock.lap("features")
        raw = self.trees.predict(matrix)
        if not np.isfinite(raw).all():
            raise BundleError("The ranker gives scores that are no numbers", expected="finite leaf values")
        order = np.argsort(-raw, kind="stable")
        probabilities = self.calibration.probabilities(raw[order], query.like_share)
        clock.lap("ranker")
        rows = candidates.rows[order]
        place_of = np.empty_like(order)
        place_of[order] = np.arange(len(order))
        return Scored(
            query=query,
            rows=rows,
            raw_scores=raw[order],
            probabilities=probabilities,
            matrix=matrix,
            order=order,
            served_by="model",
            stage_ms=clock.laps,
            reserved=place_of[candidates.reserved],
            is_little_known=self.state.is_little_known[rows],
        )

    def _by_fusion(self, query: Query, candidates: Candidates, clock: "_Clock") -> Scored:
        return self._unranked(
            query, candidates.rows, candidates.fused, "candidates", clock, reserved=candidates.reserved
        )

    def by_popularity(self, query: Query, mask: NDArray[np.bool_], clock: "_Clock | None" = None) -> Scored:
        """The rows of `mask` in the order of recent popularity."""
        clock = _Clock() if clock is None else clock
        n = self.state.n_candidates
        weights = {name: source.cold_user_weight for name, source in self.state.sources.items()}
        proposals = {
            name: proposals_of(source, source.scores(query), mask, n)
            for name, source in self.state.sources.items()
            if weights[name] > 0
        }
        rows, fused, _ = fuse(proposals, weights, n)
        clock.lap("retrieval")
        return self._unranked(query, rows, fused, "popularity", clock)

    def _unranked(
        self,
        query: Query,
        rows: NDArray[np.int64],
        fused: NDArray[np.float32],
        served_by: ServedBy,
        clock: "_Clock",
        reserved: NDArray[np.int64] | None = None,
    ) -> Scored:
        """In the order of the fused scores, each with the share of its raters who liked it."""
        return Scored(
            query=query,
            rows=rows,
            raw_scores=fused.astype(np.float64),
            probabilities=decreasing_fit(self.state.movies.like_share[rows]),
            matrix=None,
            order=np.arange(len(rows)),
            served_by=served_by,
            stage_ms=clock.laps,
            reserved=np.zeros(0, np.int64) if reserved is None else reserved,
            is_little_known=self.state.is_little_known[rows],
        )


class CandidateRows(msgspec.Struct, frozen=True):
    """The feature matrix of one request before any ranker: what training rows are made of."""

    candidates: Candidates
    matrix: NDArray[np.float32]
    query: Query


def candidate_rows(
    state: RankingState,
    catalogue: Catalogue,
    history: History,
    as_of: int,
    features: tuple[Feature, ...],
) -> CandidateRows:
    """Candidates and features of a request, by the same calls in the same order as `RankingModel.score`."""
    query = state.query(history, catalogue, as_of)
    mask = np.ones(len(catalogue), np.bool_)
    mask[query.excluded] = False
    candidates = state.candidates(query, mask)
    return CandidateRows(candidates, assemble(query, candidates, state.movies, features), query)


class _Clock:
    """Milliseconds per stage of one request."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now
