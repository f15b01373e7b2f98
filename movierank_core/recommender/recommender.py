"""One loaded model version, ready to answer requests: rank, explain, similar, popular."""

from copy import copy
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.kernels.top_k import first_rows
from movierank_core.manifest import Manifest
from movierank_core.recommender.degradation import FAIL_FAST, Degradation
from movierank_core.recommender.explanation import Explanation, source_views, with_candidate
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.ranking import DEFAULT_OPTIONS, Ranking, RankOptions
from movierank_core.recommender.results import ResultWriter, with_cold_item_reasons
from movierank_core.recommender.scored import Scored
from movierank_core.reranking.dislikes import similar_films
from movierank_core.reranking.diversity import diversify
from movierank_core.reranking.exploration import draw_ranking
from movierank_core.reranking.filters import broken_rules
from movierank_core.retrieval.sources.popularity import PopularityYear


class Recommender:
    """Answers requests with one model version and facts of movies of one moment.

    Immutable, so any number of threads may use it at once.
    """

    def __init__(self, model: RankingModel, manifest: Manifest) -> None:
        self.model = model
        self.manifest = manifest
        self._results = ResultWriter(model)
        _ = model.catalogue.facets  # Made now, so that the first request with filters is as fast as others.
        self._own = model
        """The model with the facts of its bundle."""

    def with_facts(self, facts: MovieFacts | None) -> "Recommender":
        """The same version with other facts of movies; None stands for those of its bundle."""
        if facts is None and self.model is self._own:
            return self
        model = self._own
        if facts is not None:
            model = replace(model, state=model.state.with_facts(facts))
        other = copy(self)
        other.model = model
        other._results = self._results.on(model)
        return other

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the model's candidate sources, in the order in which they were fitted."""
        return tuple(self.model.state.sources)

    @property
    def catalogue(self) -> Catalogue:
        return self.model.catalogue

    def rank(
        self,
        history: History,
        *,
        as_of: int,
        k: int,
        options: RankOptions = DEFAULT_OPTIONS,
        degradation: Degradation = FAIL_FAST,
    ) -> Ranking:
        """The `k` best movies for a history, best first.

        `as_of` (seconds since 1970) must be later than all events of the history. There are fewer than `k`
        results if fewer movies are eligible. Movies of the history that the catalogue does not know are
        ignored. `degradation` decides which parts may be left out; by default a failure is raised.
        """
        scored = self.model.score(
            history,
            as_of=as_of,
            exclude_seen=options.exclude_seen,
            filters=options.filters,
            degradation=degradation,
        )
        ranks, is_moved, propensities = _listed(self.model, scored, k, options)
        results = (
            None
            if scored.matrix is None
            else degradation.attempt(
                "reasons", lambda: self._results.ranked(scored, ranks, explain=options.explain)
            )
        )
        if results is None:
            results = self._results.unranked(scored, ranks, explain=options.explain)
        results = with_cold_item_reasons(results, is_moved)
        if options.explore > 0:
            results = [
                msgspec.structs.replace(movie, propensity=propensity)
                for movie, propensity in zip(results, propensities.tolist(), strict=True)
            ]
        return Ranking(
            results=results,
            served_by=scored.served_by,
            n_candidates=len(scored.rows),
            stage_ms=scored.stage_ms,
        )

    def explain(
        self, history: History, *, as_of: int, row: int, options: RankOptions = DEFAULT_OPTIONS
    ) -> Explanation:
        """The rank, score and reasons of a catalogue row in `rank`, or the rules that exclude it."""
        model = self.model
        query = model.state.query(history, self.catalogue, as_of)
        rules = broken_rules(
            row,
            query,
            self.catalogue,
            model.state.movies.n_events,
            exclude_seen=options.exclude_seen,
            filters=options.filters,
        )
        mask = model.eligible(query, exclude_seen=options.exclude_seen, filters=options.filters)
        mask[row] = True
        views = source_views(model.state, query, row, mask)
        if len(query):
            candidates = model.state.candidates(query, mask)
            is_candidate = row in candidates.rows
            scored = model.rank_candidates(query, with_candidate(model.state, query, candidates, row, views))
        else:
            scored = model.by_popularity(query, mask)
            is_candidate = row in scored.rows
            scored = scored if is_candidate else _with_last(scored, row)
        rank_by_score = np.flatnonzero(scored.rows == row)[:1]
        shown, is_moved = scored.arranged(np.arange(len(scored.rows)))
        listed_at = np.flatnonzero(shown == rank_by_score)
        movie, features = self._results.explained(scored, rank_by_score, is_moved[listed_at])
        rank = int(listed_at[0]) + 1
        assert movie.contributions is not None
        return Explanation(
            served_by=scored.served_by,
            filtered_by=rules,
            is_candidate=is_candidate,
            rank=rank if is_candidate and not rules else None,
            would_rank=rank,
            n_candidates=len(scored.rows),
            score=movie.score,
            raw_score=movie.raw_score,
            contributions=movie.contributions,
            features=features,
            reasons=movie.reasons,
            sources=views,
        )

    def similar(self, row: int, k: int) -> list[tuple[int, float]]:
        """The `k` rows most similar to one row, with their similarity: audience plus content, at most 2."""
        similar = similar_films(row, self.model.state.sources)
        best = np.lexsort((similar.rows, -similar.values))[:k]
        return list(zip(similar.rows[best].tolist(), similar.values[best].tolist(), strict=True))

    def popular(self, k: int) -> list[int]:
        """The `k` most popular rows of the last 365 days before the state's moment, most popular first."""
        support = self.model.state.sources[PopularityYear.name].support
        return first_rows(support.rows, np.ones(len(self.catalogue), np.bool_), k).tolist()


def _listed(
    model: RankingModel, scored: Scored, k: int, options: RankOptions
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """The ranks by score of the `k` movies of the list, in its order.

    With them, whether each was moved up into a cold-item slot, and its propensity.
    """
    if options.explore > 0:
        if options.diversity > 0:
            raise ValueError("explore and diversity are both above 0, so that no propensity is known")
        rng = np.random.default_rng(options.seed)
        # Without cold-item slots: a draw gives every movie a chance, and its probability is known.
        drawn, propensities = draw_ranking(scored.raw_scores, k, options.explore, rng)
        return drawn, np.zeros(len(drawn), np.bool_), propensities
    order = np.arange(len(scored.rows))
    if options.diversity > 0:
        vectors = model.state.movies.genres[scored.rows]
        taken = diversify(scored.probabilities, vectors, k, options.diversity)
        order = np.concatenate([taken, np.delete(order, taken)])
    shown, is_moved = scored.arranged(order)
    return shown[:k], is_moved[:k], np.ones(min(k, len(shown)))


def _with_last(scored: Scored, row: int) -> Scored:
    """The scored rows with one more, at the end: a movie without recent events."""
    return replace(
        scored,
        rows=np.append(scored.rows, row),
        raw_scores=np.append(scored.raw_scores, 0.0),
        probabilities=np.append(scored.probabilities, scored.probabilities.min(initial=1.0)),
        is_cold_item=np.append(scored.is_cold_item, False),
        candidate_of=np.arange(len(scored.rows) + 1),
        drops=np.append(scored.drops, 0.0),
    )
