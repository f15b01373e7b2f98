"""What holds of histories for any stream of events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from movierank_core.data.history import EVENT_TYPES, UNDO, Event, History

ratings = st.integers(1, 10).map(lambda half: half / 2)


@st.composite
def events(draw: st.DrawFn, *, undo: bool = True, distinct_times: bool = False) -> list[Event]:
    kinds = st.sampled_from([*EVENT_TYPES, *([UNDO] if undo else [])])
    times = draw(st.lists(st.integers(0, 30), max_size=15, unique=distinct_times))
    made = []
    for time in times:
        kind = draw(kinds)
        rating = draw(ratings) if kind == "rating" else None
        made.append(Event(draw(st.integers(1, 5)), kind, time, rating))
    return made


def assert_same(one: History, other: History) -> None:
    assert_array_equal(one.movie_ids, other.movie_ids)
    assert_array_equal(one.ratings, other.ratings)
    assert_array_equal(one.timestamps, other.timestamps)
    assert_array_equal(one.event_codes, other.event_codes)


@given(stream=events(distinct_times=True), seed=st.integers(0, 2**32))
def test_the_order_of_events_at_distinct_times_does_not_matter(stream: list[Event], seed: int) -> None:
    shuffled = [stream[number] for number in np.random.default_rng(seed).permutation(len(stream))]
    assert_same(History.from_events(shuffled), History.from_events(stream))


@given(stream=events())
def test_a_history_has_each_movie_once_and_time_does_not_run_back(stream: list[Event]) -> None:
    history = History.from_events(stream)
    assert len(np.unique(history.movie_ids)) == len(history)
    assert (np.diff(history.timestamps) >= 0).all()
    assert set(history.movie_ids.tolist()) <= {event.movie_id for event in stream}
    known = history.ratings[~np.isnan(history.ratings)]
    assert ((known >= 0.5) & (known <= 5)).all()


@given(stream=events(), as_of=st.integers(-1, 31))
def test_a_history_as_of_a_moment_is_that_of_the_events_before_it(stream: list[Event], as_of: int) -> None:
    earlier = [event for event in stream if event.timestamp < as_of]
    assert_same(History.from_events(stream, as_of=as_of), History.from_events(earlier))


@given(stream=events(), as_of=st.integers(-1, 31))
def test_a_history_is_never_cut_after_it_was_made(stream: list[Event], as_of: int) -> None:
    history = History.from_events(stream)
    if (history.timestamps < as_of).all():
        assert history.before(as_of) is history
    else:
        with pytest.raises(ValueError, match="Cut the events first"):
            history.before(as_of)


@given(stream=events(undo=False), as_of=st.integers(-1, 31))
def test_later_events_never_change_what_a_history_of_earlier_ones_holds(
    stream: list[Event], as_of: int
) -> None:
    earlier = [event for event in stream if event.timestamp < as_of]
    later = [event for event in stream if event.timestamp >= as_of]
    known_then = History.from_events(earlier)
    # Movies without later events stand as they did.
    untouched = ~np.isin(known_then.movie_ids, [event.movie_id for event in later])
    now = History.from_events(stream)
    still = np.isin(now.movie_ids, known_then.movie_ids[untouched])
    assert_same(now.take(still), known_then.take(untouched))


@given(stream=events(), later=events())
def test_then_is_the_history_of_both(stream: list[Event], later: list[Event]) -> None:
    history = History.from_events(stream)
    assert_same(history.then(later), History.from_events([*history.events(), *later]))


@given(stream=events(undo=False), cut=st.integers(0, 30))
def test_a_stream_without_undo_can_be_applied_in_parts(stream: list[Event], cut: int) -> None:
    first = [event for event in stream if event.timestamp < cut]
    second = [event for event in stream if event.timestamp >= cut]
    assert_same(History.from_events(first).then(second), History.from_events(stream))


@given(stream=events())
def test_events_of_a_history_make_the_same_history(stream: list[Event]) -> None:
    history = History.from_events(stream)
    assert_same(History.from_events(history.events()), history)


@given(stream=events(undo=False, distinct_times=True), event=st.tuples(st.integers(1, 5), ratings))
def test_undo_takes_an_opinion_back(stream: list[Event], event: tuple[int, float]) -> None:
    movie_id, rating = event
    added = [*stream, Event(movie_id, "rating", 40, rating), Event(movie_id, UNDO, 41)]
    assert_same(History.from_events(added), History.from_events(stream))
