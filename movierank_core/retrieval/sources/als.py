"""Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008), folded in per request."""

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.query import Query, shrunken_mean
from movierank_core.retrieval.source import Arrays, Source, Support

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class ImplicitALS(Source):
    """Movie vectors from the `implicit` library; a user's vector is solved from their history.

    The confidence of an observed movie is 1 + alpha * w with w = max(0.1, 1 + centred rating / 2). The fit
    and the fold-in centre a rating on the same mean: that of the user's whole history, shrunken towards the
    mean of all ratings. So the fold-in of a history is the half-sweep of the fit for that user, up to the
    movies beyond `max_history`.
    """

    name = "als"
    label = "Taste factors (ALS)"
    family = "taste_match"
    meaning = "matrix factorisation with the history folded in"

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
    def fit(cls, context: FitContext) -> Self:
        config = context.config
        movies = context.movies(config.max_factored_movies)
        if len(movies) == 0:
            empty = np.zeros((0, config.als_factors), np.float32)
            return cls(movies[:0], empty, config.als_alpha, config.als_l2, context.n_movies)
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):  # The library runs its own threads over users.
            model = AlternatingLeastSquares(
                factors=config.als_factors,
                regularization=config.als_l2,
                alpha=1.0,
                iterations=config.als_iterations,
                random_state=config.seed,
                num_threads=config.n_threads,
            )
            model.fit(confidences(context, movies), show_progress=False)
        factors = np.asarray(model.item_factors, np.float32)
        return cls(movies, factors, config.als_alpha, config.als_l2, context.n_movies)

    def fold_in(self, query: Query) -> NDArray[np.float32]:
        """[n_factors] user vector that minimises the fit's objective for this history; zeros if it is empty.

        Solves (V'V + l2 I + V_h' diag(alpha w) V_h) u = V_h' (1 + alpha w), with V the vectors of all movies
        and V_h those of the history (Hu, Koren and Volinsky 2008, eq. 4).
        """
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
    """The weight w of an event in the confidence: 1 + half the centred rating, at least 0.1."""
    return np.maximum(0.1, 1.0 + centred.astype(np.float64) / 2)


def confidences(context: FitContext, movies: NDArray[np.int64]) -> "csr_matrix":
    """[n_users, len(movies)]: the confidence of each event, as float32; the objective of the fit.

    An event without a rating weighs as one at the user's mean.
    """
    from scipy.sparse import csr_matrix

    data, columns = context.data, context.columns(movies)
    # 1. The shrunken mean of each user, as `Query.of` computes it.
    has_opinion = ~np.isnan(data.ratings)
    ratings = np.where(has_opinion, data.ratings, 0.0).astype(np.float64)
    mean_of_all = float(data.ratings[has_opinion].astype(np.float64).mean()) if has_opinion.any() else 3.5
    n_users = len(data.user_ids)
    means = shrunken_mean(
        np.bincount(data.users, ratings, minlength=n_users),
        np.bincount(data.users, has_opinion, minlength=n_users),
        mean_of_all,
        context.config.user_prior_weight,
    )
    # 2. The confidence of the events whose movies have factors.
    centred = np.where(has_opinion, data.ratings - means.astype(np.float32)[data.users], 0).astype(np.float32)
    kept = columns >= 0
    confidence = (1.0 + context.config.als_alpha * preference(centred[kept])).astype(np.float32)
    return csr_matrix((confidence, (data.users[kept], columns[kept])), shape=(n_users, len(movies)))
