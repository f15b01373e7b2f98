"""Features that look at a movie from the latest event of the history, whenever state and request come."""

import numpy as np
import pytest

from movierank_core.data.history import EVENT_TYPES, History
from movierank_core.data.timestamps import DAY_SECONDS, YEAR_SECONDS
from movierank_core.features.registry import all_features
from movierank_core.recommender.model import candidate_rows
from movierank_core.recommender.state import fit_state
from tests.support.simulated import CONFIG, SimulatedRatings

NAMES = [feature.name for feature in all_features()]


@pytest.mark.parametrize("request_days", [1, 342, 776])
@pytest.mark.parametrize("state_days", [0, 30])
def test_age_and_days_known_are_those_at_the_latest_event_of_the_history(
    simulated: SimulatedRatings, state_days: int, request_days: int
) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    latest = int(np.quantile(data.timestamps, 0.5))
    rating = EVENT_TYPES["rating"].code
    history = History.of_arrays([10, 20, 30], [5.0, 4.0, 3.0], [latest - 9, latest - 5, latest], [rating] * 3)
    moment = latest + state_days * DAY_SECONDS
    state = fit_state(data, catalogue, moment, CONFIG)
    as_of = moment + request_days * DAY_SECONDS
    found = candidate_rows(state, catalogue, history, as_of, all_features())
    rows = found.candidates.rows
    ages = 1970 + latest / YEAR_SECONDS - catalogue.frame["release_year"].to_numpy()[rows]
    np.testing.assert_allclose(found.matrix[:, NAMES.index("age_at_latest")], ages, atol=1e-3)
    past = data.before(moment)
    first = np.array([past.timestamps[past.rows == row].min(initial=2**60) for row in rows])
    days = np.where(first < 2**60, (latest - first) / DAY_SECONDS, np.nan)
    known = found.matrix[:, NAMES.index("days_known_at_latest")]
    np.testing.assert_allclose(known, np.sign(days) * np.log1p(np.abs(days)), atol=1e-3)
