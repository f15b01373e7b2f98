"""Facts of movies, which change daily: how many events a movie had lately, and its ratings.

Candidate sources are heavy and change slowly; a model version keeps them. Facts are cheap. Training and
evaluation read the facts of the midnight before each request (`facts_moment`), and the service the newest
published ones.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.standing import FOREVER, stands_until
from movierank_core.data.timestamps import DAY_SECONDS
from movierank_core.retrieval.source import Arrays

WINDOW_DAYS: Final = (1, 7, 30, 90, 365, 1_095)
"""Lengths of the windows in which recent events are counted, in days before the moment."""
RATING_PRIOR_WEIGHT: Final = 10.0
"""Number of pseudo-ratings at the global mean, added to the ratings of every movie."""
_N, _SUM, _SQUARES, _LIKES = range(4)
"""Columns of the running sums: ratings, their sum, the sum of their squares, likes."""


def count_name(days: float) -> str:
    """Name of the array of events in a window of `days`; infinity stands for all time."""
    return f"n_events_{int(days)}d" if np.isfinite(days) else "n_events"


def facts_moment(as_of: int, fitted_at: int) -> int:
    """The moment of the facts that a request at `as_of` sees, if the sources were fitted at `fitted_at`.

    It is the last midnight, UTC, at or before the request, as with nightly publication. A version that is
    newer has facts of its own. All are in seconds since 1970.
    """
    return max(as_of - as_of % DAY_SECONDS, fitted_at)


@dataclass(frozen=True)
class MovieFacts:
    """Facts of every movie at one moment, from events strictly before it."""

    as_of: int
    """Exclusive upper bound of the events, in seconds since 1970."""
    arrays: Arrays
    """One entry per catalogue row, float32 unless said: `n_events` and `n_events_1d` to `n_events_1095d`,
    `mean_rating` and `like_share` (shrunken by RATING_PRIOR_WEIGHT), `rating_std` (NaN below two ratings),
    `first_event` (float64, seconds since 1970; NaN without an event). `globals` is [mean rating, share of
    likes] over all ratings; 3.5 and 0.5 without ratings. An event that hides a movie counts nowhere."""


@dataclass(frozen=True, eq=False)
class FactsOverTime:
    """The facts of all movies at any moment, by binary search in the event times of each movie.

    An event counts at the moments m with `start < m <= stop`: it stands among the events before m (see
    `stands_until`). Arrays are grouped by movie; the events of movie j are `offsets[j]:offsets[j + 1]`.
    """

    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    """Event times, ascending per movie."""
    sums: NDArray[np.float64]
    """[n_events, 4] running sums per movie in the order of `starts`."""
    replaced_offsets: NDArray[np.int64]
    replaced_starts: NDArray[np.int64]
    """Start of each event that a later one replaces, in the order of `replaced_stops`."""
    replaced_stops: NDArray[np.int64]
    """Stop of the same events, ascending per movie."""
    replaced_sums: NDArray[np.float64]
    first_events: NDArray[np.int64]
    """Per movie, the time of the first event that does not hide it; the largest integer without one."""

    @classmethod
    def of(cls, data: InteractionArrays, n_movies: int) -> Self:
        """From all events of `data`, replaced events included. Movies outside the catalogue are left out."""
        stops = stands_until(data.users, data.movie_ids, data.event_codes, data.timestamps)
        is_seen = data.is_presence & (data.rows >= 0)
        first_events = np.full(n_movies, FOREVER)
        np.minimum.at(first_events, data.rows[is_seen], data.timestamps[is_seen])
        counts = np.flatnonzero(is_seen & (stops > data.timestamps))
        order = counts[np.lexsort((data.timestamps[counts], data.rows[counts]))]
        offsets, sums = _grouped(data, order, n_movies)
        replaced = counts[stops[counts] < FOREVER]
        replaced = replaced[np.lexsort((stops[replaced], data.rows[replaced]))]
        replaced_offsets, replaced_sums = _grouped(data, replaced, n_movies)
        return cls(
            offsets=offsets,
            starts=data.timestamps[order],
            sums=sums,
            replaced_offsets=replaced_offsets,
            replaced_starts=data.timestamps[replaced],
            replaced_stops=stops[replaced],
            replaced_sums=replaced_sums,
            first_events=first_events,
        )

    def at(self, moment: int) -> MovieFacts:
        """The facts from the events strictly before `moment` (seconds since 1970)."""
        n_movies = len(self.first_events)
        counts = np.zeros((len(WINDOW_DAYS) + 1, n_movies), np.float32)
        sums = np.zeros((4, n_movies))
        _count(
            moment,
            np.array([days * DAY_SECONDS for days in WINDOW_DAYS]),
            self.offsets,
            self.starts,
            self.sums,
            self.replaced_offsets,
            self.replaced_starts,
            self.replaced_stops,
            self.replaced_sums,
            counts,
            sums,
        )
        n, total = sums[_N], sums[_N].sum()
        mean_of_all = float(sums[_SUM].sum() / total) if total else 3.5
        share_of_all = float(sums[_LIKES].sum() / total) if total else 0.5
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.where(n > 1, sums[_SQUARES] / n - (sums[_SUM] / n) ** 2, np.nan)
        weight = n + RATING_PRIOR_WEIGHT
        windows = zip((*WINDOW_DAYS, np.inf), counts, strict=True)
        return MovieFacts(
            moment,
            {
                **{count_name(days): of_window for days, of_window in windows},
                "mean_rating": ((sums[_SUM] + RATING_PRIOR_WEIGHT * mean_of_all) / weight).astype(np.float32),
                "like_share": ((sums[_LIKES] + RATING_PRIOR_WEIGHT * share_of_all) / weight).astype(
                    np.float32
                ),
                "rating_std": np.sqrt(np.maximum(variance, 0)).astype(np.float32),
                "first_event": np.where(self.first_events < moment, self.first_events, np.nan),
                "globals": np.array([mean_of_all, share_of_all]),
            },
        )

    def n_events(self, rows: NDArray[np.integer], moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each pair of a catalogue row and a moment, the events that count; 0 for row -1."""
        out = np.zeros(len(rows), np.int64)
        _n_events(
            np.asarray(rows, np.int64), moments, self.offsets, self.starts,
            self.replaced_offsets, self.replaced_stops, out,
        )  # fmt: skip
        return out


def _grouped(
    data: InteractionArrays, order: NDArray[np.int64], n_movies: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The offsets of the movies of `order` (events sorted by movie), and the running sums of each."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(data.rows[order], minlength=n_movies))])
    sums = np.zeros((len(order), 4))
    _accumulate(offsets, data.ratings[order].astype(np.float64), data.is_like[order], sums)
    return offsets.astype(np.int64), sums


@njit(cache=True, nogil=True)
def _accumulate(offsets, ratings, is_like, sums):  # type: ignore[no-untyped-def]  # numba
    """Running sums that restart with each movie, so that no movie's rounding depends on another's."""
    for movie in range(len(offsets) - 1):
        for event in range(offsets[movie], offsets[movie + 1]):
            if event > offsets[movie]:
                sums[event] = sums[event - 1]
            if not np.isnan(ratings[event]):
                sums[event, _N] += 1
                sums[event, _SUM] += ratings[event]
                sums[event, _SQUARES] += ratings[event] ** 2
                sums[event, _LIKES] += is_like[event]


@njit(cache=True, nogil=True)
def _first_at_or_after(times, start, stop, moment):  # type: ignore[no-untyped-def]  # numba
    """The first index in [start, stop) whose time is `moment` or later; `stop` without one."""
    while start < stop:
        middle = (start + stop) // 2
        if times[middle] < moment:
            start = middle + 1
        else:
            stop = middle
    return start


@njit(cache=True, nogil=True)
def _count(  # type: ignore[no-untyped-def]  # numba
    moment, windows, offsets, starts, sums, replaced_offsets, replaced_starts, replaced_stops, replaced_sums,
    counts, out,
):  # fmt: skip
    """Fills counts [n_windows + 1, n_movies], all time last, and out [4, n_movies] with the sums."""
    n_windows = len(windows)
    for movie in range(len(offsets) - 1):
        # 1. Events that started before the moment.
        first = offsets[movie]
        end = _first_at_or_after(starts, first, offsets[movie + 1], moment)
        if end == first:
            continue
        counts[n_windows, movie] = end - first
        for column in range(4):
            out[column, movie] = sums[end - 1, column]
        begin = end
        for window in range(n_windows):
            # Windows ascend, so each begins at or before the last one.
            begin = _first_at_or_after(starts, first, begin, moment - windows[window])
            counts[window, movie] = end - begin
        # 2. Subtract the events that were replaced before the moment.
        first_replaced = replaced_offsets[movie]
        if first_replaced == replaced_offsets[movie + 1]:
            continue
        replaced_end = _first_at_or_after(replaced_stops, first_replaced, replaced_offsets[movie + 1], moment)
        if replaced_end == first_replaced:
            continue
        counts[n_windows, movie] -= replaced_end - first_replaced
        for column in range(4):
            out[column, movie] -= replaced_sums[replaced_end - 1, column]
        for window in range(n_windows):
            for event in range(first_replaced, replaced_end):
                if replaced_starts[event] >= moment - windows[window]:
                    counts[window, movie] -= 1


@njit(cache=True, nogil=True)
def _n_events(rows, moments, offsets, starts, replaced_offsets, replaced_stops, out):  # type: ignore[no-untyped-def]  # numba
    for pair in range(len(rows)):
        movie, moment = rows[pair], moments[pair]
        if movie >= 0:
            out[pair] = (
                _first_at_or_after(starts, offsets[movie], offsets[movie + 1], moment)
                - offsets[movie]
                - _first_at_or_after(
                    replaced_stops, replaced_offsets[movie], replaced_offsets[movie + 1], moment
                )
                + replaced_offsets[movie]
            )
