"""Facts at a moment are those of the events that stand before it, counted by hand."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import EVENT_CODES, UNDO, rating_of
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.timestamps import DAY_SECONDS
from movierank_core.features.movie_facts import (
    RATING_PRIOR_WEIGHT,
    WINDOW_DAYS,
    FactsOverTime,
    count_name,
    facts_moment,
)
from tests.support.simulated import make_catalogue

N_MOVIES = 3
CATALOGUE = Catalogue(make_catalogue(N_MOVIES))
KINDS = sorted(set(EVENT_CODES) - {UNDO})


@st.composite
def events(draw: st.DrawFn) -> InteractionArrays:
    """Events of up to four users over five years, many on the same day; one movie is not in the catalogue."""
    rows = []
    for user in range(draw(st.integers(0, 4))):
        for _ in range(draw(st.integers(0, 8))):
            kind = draw(st.sampled_from(KINDS))
            rating = draw(st.sampled_from([1.0, 3.7, 5.0])) if kind == "rating" else None
            day = draw(st.sampled_from([0, 1, 7, 30, 90, 365, 400, 1_095, 1_500]))
            time = day * DAY_SECONDS + draw(st.sampled_from([0, 1, 40_000]))
            movie = 10 * draw(st.integers(1, N_MOVIES + 1))
            rows.append((user, movie, rating_of(kind, rating), time, EVENT_CODES[kind]))
    rows.sort(key=lambda row: (row[0], row[3]))
    users = np.array([row[0] for row in rows], np.int64)
    user_ids, first = np.unique(users, return_index=True)
    movie_ids = np.array([row[1] for row in rows], np.int64)
    return InteractionArrays(
        user_ids=user_ids,
        offsets=np.append(first, len(rows)).astype(np.int64),
        users=np.searchsorted(user_ids, users).astype(np.int32),
        rows=CATALOGUE.rows_of(movie_ids).astype(np.int32),
        movie_ids=movie_ids,
        ratings=np.array([np.nan if row[2] is None else row[2] for row in rows], np.float32),
        timestamps=np.array([row[3] for row in rows], np.int64),
        event_codes=np.array([row[4] for row in rows], np.uint8),
    )


MOMENTS = st.builds(
    lambda day, second: day * DAY_SECONDS + second,
    st.sampled_from([0, 1, 8, 31, 365, 401, 1_096, 1_600]),
    st.integers(0, 2),
)


@given(data=events(), moment=MOMENTS)
def test_facts_are_those_of_the_events_that_stand_before_the_moment(
    data: InteractionArrays, moment: int
) -> None:
    facts = FactsOverTime.of(data, N_MOVIES).at(moment)
    standing = data.before(moment).standing().presence()
    rated = standing.select(~np.isnan(standing.ratings))
    mean = float(rated.ratings.astype(np.float64).mean()) if len(rated) else 3.5
    share = float(rated.is_like.mean()) if len(rated) else 0.5
    np.testing.assert_allclose(facts.arrays["globals"], [mean, share], rtol=1e-12)
    seen = data.before(moment).presence()
    for row in range(N_MOVIES):
        of_movie, ratings = standing.select(standing.rows == row), rated.ratings[rated.rows == row]
        for days in (*WINDOW_DAYS, np.inf):
            expected = int((of_movie.timestamps >= moment - days * DAY_SECONDS).sum())
            assert facts.arrays[count_name(days)][row] == expected
        values = ratings.astype(np.float64)
        weight = len(values) + RATING_PRIOR_WEIGHT
        np.testing.assert_allclose(
            [facts.arrays[name][row] for name in ("mean_rating", "like_share", "rating_std", "first_event")],
            [
                (values.sum() + RATING_PRIOR_WEIGHT * mean) / weight,
                ((values >= 4).sum() + RATING_PRIOR_WEIGHT * share) / weight,
                values.std() if len(values) > 1 else np.nan,
                seen.timestamps[seen.rows == row].min() if (seen.rows == row).any() else np.nan,
            ],
            rtol=1e-6,
            atol=1e-6,
        )


@given(data=events(), moment=MOMENTS)
def test_later_events_never_change_facts(data: InteractionArrays, moment: int) -> None:
    facts = FactsOverTime.of(data, N_MOVIES).at(moment).arrays
    earlier = FactsOverTime.of(data.before(moment), N_MOVIES).at(moment).arrays
    assert all(np.array_equal(facts[name], earlier[name], equal_nan=True) for name in facts)


@given(data=events(), moments=st.lists(MOMENTS, max_size=5))
def test_counts_of_pairs_are_those_of_the_facts(data: InteractionArrays, moments: list[int]) -> None:
    facts = FactsOverTime.of(data, N_MOVIES)
    rows = np.arange(len(moments)) % (N_MOVIES + 1) - 1
    expected = [
        0 if row < 0 else facts.at(moment).arrays["n_events"][row]
        for row, moment in zip(rows, moments, strict=True)
    ]
    assert facts.n_events(rows, np.array(moments, np.int64)).tolist() == expected


def test_facts_are_of_the_midnight_before_the_request_unless_the_version_is_newer() -> None:
    moments = pl.Series(["2020-01-02 00:00:00", "2020-01-02 23:59:59"]).str.to_datetime().dt.epoch("s")
    midnight = moments[0]
    assert [facts_moment(moment, 0) for moment in moments] == [midnight, midnight]
    assert facts_moment(moments[1], midnight + 5) == midnight + 5
