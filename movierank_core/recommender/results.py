"""Results of a ranking: movies with their scores, reasons and contributions."""

from copy import copy

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.features.blocks.genre import Genre, genre_indicators
from movierank_core.recommender.explanation import FeatureView
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.ranking import RankedMovie
from movierank_core.recommender.reasons import (
    MAX_REASONS,
    because_items,
    because_sources,
    families_of,
    reason_codes,
    sum_by_family,
)
from movierank_core.recommender.scored import Scored

COLD_ITEM_REASONS = ("few_ratings", "content_match")
"""First reasons of a movie in a cold-item slot: it has few events, and the content source proposes it."""

FAMILY_OF_FUSED = {"popularity": "popular_lately", "candidates": "candidates"}
"""Family of the fused score in the contributions, by `served_by`."""


class ResultWriter:
    """Describes ranked movies of one model."""

    def __init__(self, model: RankingModel) -> None:
        self._model = model
        self._families, self._family_of = families_of(model.features)
        self._because_sources = because_sources(model.state.sources, model.features)
        self._genres, _, _ = genre_indicators(model.catalogue.frame["genres"])

    def on(self, model: RankingModel) -> "ResultWriter":
        """The writer for the same version with other facts of movies."""
        other = copy(self)
        other._model = model
        return other

    def ranked(self, scored: Scored, ranks: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        """Results with reasons from the trees' Shapley values. `scored` must come from the ranker."""
        movies = self._model.state.movies
        per_feature, base = self._model.trees.shapley_values(scored.features_of(ranks))
        per_family = sum_by_family(per_feature, self._family_of, len(self._families))
        rows = scored.rows[ranks]
        because = because_items(
            self._because_sources,
            scored.query,
            rows,
            self._model.catalogue.movie_ids,
            per_feature,
            self._families,
            per_family,
        )
        reasons = reason_codes(
            self._families,
            per_family,
            rows=rows,
            because=because,
            taste=movies.block(Genre).taste(scored.query),
            state=movies,
            genres=self._genres,
        )
        return [
            RankedMovie(
                row=int(rows[i]),
                score=float(scored.probabilities[rank]),
                raw_score=float(scored.raw_scores[rank]),
                reasons=reasons[i],
                contributions={
                    "base": float(base),
                    **dict(zip(self._families, per_family[i].tolist(), strict=True)),
                }
                if explain
                else None,
            )
            for i, rank in enumerate(ranks)
        ]

    def unranked(self, scored: Scored, ranks: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        """Results without an attribution: the ranker did not score them, or their reasons were left out."""
        family = FAMILY_OF_FUSED.get(scored.served_by)
        reasons = [] if len(scored.query) else ["newcomer"]
        if scored.served_by == "popularity":
            reasons.append("popular_lately")
        return [
            RankedMovie(
                row=int(scored.rows[rank]),
                score=float(scored.probabilities[rank]),
                raw_score=float(scored.raw_scores[rank]),
                reasons=list(reasons),
                contributions={"base": 0.0, family: float(scored.raw_scores[rank])}
                if explain and family is not None
                else None,
            )
            for rank in ranks
        ]

    def explained(
        self, scored: Scored, rank: NDArray[np.int64], is_moved: NDArray[np.bool_]
    ) -> tuple[RankedMovie, list[FeatureView]]:
        """One result with its contributions, and those of its features; `rank` and `is_moved` have length 1.

        The features are in the model's order; there are none if the ranker did not score the movie.
        """
        write = self.unranked if scored.matrix is None else self.ranked
        [movie] = with_cold_item_reasons(write(scored, rank, explain=True), is_moved)
        if scored.matrix is None:
            return movie, []
        features = scored.features_of(rank)
        [values], ([contributions], _) = features, self._model.trees.shapley_values(features)
        return movie, [
            FeatureView(
                name=feature.name,
                value=float(value) if np.isfinite(value) else None,
                contribution=float(contribution),
            )
            for feature, value, contribution in zip(self._model.features, values, contributions, strict=True)
        ]


def with_cold_item_reasons(results: list[RankedMovie], is_moved: NDArray[np.bool_]) -> list[RankedMovie]:
    """The results; each one that was moved into a cold-item slot begins with COLD_ITEM_REASONS."""
    return [
        msgspec.structs.replace(
            movie, reasons=list(dict.fromkeys([*COLD_ITEM_REASONS, *movie.reasons]))[:MAX_REASONS]
        )
        if moved
        else movie
        for movie, moved in zip(results, is_moved.tolist(), strict=True)
    ]
