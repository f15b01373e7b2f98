"""Features that look at a movie from the latest event of the history, whenever the request comes."""

import numpy as np

from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.timestamps import YEAR_SECONDS
from movierank_core.features.registry import all_features
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from tests.support.simulated import CONFIG, SimulatedRatings

NAMES = [feature.name for feature in all_features()]


def test_age_and_days_known_are_those_at_the_latest_event_of_the_history(simulated: SimulatedRatings) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    latest = int(np.quantile(data.timestamps, 0.02))
    rating = EVENT_TYPES["rating"].code
    history = History.of_arrays([10, 20, 30], [5.0, 4.0, 3.0], [latest - 9, latest - 5, latest], [rating] * 3)
    as_of = int(data.timestamps.max()) + 86_400
    found = candidate_rows(
        fit_state(data, catalogue, as_of, CONFIG), catalogue, history, as_of, all_features()
    )
    rows = found.candidates.rows
    ages = 1970 + latest / YEAR_SECONDS - catalogue.frame["release_year"].to_numpy()[rows]
    np.testing.assert_allclose(found.matrix[:, NAMES.index("age_at_latest")], ages, atol=1e-3)
    first = np.array([data.timestamps[data.rows == row].min(initial=2**60) for row in rows])
    days = np.where(first < 2**60, (latest - first) / 86_400, np.nan)
    known = found.matrix[:, NAMES.index("days_known_at_latest")]
    np.testing.assert_allclose(known, np.sign(days) * np.log1p(np.abs(days)), atol=1e-3)
    assert {-1.0, 1.0} <= set(np.sign(known).tolist())
