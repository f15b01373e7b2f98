"""EASE (Steck 2019) on likes, on presence, and on presence with recent movies weighing more."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
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
        liked_both = co_occurrence(context.data, is_like, movies, context.n_movies)
        return ease_weights(liked_both, ease_l2(context.config, int(is_like.sum())))

    def history_weights(self, query: Query) -> NDArray[np.float32]:
        return query.is_liked.astype(np.float32)


class EasePresence(Collaborative):
    """What people who watched these movies watch as well, liked or not."""

    name = "ease_presence"
    label = "Watched together (EASE)"
    family = "watched_together"
    meaning = "EASE on the whole history"
    uses_shared_viewers = True

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        return ease_weights(context.shared_viewers(movies), ease_l2(context.config, len(context.data)))


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


def ease_weights(gram: NDArray[np.float32], l2: float) -> NDArray[np.float32]:
    """B of EASE (Steck 2019, eq. 8): the item-item regression with a zero diagonal, in closed form.

    B = I - P / diag(P), columnwise, with P = (gram + l2 I)^-1. `gram` [n, n] is symmetric and stays as it
    is. Raises ConfigError where gram + l2 I is not positive definite in single precision.
    """
    from scipy.linalg.lapack import spotrf, spotri

    # 1. Add the penalty, in the column order that LAPACK overwrites without a copy.
    penalised = np.array(gram, order="F")
    penalised[np.diag_indices_from(penalised)] += np.float32(l2)
    # 2. Invert by Cholesky, which takes a third of the time of LU. LAPACK reports failure only by `info`.
    factor, info = spotrf(penalised, lower=True, overwrite_a=True, clean=False)
    if info != 0:
        raise not_positive_definite("EASE", "ease_l2", l2)
    triangle, info = spotri(factor, lower=True, overwrite_c=True)
    if info != 0:
        raise not_positive_definite("EASE", "ease_l2", l2)
    # 3. LAPACK fills the lower triangle; the upper one is its mirror image.
    inverse = np.tril(triangle)
    inverse += np.tril(triangle, -1).T
    # 4. Divide each column by its diagonal entry, and set the diagonal to 0.
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32, copy=False)
