"""A request that admits no movie has an empty answer."""

import numpy as np

from movierank_core.features.matrix import assemble
from movierank_core.features.registry import feature_list
from movierank_core.recommender.state import fit_state
from tests.support.simulated import CONFIG, SimulatedRatings


def test_no_candidates_make_a_matrix_without_rows(simulated: SimulatedRatings) -> None:
    data, catalogue, features = simulated.data, simulated.catalogue, feature_list()
    as_of = int(data.timestamps.max()) + 1
    state = fit_state(data, catalogue, as_of, CONFIG)
    query = state.query(data.history(0), catalogue, as_of)
    candidates = state.candidates(query, np.zeros(len(catalogue), np.bool_))
    assert len(query)
    assert len(candidates.rows) == 0
    assert assemble(query, candidates, state.movies, features).shape == (0, len(features))
