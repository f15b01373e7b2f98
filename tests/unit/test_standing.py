"""Which event of a user and movie stands, in the fits, the labels and the evaluation."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import Event, History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import FEEDBACK, RATINGS
from movierank_core.data.timestamps import from_epoch
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.evaluation.protocols.strong import strong_split
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.training.requests import draw_requests, replay
from tests.support.simulated import CONFIG, START, SimulatedRatings, make_catalogue, simulate_ratings

Row = tuple[int, int, str, float | None, int]
"""(user, movie, event type, rating, seconds since 1970)."""


def arrays(rows: list[Row], n_movies: int = 3) -> InteractionArrays:
    return InteractionArrays.from_frame(interactions(rows), Catalogue(make_catalogue(n_movies)))


def interactions(rows: list[Row], ratings: pl.DataFrame | None = None) -> pl.DataFrame:
    feedback = pl.DataFrame(
        [
            (f"{number}", user, movie, kind, rating, None, None, from_epoch(time))
            for number, (user, movie, kind, rating, time) in enumerate(rows)
        ],
        schema=FEEDBACK,
        orient="row",
    )
    return build_interactions(pl.DataFrame(schema=RATINGS) if ratings is None else ratings, feedback)


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


@pytest.fixture(scope="module")
def simulated() -> SimulatedRatings:
    return simulate_ratings(n_users=40, n_movies=30)


def with_clicks(simulated: SimulatedRatings) -> InteractionArrays:
    """Everybody clicks on each movie a second after rating it."""
    clicks: list[Row] = [
        (user, movie, "click", None, seconds(time) + 1)
        for user, movie, _, time in simulated.ratings.iter_rows()
    ]
    return InteractionArrays.from_frame(interactions(clicks, simulated.ratings), simulated.catalogue)


def assert_same_state(one: RankingState, other: RankingState) -> None:
    for name, source in one.sources.items():
        for key, array in source.arrays().items():
            np.testing.assert_array_equal(array, other.sources[name].arrays()[key], err_msg=f"{name}.{key}")
    for key, array in one.movies.arrays().items():
        np.testing.assert_array_equal(array, other.movies.arrays()[key], err_msg=key)


def test_a_click_after_a_rating_changes_no_fit(simulated: SimulatedRatings) -> None:
    as_of = seconds(START) + 20 * 86_400
    plain = fit_state(simulated.data, simulated.catalogue, as_of, CONFIG)
    assert plain.movies.n_events.sum() > 100
    assert_same_state(fit_state(with_clicks(simulated), simulated.catalogue, as_of, CONFIG), plain)


def test_a_click_after_a_rating_changes_no_target_and_no_label(simulated: SimulatedRatings) -> None:
    start, stop = seconds(START) + 20 * 86_400, seconds(START) + 50 * 86_400
    tables = []
    for data in (simulated.data, with_clicks(simulated)):
        requests = draw_requests(
            data,
            simulated.catalogue,
            start,
            stop,
            moments=10_000,
            rng=np.random.default_rng(0),
            episode=0,
            role="test",
        )
        moments = {
            (request.user_id, request.as_of): (request.targets.tolist(), request.later_ratings)
            for request in replay(requests.with_columns(request_id=pl.lit(0)), data, simulated.catalogue)
        }
        tables.append(moments)
    plain, clicked = tables
    assert len(plain) > 20
    # Clicks add moments at which a user can ask; at the moments of the ratings nothing changes.
    assert {moment: clicked[moment] for moment in plain} == plain


def test_a_click_after_a_rating_keeps_the_rating_of_training_rows(simulated: SimulatedRatings) -> None:
    data = with_clicks(simulated)
    config_moments = [seconds(START) + 15 * 86_400, seconds(START) + 60 * 86_400]
    user = int(data.users[np.flatnonzero(data.timestamps > config_moments[0])[0]])
    later = data.ratings_between(user, *config_moments)
    plain = simulated.data.ratings_between(user, *config_moments)
    assert later == plain
    assert len(plain) > 0


def test_the_event_that_stands_keeps_its_own_time_and_order() -> None:
    rows: list[Row] = [
        (1, 10, "rating", 5.0, 100),
        (1, 20, "rating", 3.0, 150),
        (1, 10, "click", None, 200),
        (1, 30, "click", None, 250),
        (1, 30, "click", None, 260),
    ]
    data = arrays(rows).standing()
    assert data.movie_ids.tolist() == [10, 20, 30]
    assert data.timestamps.tolist() == [100, 150, 260]
    history = arrays(rows).history(0)
    assert (history.movie_ids.tolist(), history.timestamps.tolist()) == ([10, 20, 30], [100, 150, 260])


def test_of_equal_timestamps_the_later_row_stands() -> None:
    rows: list[Row] = [(1, 10, "like", None, 100), (1, 10, "dislike", None, 100), (1, 10, "click", None, 100)]
    assert arrays(rows).standing().ratings.tolist() == [1.5]


def test_a_later_opinion_replaces_an_earlier_one_in_targets_and_labels() -> None:
    rows: list[Row] = [
        (9, 10, "rating", 4.0, 10),
        (9, 20, "rating", 4.0, 10),
        (1, 10, "like", None, 100),
        (1, 20, "like", None, 110),
        (1, 10, "dislike", None, 120),
    ]
    data = arrays(rows)
    requests = draw_requests(
        data,
        Catalogue(make_catalogue(3)),
        50,
        200,
        moments=10,
        rng=np.random.default_rng(0),
        episode=0,
        role="test",
    )
    assert requests["targets"].to_list() == [[20], [20]]
    assert data.ratings_between(0, 100, 200) == {0: 1.5, 1: 4.5}
    assert data.ratings_between(0, 100, 120) == {0: 4.5, 1: 4.5}


def test_a_movie_that_was_only_clicked_before_can_still_be_a_target() -> None:
    rows: list[Row] = [
        (9, 10, "rating", 4.0, 10),
        (9, 20, "rating", 4.0, 10),
        (1, 10, "click", None, 20),
        (1, 20, "seen", None, 20),
        (1, 10, "like", None, 100),
        (1, 20, "like", None, 100),
    ]
    requests = draw_requests(
        arrays(rows),
        Catalogue(make_catalogue(3)),
        50,
        200,
        moments=10,
        rng=np.random.default_rng(0),
        episode=0,
        role="test",
    )
    assert requests["targets"].to_list() == [[10]]


def test_hidden_movies_are_neither_watched_nor_popular(simulated: SimulatedRatings) -> None:
    as_of = seconds(START) + 60 * 86_400
    hides: list[Row] = [(user, 300, "not_interested", None, as_of - 1000) for user in range(1001, 1011)]
    hidden = InteractionArrays.from_frame(interactions(hides, simulated.ratings), simulated.catalogue)
    plain = fit_state(simulated.data, simulated.catalogue, as_of, CONFIG)
    state = fit_state(hidden, simulated.catalogue, as_of, CONFIG)
    for name, source in plain.sources.items():
        for key, array in source.arrays().items():
            np.testing.assert_array_equal(state.sources[name].arrays()[key], array, err_msg=f"{name}.{key}")
    for key, array in plain.movies.arrays().items():
        np.testing.assert_array_equal(state.movies.arrays()[key], array, err_msg=key)


def test_hides_of_a_viewer_change_no_fit_and_no_mean_of_theirs(simulated: SimulatedRatings) -> None:
    as_of = seconds(START) + 60 * 86_400
    hides: list[Row] = [
        (user, movie, "not_interested", None, as_of - 1000)
        for user in range(1, 41)
        for movie in set(range(10, 310, 10)) - set(simulated.ratings.filter(user_id=user)["movie_id"])
    ]
    hidden = InteractionArrays.from_frame(interactions(hides, simulated.ratings), simulated.catalogue)
    plain = fit_state(simulated.data, simulated.catalogue, as_of, CONFIG)
    state = fit_state(hidden, simulated.catalogue, as_of, CONFIG)
    assert_same_state(state, plain)
    for user in range(5):
        one, other = (
            plain.query(data.history(user), simulated.catalogue, as_of) for data in (hidden, simulated.data)
        )
        assert (one.mean_rating, one.like_share) == (other.mean_rating, other.like_share)
        assert not one.is_presence.all()


def test_a_movie_is_known_since_its_first_event_not_since_the_one_that_stands() -> None:
    day = 86_400
    rows: list[Row] = [
        (1, 10, "rating", 3.0, 10 * day),
        (1, 10, "rating", 4.0, 90 * day),
        (2, 10, "rating", 5.0, 50 * day),
        (1, 20, "click", None, 30 * day),
        (1, 20, "like", None, 80 * day),
        (1, 30, "not_interested", None, 5 * day),
        (1, 30, "like", None, 70 * day),
    ]
    state = fit_state(arrays(rows), Catalogue(make_catalogue(3)), 100 * day, CONFIG)
    assert state.movies.days_known.tolist() == [90.0, 70.0, 30.0]
    assert state.movies.n_events.tolist() == [2, 1, 1]
    undone: list[Row] = [(1, 10, "rating", 3.0, 10 * day), (1, 10, "undo", None, 20 * day), *rows[1:]]
    state = fit_state(arrays(undone), Catalogue(make_catalogue(3)), 100 * day, CONFIG)
    assert state.movies.days_known.tolist() == [50.0, 70.0, 30.0]


def test_three_ratings_outrank_ten_hides() -> None:
    rows: list[Row] = [(user, 10, "rating", 5.0, 100) for user in (1, 2, 3)]
    rows += [(user, 20, "not_interested", None, 100) for user in range(4, 14)]
    state = fit_state(arrays(rows), Catalogue(make_catalogue(3)), 200, CONFIG)
    assert state.movies.n_events.tolist() == [3, 0, 0]
    popularity = state.sources["popularity"]
    assert popularity.support.rows.tolist() == [0]
    assert state.is_known.tolist() == [True, False, False]


def test_only_what_stands_is_split_for_strong_generalisation(simulated: SimulatedRatings) -> None:
    clicks: list[Row] = [
        (user, movie, "click", None, seconds(time) + 1)
        for user, movie, _, time in simulated.ratings.iter_rows()
    ]
    both = interactions(clicks, simulated.ratings)
    for one, other in zip(
        strong_split(both, CONFIG), strong_split(simulated.interactions, CONFIG), strict=True
    ):
        assert one.equals(other)


def test_a_history_then_a_click_keeps_the_opinion() -> None:
    history = History.from_events([Event(10, "rating", 100, 5.0)]).then([Event(10, "click", 200)])
    assert (history.ratings.tolist(), history.timestamps.tolist()) == ([5.0], [100])
