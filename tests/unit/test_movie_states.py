"""Movie states of several moments, kept and used as if they were fitted with the sources."""

from pathlib import Path

import numpy as np

from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.movie_state import MovieState
from movierank_core.recommender.state import fit_movie_state
from movierank_pipeline.evaluation.experiment import rows_of
from movierank_pipeline.evaluation.protocols.temporal import temporal_protocol
from movierank_pipeline.training.movie_states import MovieStates, fit_movie_states, movie_table
from movierank_pipeline.training.requests import fit_moments, plan_requests
from tests.support.simulated import CONFIG, SimulatedRatings


def same(one: MovieState, other: MovieState) -> bool:
    mine, theirs = one.arrays(), other.arrays()
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name], theirs[name], equal_nan=mine[name].dtype.kind == "f") for name in mine
    )


def test_states_come_back_as_they_were(simulated: SimulatedRatings, tmp_path: Path) -> None:
    moments = fit_moments(simulated.data, CONFIG)
    states = fit_movie_states(simulated.data, simulated.catalogue, moments)
    states.save(tmp_path / "states")
    loaded = MovieStates.load(tmp_path / "states")
    assert list(loaded.by_moment) == moments
    assert all(same(loaded.by_moment[moment], states.by_moment[moment]) for moment in moments)


def test_events_at_or_after_a_moment_never_change_its_state(simulated: SimulatedRatings) -> None:
    moment = fit_moments(simulated.data, CONFIG)[0]
    earlier: InteractionArrays = simulated.data.select(simulated.data.timestamps < moment)
    assert same(
        fit_movie_states(simulated.data, simulated.catalogue, [moment]).by_moment[moment],
        fit_movie_state(earlier, simulated.catalogue, moment),
    )


def test_training_rows_and_test_state_are_the_same_with_states_at_hand(simulated: SimulatedRatings) -> None:
    data, catalogue = simulated.data, simulated.catalogue
    requests = plan_requests(data, catalogue, CONFIG)
    states = fit_movie_states(data, catalogue, fit_moments(data, CONFIG))
    fitted = temporal_protocol(data, catalogue, CONFIG)
    given = temporal_protocol(data, catalogue, CONFIG, requests, states.by_moment)
    assert rows_of(given).frame.equals(rows_of(fitted).frame)
    holdout = given.holdout(None)
    assert holdout.state.movies is states.by_moment[holdout.state.as_of]
    assert same(holdout.state.movies, fitted.holdout(None).state.movies)


def test_the_table_has_one_row_per_movie_and_null_for_unknown(simulated: SimulatedRatings) -> None:
    moment = fit_moments(simulated.data, CONFIG)[0]
    state = fit_movie_state(simulated.data, simulated.catalogue, moment)
    table = movie_table(state, simulated.catalogue, moment)
    assert table["movie_id"].to_list() == simulated.catalogue.movie_ids.tolist()
    assert table["n_events"].to_list() == state.n_events.tolist()
    assert table["days_known"].null_count() == int((state.n_events == 0).sum())
    assert "language" not in table.columns
