"""Whoever asks for a history as of a moment gets what was known then, whatever was said of a movie since."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_core.data.history import EVENT_TYPES, UNDO, Event, History, rating_of
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import INTERACTIONS
from tests.support.simulated import SimulatedRatings, make_catalogue

CHANGED_MIND = [Event(10, "rating", 100, 2.0), Event(20, "rating", 110, 4.0), Event(10, "rating", 200, 5.0)]


def rows_of(history: History) -> list[tuple[object, ...]]:
    columns = (history.movie_ids, history.ratings, history.timestamps, history.event_codes)
    return [tuple(map(str, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]


def interactions_of(events: list[Event]) -> pl.DataFrame:
    """INTERACTIONS of user 1, sorted."""
    rows = [
        (
            1,
            event.movie_id,
            event.event_type,
            None if (rating := rating_of(event.event_type, event.rating)) != rating else rating,
            datetime.fromtimestamp(event.timestamp, UTC),
        )
        for event in events
    ]
    return pl.DataFrame(rows, schema=INTERACTIONS, orient="row").sort("timestamp", maintain_order=True)


def test_a_movie_rated_again_later_has_its_earlier_rating_then() -> None:
    assert History.from_events(CHANGED_MIND, as_of=150).ratings.tolist() == [2.0, 4.0]
    assert History.from_events(CHANGED_MIND, as_of=200).movie_ids.tolist() == [10, 20]
    assert History.from_events(CHANGED_MIND, as_of=201).movie_ids.tolist() == [20, 10]


def test_an_undo_of_tomorrow_withdraws_nothing_today() -> None:
    events = [Event(10, "like", 100), Event(10, UNDO, 200)]
    assert len(History.from_events(events, as_of=200)) == 1
    assert len(History.from_events(events, as_of=201)) == 0


def test_a_finished_history_refuses_to_be_cut() -> None:
    history = History.from_events(CHANGED_MIND)
    assert history.before(201) is history
    with pytest.raises(ValueError, match="Cut the events first") as refused:
        history.before(200)
    assert str(refused.value) == (
        "The last event of the history is at 200, not before 200. Cut the events first:"
        " `History.from_events(events, as_of=…)`"
    )


EVENTS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(sorted(EVENT_TYPES)), st.integers(0, 8)), max_size=12
)


@settings(deadline=None)
@given(EVENTS, st.integers(0, 9))
def test_a_table_of_events_gives_the_history_of_any_moment(
    rows: list[tuple[int, str, int]], as_of: int
) -> None:
    events = [Event(10 * movie, kind, seconds, 3.0) for movie, kind, seconds in rows]
    data = InteractionArrays.from_frame(
        interactions_of(events), SimulatedRatings(pl.DataFrame(), make_catalogue(5)).catalogue
    )
    if events:
        assert rows_of(data.history(0, as_of)) == rows_of(History.from_events(events, as_of=as_of))
