"""The feature matrix of one request: the same function for training, evaluation and `/rank`."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.feature import Feature
from movierank_core.features.movie_state import MovieState
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query


def assemble(
    query: Query, candidates: Candidates, movies: MovieState, features: tuple[Feature, ...]
) -> NDArray[np.float32]:
    """[n_candidates, n_features], columns in the order of `features`; NaN means unknown.

    Only the blocks that compute one of the features run. They read facts of movies at the moment of the
    state's fit, and facts of the history before the query's `as_of`. Raises BundleError if the state has no
    array that one of these blocks needs, KeyError for a feature that no block computes.
    """
    blocks = movies.prepare(features)
    request = FeatureRequest.of(
        query,
        candidates,
        log_events=movies.log_events,
        mean_ratings=movies.mean_rating,
        release_years=movies.release_year,
    )
    # One feature after another in memory: blocks write them and the trees read them in this order.
    values = np.empty((blocks.n_rows, len(candidates.rows)), np.float32)
    for block, start, stop in blocks.parts:
        block.fill(values[start:stop], request)
    return (values if blocks.rows is None else values[blocks.rows]).T
