"""EASE (Steck 2019) on likes, on presence, and on presence with recent movies weighing more."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.kernels.square import negate_and_divide_columns
from movierank_core.retrieval.fit_context import FitContext, co_occurrence
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.sources.item_to_item import (
    Collaborative,
    RecencyWeighted,
    not_positive_definite,
)


class EaseLikes(Collaborative):
    """What people who liked these movies like as well."""

    name = "ease_likes"
    label = "Liked together (EASE)"
    family = "liked_together"
    meaning = "EASE on the history's likes"

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        is_like = context.data.is_like
        if not is_like.any():
            return np.zeros((len(movies), len(movies)), np.float32)
        n_threads = context.config.n_threads
        liked_both = co_occurrence(context.data, is_like, movies, context.n_movies, n_threads)
        return ease_weights(liked_both, ease_l2(context.config, int(is_like.sum())), n_threads)

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return query.is_liked.astype(np.float32)


class EasePresence(Collaborative):
    """What people who watched these movies watch as well, liked or not."""

    name = "ease_presence"
    label = "Watched together (EASE)"
    family = "watched_together"
    meaning = "EASE on the whole history"

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        gram = context.shared_viewers(movies).copy()  # Item neighbours read the counts after this source.
        return ease_weights(gram, ease_l2(context.config, len(context.data)), context.config.n_threads)


class EaseRecent(RecencyWeighted):
    """The weights of `EasePresence`, with a history whose older movies weigh less."""

    name = "ease_recent"
    label = "Watched together lately (EASE)"
    family = "watched_next"
    meaning = "EASE on the history, the latest counting most"
    shares_neighbours_of = EasePresence
    decay_before_stored = 0.9

    @classmethod
    def history_decay(cls, config: ModelConfig) -> float:
        return config.ease_history_decay

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        return EasePresence.weights(context, movies)


def ease_l2(config: ModelConfig, n_events: int) -> float:
    """The L2 penalty for so many events: `ease_l2` at 100,000, growing with their square root."""
    return float(config.ease_l2 * np.sqrt(n_events / 100_000))


def ease_weights(gram: NDArray[np.float32], l2: float, n_threads: int) -> NDArray[np.float32]:
    """B of EASE (Steck 2019, eq. 8): the item-item regression with a zero diagonal, in closed form.

    B = I - P / diag(P), columnwise, with P = (gram + l2 I)^-1. `gram` [n, n] is symmetric; B takes its place,
    so no second matrix is made. Raises ConfigError where gram + l2 I is not positive definite in single
    precision.
    """
    from scipy.linalg.lapack import spotrf, spotri

    # 1. Add the penalty. The transpose is in the column order that LAPACK overwrites without a copy.
    gram[np.diag_indices_from(gram)] += np.float32(l2)
    # 2. Invert by Cholesky, which takes a third of the time of LU. LAPACK reports failure only by `info`.
    factor, info = spotrf(gram.T, lower=True, overwrite_a=True, clean=False)
    if info != 0:
        raise not_positive_definite("EASE", "ease_l2", l2)
    inverse, info = spotri(factor, lower=True, overwrite_c=True)
    if info != 0:
        raise not_positive_definite("EASE", "ease_l2", l2)
    # 3. LAPACK fills the lower triangle, the upper one of the transpose. Mirror it, divide each column by its
    # diagonal entry, and set the diagonal to 0.
    weights: NDArray[np.float32] = inverse.T
    negate_and_divide_columns(weights, n_threads)
    return weights
