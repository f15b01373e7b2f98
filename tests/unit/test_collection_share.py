"""The share of the history in a movie's collection."""

import numpy as np
import polars as pl

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import Event, History
from movierank_core.features.blocks.collection import Collection
from movierank_core.features.registry import all_features
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from tests.support.world import CONFIG, World


def test_it_counts_the_movies_of_the_history_in_the_same_collection(world: World) -> None:
    frame, data = world.catalogue_frame, world.data
    # Movies 10, 50, 90, … are collection A, movies 20, 60, 100, … collection B.
    names = [{0: "A", 1: "B"}.get(row % 4) for row in range(frame.height)]
    catalogue = Catalogue(frame.with_columns(pl.Series("collection", names, pl.String)))
    fitted, last = int(np.quantile(data.timestamps, 0.7)), int(data.timestamps.max())
    history = History.from_events(
        [
            Event(movie_id, "like", last - age)
            for movie_id, age in ((10, 90), (50, 80), (20, 70), (30, 60), (40, 50))
        ]
    )
    state = fit_state(data, catalogue, fitted, CONFIG)
    found = candidate_rows(state, catalogue, history, last, all_features())
    column = [feature.name for feature in all_features()].index(Collection.FEATURES[0].name)
    expected = np.array([2 / 5, 1 / 5, np.nan, np.nan])[found.candidates.rows % 4]
    assert {0, 1, 2, 3} == set((found.candidates.rows % 4).tolist())
    np.testing.assert_allclose(found.matrix[:, column], expected, rtol=1e-6)
