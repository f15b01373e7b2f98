"""One loaded model version, ready to answer requests: rank, explain, similar, popular."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.bundle_manifest import Manifest
from movierank_core.catalogue import Catalogue
from movierank_core.features.assemble import GenreTaste
from movierank_core.features.movie_state import genre_indicators
from movierank_core.history import History
from movierank_core.model import RankingModel, Scored
from movierank_core.ranking.diversity import diversify
from movierank_core.ranking.filters import Filters, admitted
from movierank_core.ranking.reasons import families_of, reason_codes, sum_by_family
from movierank_core.retrieval.content import Content
from movierank_core.retrieval.ease import EaseLikes, EasePresence
from movierank_core.retrieval.item_to_item import ItemToItem, strongest_history_item
from movierank_core.retrieval.neighbours import ItemNeighbours
from movierank_core.retrieval.popularity import PopularityYear
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.selection import best_rows

BECAUSE_SOURCES = (EaseLikes.name, ItemNeighbours.name, EasePresence.name)
"""Sources asked, in this order, which history item counted most for a movie."""


class RankOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How one request departs from the default."""

    exclude_seen: bool = True
    filters: Filters | None = None
    diversity: float = 0.0
    """0 (by score alone) to 1."""
    explain: bool = False
    """Whether results carry their contributions."""


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


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one request."""

    results: list[RankedMovie]
    served_by: str
    """`model`, or `popularity` for an empty history."""
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

    @property
    def catalogue(self) -> Catalogue:
        return self.model.catalogue

    def rank(
        self, history: History, *, as_of: int, k: int, options: RankOptions = DEFAULT_OPTIONS
    ) -> Ranking:
        """The `k` best movies for a history at `as_of` (seconds since 1970), which comes after all of it.

        Fewer than `k` where filters or a small catalogue leave fewer. Movies that the catalogue does not
        know count for nothing.
        """
        mask = None
        if options.filters is not None:
            mask = admitted(options.filters, self.catalogue, self.model.state.movies.n_events)
        scored = self.model.score(history, as_of=as_of, exclude_seen=options.exclude_seen, admitted=mask)
        vectors = self.model.state.movies.genres[scored.rows] if options.diversity > 0 else None
        chosen = (
            np.arange(min(k, len(scored.rows)))
            if vectors is None
            else diversify(scored.probabilities, vectors, k, options.diversity)
        )
        return Ranking(
            results=self._results(scored, chosen, explain=options.explain),
            served_by=scored.served_by,
            n_candidates=len(scored.rows),
            stage_ms=scored.stage_ms,
        )

    def _results(self, scored: Scored, chosen: NDArray[np.int64], *, explain: bool) -> list[RankedMovie]:
        if scored.features is None:
            return [
                RankedMovie(
                    row=int(scored.rows[position]),
                    score=float(scored.probabilities[position]),
                    raw_score=float(scored.raw_scores[position]),
                    reasons=["newcomer", "popular_lately"],
                    contributions={"base": 0.0, "popular_lately": float(scored.raw_scores[position])}
                    if explain
                    else None,
                )
                for position in chosen
            ]
        # Codes name the largest contributions, which a rough value tells as well as an exact one.
        trees = self.model.trees
        features = scored.features[chosen]
        per_feature, base = (
            trees.shapley_values(features) if explain else (trees.rough_shapley_values(features), trees.base)
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

        Sources are asked in order, each about the movies that the ones before left open.
        """
        best = np.full(len(rows), -1, np.int64)
        for name in BECAUSE_SOURCES:
            source = self._item_to_item(name)
            strongest_history_item(
                source.neighbours.offsets,
                source.neighbours.indices,
                source.neighbours.values,
                query.rows,
                np.where(query.is_liked, source.history_weights(query), 0).astype(np.float32),
                rows,
                best,
            )
        movie_ids = self.catalogue.movie_ids
        return [None if item < 0 else int(movie_ids[query.rows[item]]) for item in best.tolist()]

    def similar(self, row: int, k: int) -> list[tuple[int, float]]:
        """The `k` movies most like one, with their similarity: shared audience plus content, at most 2."""
        similarity = np.zeros(len(self.catalogue), np.float32)
        for name in (Content.name, ItemNeighbours.name):
            indices, values = self._item_to_item(name).neighbours.row(row)
            similarity[indices] += values
        others = np.ones(len(self.catalogue), np.bool_)
        others[row] = False
        return [(int(other), float(similarity[other])) for other in best_rows(similarity, others, k)]

    def _item_to_item(self, name: str) -> ItemToItem:
        source = self.model.state.sources[name]
        if not isinstance(source, ItemToItem):
            raise TypeError(f"{name} is not an item-to-item source")
        return source

    def popular(self, k: int) -> list[int]:
        """The `k` most popular rows of the last 365 days before the state's moment, most popular first."""
        counts = self.model.state.sources[PopularityYear.name].scores(
            self.model.state.query(History.empty(), self.catalogue, 0)
        )
        return best_rows(counts, np.ones(len(self.catalogue), np.bool_), k).tolist()
