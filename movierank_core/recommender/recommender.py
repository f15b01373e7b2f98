"""One loaded model version, ready to answer requests: rank, explain, similar, popular."""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.features.matrix import GenreTaste
from movierank_core.features.movie_state import genre_indicators
from movierank_core.kernels.top_k import best_rows, first_rows
from movierank_core.manifest import Manifest
from movierank_core.recommender.degradation import STRICT, ServedBy, Strict
from movierank_core.recommender.explanation import (
    Explanation,
    FeatureView,
    broken_rules,
    source_views,
    with_candidate,
)
from movierank_core.recommender.model import RankingModel, Scored
from movierank_core.recommender.reasons import MAX_REASONS, families_of, reason_codes, sum_by_family
from movierank_core.reranking.diversity import diversify
from movierank_core.reranking.exploration import draw_ranking
from movierank_core.reranking.filters import Filters, admitted
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sources.popularity import PopularityYear

RESERVED_REASONS = ("few_ratings", "content_match")
"""Of a movie at a reserved place: it is little known, and content proposes it."""

_FAMILY_OF_FUSED = {"popularity": "popular_lately", "candidates": "candidates"}
"""What a fused score is called among the contributions, by what it orders."""


class RankOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one request departs from the default."""

    exclude_seen: bool = True
    filters: Filters | None = None
    diversity: float = 0.0
    """0 (by score alone) to 1."""
    explain: bool = False
    """Whether results carry their contributions."""
    explore: float = 0.0
    """The temperature at which the order is drawn, at most 1; 0 does not draw. Not beside `diversity`."""
    seed: int = 0
    """Decides what is drawn."""


DEFAULT_OPTIONS = RankOptions()


class RankedMovie(msgspec.Struct, frozen=True, kw_only=True):
    """One place in a ranking."""

    row: int
    """Catalogue row."""
    score: float
    """P(this user likes the movie | they rate it), in [0, 1]."""
    raw_score: float
    reasons: list[str]
    """Codes, the strongest first; perhaps none."""
    contributions: dict[str, float] | None = None
    """Family to contribution, with `base`; sums to `raw_score`. Only where explained."""
    propensity: float = 1.0
    """The probability that this movie came here given those above it; 1 where nothing was drawn."""


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request."""

    results: list[RankedMovie]
    served_by: ServedBy
    """`model`, or `popularity` for an empty history; on a lenient ladder any of its rungs."""
    n_candidates: int
    stage_ms: dict[str, float]
    """Milliseconds per stage."""


class Recommender:
    """Immutable once made, so any number of threads may rank with it at once."""

    def __init__(self, model: RankingModel, manifest: Manifest) -> None:
        self.model = model
        self.manifest = manifest
        self._families, self._family_numbers = families_of(model.features)
        self._genres, _, _ = genre_indicators(model.catalogue.frame["genres"])
        asked = [source for source in model.state.sources.values() if source.attribution_order is not None]
        self._attributing = sorted(asked, key=lambda source: source.attribution_order or 0)

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
        ladder: Strict = STRICT,
    ) -> Ranking:
        """The `k` best movies for a history at `as_of` (seconds since 1970), which comes after all of it.

        Fewer than `k` where filters or a small catalogue leave fewer. Movies that the catalogue does not
        know count for nothing. `ladder` says what may be left out; by default a failure is raised.
        """
        mask = None
        if options.filters is not None:
            mask = admitted(options.filters, self.catalogue, self.model.state.movies.n_events)
        scored = self.model.score(
            history, as_of=as_of, exclude_seen=options.exclude_seen, admitted=mask, ladder=ladder
        )
        chosen, is_moved, propensities = self._chosen(scored, k, options)
        results = (
            None
            if scored.matrix is None
            else ladder.attempt("reasons", lambda: self._results(scored, chosen, explain=options.explain))
        )
        if results is None:
            results = self._plain(scored, chosen, explain=options.explain)
        results = _with_reserved_reasons(results, is_moved)
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

    def _chosen(
        self, scored: Scored, k: int, options: RankOptions
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        """Positions of `scored` in the order in which they are shown, whether each was moved up to a reserved
        place, and the propensity of each."""
        if options.explore > 0:
            if options.diversity > 0:
                raise ValueError("explore and diversity are both above 0, so that no propensity is known")
            rng = np.random.default_rng(options.seed)
            # Nothing is reserved: a draw gives everything its chance, and a known one.
            drawn, propensities = draw_ranking(scored.raw_scores, k, options.explore, rng)
            return drawn, np.zeros(len(drawn), np.bool_), propensities
        order = np.arange(len(scored.rows))
        if options.diversity > 0:
            vectors = self.model.state.movies.genres[scored.rows]
            taken = diversify(scored.probabilities, vectors, k, options.diversity)
            order = np.concatenate([taken, np.delete(order, taken)])
        shown, is_moved = scored.in_places(order)
        return shown[:k], is_moved[:k], np.ones(min(k, len(shown)))

    def explain(
        self, history: History, *, as_of: int, row: int, options: RankOptions = DEFAULT_OPTIONS
    ) -> Explanation:
        """Why the movie of a catalogue row is where it is in `rank`, or why it is not there."""
        model = self.model
        query = model.state.query(history, self.catalogue, as_of)
        n_events = model.state.movies.n_events
        rules = broken_rules(
            query,
            row,
            exclude_seen=options.exclude_seen,
            filters=options.filters,
            catalogue=self.catalogue,
            n_events=n_events,
        )
        mask = model.eligible(query, exclude_seen=options.exclude_seen)
        if options.filters is not None:
            mask &= admitted(options.filters, self.catalogue, n_events)
        mask[row] = True
        views = source_views(model.state, query, row, mask)
        if len(query):
            candidates = model.state.candidates(query, mask)
            is_candidate = row in candidates.rows
            scored = model.rank_candidates(query, with_candidate(candidates, row, views))
        else:
            scored = model.by_popularity(query, mask)
            is_candidate = row in scored.rows
            scored = scored if is_candidate else _with_last(scored, row)
        position = np.flatnonzero(scored.rows == row)[:1]
        shown, is_moved = scored.in_places(np.arange(len(scored.rows)))
        at = np.flatnonzero(shown == position)
        [movie] = _with_reserved_reasons(self._described(scored, position, explain=True), is_moved[at])
        place = int(at[0]) + 1
        assert movie.contributions is not None
        return Explanation(
            served_by=scored.served_by,
            filtered_by=rules,
            is_candidate=is_candidate,
            rank=place if is_candidate and not rules else None,
            would_rank=place,
            n_candidates=len(scored.rows),
            score=movie.score,
            raw_score=movie.raw_score,
            contributions=movie.contributions,
            features=self._feature_views(scored, position),
            reasons=movie.reasons,
            sources=views,
        )

    def _feature_views(self, scored: Scored, position: NDArray[np.int64]) -> list[FeatureView]:
        if scored.matrix is None:
            return []
        features = scored.features_of(position)
        [values], ([added], _) = features, self.model.trees.shapley_values(features)
        return [
            FeatureView(
                name=feature.name,
                value=float(value) if np.isfinite(value) else None,
                contribution=float(contribution),
            )
            for feature, value, contribution in zip(self.model.features, values, added, strict=True)
        ]

    def _described(self, scored: Scored, chosen: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        of = self._plain if scored.matrix is None else self._results
        return of(scored, chosen, explain=explain)

    def _plain(self, scored: Scored, chosen: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        """Results about which the trees were not asked."""
        family = _FAMILY_OF_FUSED.get(scored.served_by)
        reasons = [] if len(scored.query) else ["newcomer"]
        if scored.served_by == "popularity":
            reasons.append("popular_lately")
        return [
            RankedMovie(
                row=int(scored.rows[position]),
                score=float(scored.probabilities[position]),
                raw_score=float(scored.raw_scores[position]),
                reasons=list(reasons),
                contributions={"base": 0.0, family: float(scored.raw_scores[position])}
                if explain and family is not None
                else None,
            )
            for position in chosen
        ]

    def _results(self, scored: Scored, chosen: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        # Codes name what counts most, which Banzhaf values tell as well, and sooner.
        trees = self.model.trees
        features = scored.features_of(chosen)
        per_feature, base = (
            trees.shapley_values(features) if explain else (trees.banzhaf_values(features), trees.base)
        )
        per_family = sum_by_family(per_feature, self._family_numbers, len(self._families))
        rows = scored.rows[chosen]
        reasons = reason_codes(
            self._families,
            per_family,
            rows=rows,
            because=self._because(scored.query, rows),
            taste=GenreTaste.of(scored.query, self.model.state.movies),
            state=self.model.state.movies,
            genres=self._genres,
        )
        return [
            RankedMovie(
                row=int(rows[place]),
                score=float(scored.probabilities[position]),
                raw_score=float(scored.raw_scores[position]),
                reasons=reasons[place],
                contributions={
                    "base": float(base),
                    **dict(zip(self._families, per_family[place].tolist(), strict=True)),
                }
                if explain
                else None,
            )
            for place, position in enumerate(chosen)
        ]

    def _because(self, query: Query, rows: NDArray[np.int64]) -> list[int | None]:
        """For each result the liked movie of the history that adds most to it, None where none does.

        Sources with an `attribution_order` are asked in that order, each for the movies without an item yet.
        """
        items = np.full(len(rows), -1, np.int64)
        for source in self._attributing:
            items = source.attribute(query, rows, items)
        movie_ids = self.catalogue.movie_ids
        return [None if item < 0 else int(movie_ids[query.rows[item]]) for item in items.tolist()]

    def similar(self, row: int, k: int) -> list[tuple[int, float]]:
        """The `k` movies most like one, with their similarity: shared audience plus content, at most 2."""
        similarity = np.zeros(len(self.catalogue), np.float32)
        for source in self.model.state.sources.values():
            if source.is_similarity:
                others, values = source.similar_to(row)
                similarity[others] += values
        is_other = np.ones(len(self.catalogue), np.bool_)
        is_other[row] = False
        best = best_rows(similarity, np.arange(len(similarity)), is_other, k)
        return [(int(other), float(similarity[other])) for other in best]

    def popular(self, k: int) -> list[int]:
        """The `k` most popular rows of the last 365 days before the state's moment, most popular first."""
        support = self.model.state.sources[PopularityYear.name].support
        return first_rows(support.rows, np.ones(len(self.catalogue), np.bool_), k).tolist()


def _with_reserved_reasons(results: list[RankedMovie], is_moved: NDArray[np.bool_]) -> list[RankedMovie]:
    """The same, and for those that stand at a reserved place that it is one, and why it is theirs."""
    return [
        msgspec.structs.replace(
            movie,
            reasons=list(dict.fromkeys([*RESERVED_REASONS, *movie.reasons]))[:MAX_REASONS],
        )
        if moved
        else movie
        for movie, moved in zip(results, is_moved.tolist(), strict=True)
    ]


def _with_last(scored: Scored, row: int) -> Scored:
    """The same with a movie that nobody asked for lately, at the end."""
    return replace(
        scored,
        rows=np.append(scored.rows, row),
        raw_scores=np.append(scored.raw_scores, 0.0),
        probabilities=np.append(scored.probabilities, scored.probabilities.min(initial=1.0)),
        is_little_known=np.append(scored.is_little_known, False),
        order=np.arange(len(scored.rows) + 1),
    )
