"""Retrieval, features, ranker and re-ranking as one object.

Training rows, offline evaluation and `/rank` all use these calls.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.errors import BundleError
from movierank_core.features.feature import Feature
from movierank_core.features.matrix import assemble
from movierank_core.ranker.score_calibration import ScoreCalibration, margins_of
from movierank_core.ranker.tree_ensemble import TreeEnsemble
from movierank_core.recommender.cold_users import isotonic_decreasing
from movierank_core.recommender.degradation import FAIL_FAST, Degradation, ServedBy
from movierank_core.recommender.scored import Scored, StageClock
from movierank_core.recommender.state import RankingState
from movierank_core.reranking.dislikes import dislike_drops
from movierank_core.reranking.filters import Filters
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.fusion import fuse, proposals_of
from movierank_core.retrieval.query import Query


@dataclass(frozen=True)
class RankingModel:
    """A fitted state with the trees and the calibration that read it."""

    catalogue: Catalogue
    state: RankingState
    features: tuple[Feature, ...]
    trees: TreeEnsemble
    calibration: ScoreCalibration

    def eligible(
        self, query: Query, *, exclude_seen: bool = True, filters: Filters | None = None
    ) -> NDArray[np.bool_]:
        """Per catalogue row, whether the request may show it; see `filters.eligible_rows`."""
        return self.state.eligible(query, self.catalogue, exclude_seen=exclude_seen, filters=filters)

    def score(
        self,
        history: History,
        *,
        as_of: int,
        exclude_seen: bool = True,
        filters: Filters | None = None,
        degradation: Degradation = FAIL_FAST,
    ) -> Scored:
        """Every candidate of the request, by descending score. `as_of` is exclusive, in seconds since 1970.

        A history that is empty, or whose movies are all unknown, gets recent popularity: a personal model
        knows nothing more about it. `degradation` decides which parts may be left out.
        """
        clock = StageClock()
        query = self.state.query(history, self.catalogue, as_of)
        mask = self.eligible(query, exclude_seen=exclude_seen, filters=filters)
        clock.lap("eligibility")
        if len(query) == 0:
            return self.by_popularity(query, mask, clock)
        candidates = degradation.attempt("candidates", lambda: self.state.candidates(query, mask))
        clock.lap("retrieval")
        if candidates is None:
            return self.by_popularity(query, mask, clock)
        scored = degradation.attempt("model", lambda: self.rank_candidates(query, candidates, clock))
        return self._by_fusion(query, candidates, clock) if scored is None else scored

    def rank_candidates(
        self, query: Query, candidates: Candidates, clock: StageClock | None = None
    ) -> Scored:
        """Features, raw scores and probabilities of candidates. Raises BundleError for non-finite scores."""
        clock = StageClock() if clock is None else clock
        matrix = assemble(query, candidates, self.state.movies, self.features)
        clock.lap("features")
        raw = self.trees.predict(matrix)
        if not np.isfinite(raw).all():
            raise BundleError("The ranker's scores are not finite", expected="finite leaf values")
        candidate_of = np.argsort(-raw, kind="stable")
        margins = margins_of(raw, candidates.n_fused)
        probabilities = self.calibration.probabilities(margins[candidate_of], query.like_share)
        clock.lap("ranker")
        rows = candidates.rows[candidate_of]
        rank_of = np.empty_like(candidate_of)
        rank_of[candidate_of] = np.arange(len(candidate_of))
        return Scored(
            query=query,
            rows=rows,
            raw_scores=raw[candidate_of],
            probabilities=probabilities,
            matrix=matrix,
            candidate_of=candidate_of,
            served_by="model",
            stage_ms=clock.laps,
            cold_items=rank_of[candidates.cold_items],
            is_cold_item=self.state.is_cold_item[rows],
            cold_item_spacing=self.state.cold_item_spacing,
            drops=dislike_drops(query, rows, self.state.sources, self.state.dislike_rule),
        )

    def by_popularity(self, query: Query, mask: NDArray[np.bool_], clock: StageClock | None = None) -> Scored:
        """The rows of `mask` in the order of recent popularity."""
        clock = StageClock() if clock is None else clock
        n = self.state.n_candidates
        weights = {name: source.cold_user_weight for name, source in self.state.sources.items()}
        proposals = {
            name: proposals_of(source, source.scores(query), mask, n)
            for name, source in self.state.sources.items()
            if weights[name] > 0
        }
        rows, fused, _ = fuse(proposals, weights, n)
        clock.lap("retrieval")
        return self._unranked(query, rows, fused, "popularity", clock, cold_items=np.zeros(0, np.int64))

    def _by_fusion(self, query: Query, candidates: Candidates, clock: StageClock) -> Scored:
        rows, fused = candidates.rows, candidates.fused
        return self._unranked(query, rows, fused, "candidates", clock, cold_items=candidates.cold_items)

    def _unranked(
        self,
        query: Query,
        rows: NDArray[np.int64],
        fused: NDArray[np.float32],
        served_by: ServedBy,
        clock: StageClock,
        *,
        cold_items: NDArray[np.int64],
    ) -> Scored:
        """In the order of the fused scores. A movie's probability is the share of its raters who liked it."""
        return Scored(
            query=query,
            rows=rows,
            raw_scores=fused.astype(np.float64),
            probabilities=isotonic_decreasing(self.state.movies.like_share[rows]),
            matrix=None,
            candidate_of=np.arange(len(rows)),
            served_by=served_by,
            stage_ms=clock.laps,
            cold_items=cold_items,
            is_cold_item=self.state.is_cold_item[rows],
            cold_item_spacing=self.state.cold_item_spacing,
            drops=dislike_drops(query, rows, self.state.sources, self.state.dislike_rule),
        )


class CandidateRows(msgspec.Struct, frozen=True):
    """The feature matrix of one request before any ranker: the source of training rows."""

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
    candidates = state.candidates(query, state.eligible(query, catalogue))
    return CandidateRows(candidates, assemble(query, candidates, state.movies, features), query)
