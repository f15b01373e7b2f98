"""A denoising linear autoencoder with a relaxed diagonal (Moon, Kim and Lee 2023)."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.retrieval.fit_context import FitContext
from movierank_core.retrieval.sources.ease import ease_l2, penalised_inverse
from movierank_core.retrieval.sources.item_to_item import Collaborative


class RelaxedAutoencoder(Collaborative):
    """What people who watched these movies watch as well, by RDLAE: popular movies are penalised more.

    EASE has one penalty for all movies and a diagonal of 0. Here dropout of history items adds
    p / (1 - p) times a movie's events to its penalty, and the diagonal may reach a limit xi above 0:
    B = I - P diag(m) with P = (G + L)^-1, L = l2 I + p / (1 - p) diag(G) and
    m_j = max(L_jj, (1 - xi) / P_jj), from G the shared viewers.
    """

    name = "relaxed_autoencoder"
    label = "Watched together (RDLAE)"
    family = "watched_together"
    meaning = "a denoising linear autoencoder on the whole history"
    uses_shared_viewers = True

    @classmethod
    def weights(cls, context: FitContext, movies: NDArray[np.int64]) -> NDArray[np.floating]:
        config = context.config
        dropout = config.relaxed_dropout
        l2 = ease_l2(config, len(context.data))
        return relaxed_weights(context.shared_viewers(movies), l2, dropout, config.relaxed_diagonal)


def relaxed_weights(
    gram: NDArray[np.float32], l2: float, dropout: float, max_diagonal: float
) -> NDArray[np.float32]:
    """B of RDLAE (Moon, Kim and Lee 2023) without its diagonal, which scores only seen movies.

    `gram` [n, n] stays as it is; 0 <= `dropout` < 1; 0 <= `max_diagonal` < 1. Without dropout and with a
    limit of 0 it is B of EASE. Raises ConfigError as `ease_weights` does.
    """
    # 1. The penalty of each movie: l2, and the share of its events that dropout would hide.
    penalties = np.float32(l2) + np.float32(dropout / (1 - dropout)) * np.diag(gram)
    # 2. P, the inverse of the penalised Gram matrix.
    inverse = penalised_inverse(gram, penalties)
    # 3. The multiplier of each column: the penalty, or more where the diagonal would pass its limit.
    multipliers = np.maximum(penalties, (1 - np.float32(max_diagonal)) / np.diag(inverse))
    # 4. B without its diagonal.
    weights = -inverse * multipliers
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32, copy=False)
