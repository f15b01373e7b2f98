"""Counting what people have in common."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.interactions import InteractionArrays
from movierank_core.retrieval.sources.item_to_item import positions_of


def co_occurrence(
    data: InteractionArrays,
    mask: NDArray[np.bool_],
    movies: NDArray[np.int64],
    n_movies: int,
    user_weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """How many users have both movies, over the events of `mask`: dense, [len(movies), len(movies)].

    With `user_weights` (one per dense user), the sum of the weights of those users.
    """
    from scipy.sparse import csr_array

    columns = positions_of(movies, n_movies)[data.rows[mask]]
    kept = columns >= 0
    users = data.users[mask][kept]
    seen = csr_array(
        (np.ones(int(kept.sum()), np.float32), (users, columns[kept])),
        shape=(len(data.user_ids), len(movies)),
    )
    if user_weights is None:
        return (seen.T @ seen).toarray().astype(np.float32)
    weighted = seen.multiply(user_weights.astype(np.float32)[:, None]).tocsr()
    return (seen.T @ weighted).toarray().astype(np.float32)
