"""Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), folded in per request."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.interactions import InteractionArrays
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays, Source, Support, columns_of
from movierank_core.retrieval.sources.item_to_item import movies_with_events


class ImplicitALS(Source):
    """Movie vectors from the `implicit` library; a user's vector is solved from their history.

    Confidence of an observed movie is 1 + alpha * w with w = max(0.1, 1 + centred rating / 2), in fitting and
    in folding in alike, so a fold-in equals one half-sweep of the fit.
    """

    name: ClassVar[str] = "als"
    label: ClassVar[str] = "Taste factors (ALS)"
    family: ClassVar[str] = "taste_match"
    meaning: ClassVar[str] = "matrix factorisation with the history folded in"

    def __init__(
        self, movies: NDArray[np.int64], factors: NDArray[np.float32], alpha: float, l2: float, n_movies: int
    ) -> None:
        self.support = Support(movies, n_movies)
        self.factors = factors
        self.alpha = alpha
        self.l2 = l2
        vectors = factors.astype(np.float64)
        self._gram = vectors.T @ vectors + l2 * np.eye(vectors.shape[1])

    @classmethod
    def fit(cls, data: InteractionArrays, n_movies: int, config: ModelConfig) -> Self:
        movies = movies_with_events(data, n_movies, config, config.max_factored_movies)
        columns = columns_of(movies, n_movies)
        kept = columns[data.rows] >= 0
        if not kept.any():
            empty = np.zeros((0, config.als_factors), np.float32)
            return cls(np.zeros(0, np.int64), empty, config.als_alpha, config.als_l2, n_movies)
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        confidence = config.als_alpha * preference(_centred(data))[kept]
        events = csr_matrix(
            (confidence.astype(np.float32), (data.users[kept], columns[data.rows[kept]])),
            shape=(len(data.user_ids), len(movies)),
        )
        with threadpool_limits(1, "blas"):  # The library runs its own threads over users.
            model = AlternatingLeastSquares(
                factors=config.als_factors,
                regularization=config.als_l2,
                alpha=1.0,
                iterations=config.als_iterations,
                random_state=config.seed,
                num_threads=config.n_threads,
            )
            model.fit(events, show_progress=False)
        return cls(
            movies, np.asarray(model.item_factors, np.float32), config.als_alpha, config.als_l2, n_movies
        )

    def fold_in(self, query: Query) -> NDArray[np.float32]:
        """The user vector that minimises the fit's objective for this history alone; zeros if empty."""
        columns = self.support.columns[query.rows]
        usable = query.is_presence & (columns >= 0)
        if not usable.any():
            return np.zeros(self.factors.shape[1], np.float32)
        vectors = self.factors[columns[usable]].astype(np.float64)
        extra = self.alpha * preference(query.centred[usable])
        system = self._gram + (vectors.T * extra) @ vectors
        return np.linalg.solve(system, vectors.T @ (1.0 + extra)).astype(np.float32)

    def scores(self, query: Query) -> NDArray[np.float32]:
        return self.factors @ self.fold_in(query)

    def arrays(self) -> Arrays:
        settings = np.array([self.alpha, self.l2, self.support.n_movies], np.float64)
        return {"movies": self.support.rows, "factors": self.factors, "settings": settings}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        alpha, l2, n_movies = (float(value) for value in arrays["settings"])
        return cls(arrays["movies"], arrays["factors"], alpha, l2, int(n_movies))


def preference(centred: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much an event says that the user wants more like it; even a low rating says a little."""
    return np.maximum(0.1, 1.0 + centred.astype(np.float64) / 2)


def _centred(data: InteractionArrays) -> NDArray[np.float32]:
    """Ratings minus their user's mean; 0 where there is no opinion."""
    has_opinion = ~np.isnan(data.ratings)
    ratings = np.where(has_opinion, data.ratings, 0.0)
    n = np.bincount(data.users, has_opinion, minlength=len(data.user_ids))
    mean = np.bincount(data.users, ratings, minlength=len(data.user_ids)) / np.maximum(n, 1)
    return np.where(has_opinion, data.ratings - mean[data.users], 0.0).astype(np.float32)
