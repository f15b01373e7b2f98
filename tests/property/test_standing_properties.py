"""One rule for all forms: the arrays of many users, a single history, the published snapshot."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_CODES, UNDO, Event, History, rating_of
from movierank_core.data.history_snapshot import open_histories, publish_histories
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import FEEDBACK, RATINGS
from movierank_core.data.standing import stands_until, which_stand
from movierank_core.data.timestamps import from_epoch
from movierank_pipeline.ingest.interactions import build_interactions
from tests.support.simulated import make_catalogue

N_MOVIES = 4
CATALOGUE = Catalogue(make_catalogue(N_MOVIES))


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int, Event]]:
    """(user, event) by user, then time; few moments, so that many are equal."""
    made = []
    for user in range(draw(st.integers(0, 3))):
        times = sorted(draw(st.lists(st.integers(0, 4), max_size=12)))
        for time in times:
            kind = draw(st.sampled_from(sorted(EVENT_CODES)))
            rating = draw(st.sampled_from([1.0, 5.0])) if kind == "rating" else None
            movie = 10 * draw(st.integers(1, N_MOVIES))
            made.append((user, Event(movie, kind, time, rating)))
    return made


def by_hand(stream: list[tuple[int, Event]]) -> tuple[list[int], list[int]]:
    """(rows that stand, rows that remain), by stacks of Python."""
    opinions: dict[tuple[int, int], list[int]] = {}
    clicks: dict[tuple[int, int], list[int]] = {}
    for row, (user, event) in enumerate(stream):
        pair = user, event.movie_id
        mine, lesser = opinions.setdefault(pair, []), clicks.setdefault(pair, [])
        if event.event_type == UNDO:
            if mine or lesser:
                (mine or lesser).pop()
        else:
            (lesser if event.event_type == "click" else mine).append(row)
    tops = [(opinions[pair] or clicks[pair])[-1] for pair in opinions if opinions[pair] or clicks[pair]]
    rows = [row for stacks in (opinions, clicks) for stack in stacks.values() for row in stack]
    return sorted(tops), sorted(rows)


def in_arrays(stream: list[tuple[int, Event]]) -> tuple[list[int], list[int]]:
    found = which_stand(
        [user for user, _ in stream],
        [event.movie_id for _, event in stream],
        [EVENT_CODES[event.event_type] for _, event in stream],
    )
    return np.flatnonzero(found.is_standing).tolist(), np.flatnonzero(found.remains).tolist()


@given(stream=streams())
def test_the_rule_over_arrays_is_the_rule_by_hand(stream: list[tuple[int, Event]]) -> None:
    assert in_arrays(stream) == by_hand(stream)


@given(stream=streams(), factor=st.sampled_from([-7, 10**12]))
def test_movie_ids_may_be_any_whole_numbers(stream: list[tuple[int, Event]], factor: int) -> None:
    renamed = [
        (user, Event(event.movie_id * factor, event.event_type, event.timestamp, event.rating))
        for user, event in stream
    ]
    assert in_arrays(renamed) == in_arrays(stream)


@settings(max_examples=50)
@given(stream=streams())
def test_fits_snapshots_and_single_histories_agree(stream: list[tuple[int, Event]]) -> None:
    feedback = pl.DataFrame(
        [
            (
                str(row),
                user,
                event.movie_id,
                event.event_type,
                event.rating,
                None,
                None,
                from_epoch(event.timestamp),
            )
            for row, (user, event) in enumerate(stream)
        ],
        schema=FEEDBACK,
        orient="row",
    )
    interactions = build_interactions(pl.DataFrame(schema=RATINGS), feedback)
    data = InteractionArrays.from_frame(interactions, CATALOGUE)
    fitted = data.standing()
    with tempfile.TemporaryDirectory() as folder:
        publish_histories(
            interactions, Path(folder), feedback_through=None, dataset="", ratings_are_simulated=False
        )
        published = open_histories(Path(folder))
        for user, user_id in enumerate(data.user_ids.tolist()):
            expected = History.from_events([event for owner, event in stream if owner == user_id])
            part = fitted.users == user
            in_fit = History(
                fitted.movie_ids[part],
                fitted.ratings[part],
                fitted.timestamps[part],
                fitted.event_codes[part],
            )
            for history in (in_fit, data.history(user), published.history_of(user_id)):
                assert history is not None
                for name in ("movie_ids", "ratings", "timestamps", "event_codes"):
                    assert_array_equal(getattr(history, name), getattr(expected, name))


@given(stream=streams())
def test_without_a_user_nothing_changes_for_the_others(stream: list[tuple[int, Event]]) -> None:
    others = [(user, event) for user, event in stream if user]
    dropped = len(stream) - len(others)
    standing, _ = in_arrays(stream)
    assert [row - dropped for row in standing if row >= dropped] == in_arrays(others)[0]


def test_the_rating_of_an_event_is_known_for_every_type() -> None:
    assert [rating_of(kind, None) for kind in ("like", "dislike", "not_interested")] == [4.5, 1.5, 2.0]


@given(stream=streams(), moment=st.integers(0, 6))
def test_an_event_stands_until_the_moment_that_it_says(stream: list[tuple[int, Event]], moment: int) -> None:
    stream = [(user, event) for user, event in stream if event.event_type != UNDO]
    users = np.array([user for user, _ in stream], np.int64)
    movies = np.array([event.movie_id for _, event in stream], np.int64)
    codes = np.array([EVENT_CODES[event.event_type] for _, event in stream], np.uint8)
    times = np.array([event.timestamp for _, event in stream], np.int64)
    until = stands_until(users, movies, codes, times)
    earlier = np.flatnonzero(times < moment)
    expected = earlier[which_stand(users[earlier], movies[earlier], codes[earlier]).is_standing]
    assert_array_equal(np.flatnonzero((times < moment) & (moment <= until)), expected)
