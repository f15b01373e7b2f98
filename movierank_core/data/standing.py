"""Which event of a user and movie stands: one rule for histories, fits, labels and evaluation.

An opinion (rating, like, dislike, not interested, seen) is replaced by a later opinion, never by a click. A
click stands only where no opinion does. An `undo` withdraws the event that stands at its moment, so the one
before it stands again; without such an event it does nothing. Of equal timestamps the later row is the later
event. The event that stands keeps its own timestamp and its own place among the other events.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

CLICK_CODE: Final = 3
UNDO_CODE: Final = 255
"""Code of an `undo` in the arrays here. No history and no snapshot holds one."""
SPARSE_IDS: Final = 16
"""Maximum movie id per event up to which ids index the stacks directly; larger ids are numbered first."""
FOREVER: Final = int(np.iinfo(np.int64).max)
"""The end of an event that no later event replaces, in seconds since 1970."""


class Standing(NamedTuple):
    """What became of each event of a stream; an `undo` neither stands nor remains."""

    is_standing: NDArray[np.bool_]
    """At most one event per user and movie."""
    remains: NDArray[np.bool_]
    """No `undo` withdrew the event. It may stand, or another one may have replaced it."""


def which_stand(users: ArrayLike, movies: ArrayLike, event_codes: ArrayLike) -> Standing:
    """Which events stand and which remain, in time and memory linear in their number.

    The rows of a user are adjacent, oldest first, equal timestamps in order of arrival. `movies` are
    movie ids or any other whole numbers; `event_codes` are `EventType.code` or UNDO_CODE.
    """
    movies = np.asarray(movies, np.int64)
    n_movies = int(movies.max(initial=-1)) + 1
    if movies.min(initial=0) < 0 or n_movies > SPARSE_IDS * len(movies) + SPARSE_IDS:
        known, movies = np.unique(movies, return_inverse=True)
        n_movies = len(known)
    codes = np.asarray(event_codes, np.uint8)
    is_standing = np.zeros(len(codes), np.bool_)
    remains = np.ones(len(codes), np.bool_)
    _mark(np.asarray(users, np.int64), movies, codes, n_movies, is_standing, remains)
    return Standing(is_standing, remains)


@njit(cache=True, nogil=True)
def _mark(users, movies, codes, n_movies, is_standing, remains):  # type: ignore[no-untyped-def]  # numba
    """Two stacks per movie, one of opinions and one of clicks, as linked lists over the events."""
    # The top of each stack of the current user, and the event below each event; -1 for none.
    opinions = np.full(n_movies, -1, np.int64)
    clicks = np.full(n_movies, -1, np.int64)
    below = np.empty(len(codes), np.int64)
    start = 0
    while start < len(codes):
        stop = start
        while stop < len(codes) and users[stop] == users[start]:
            movie = movies[stop]
            if codes[stop] == UNDO_CODE:
                # An opinion stands above every click, so it is withdrawn first.
                remains[stop] = False
                if opinions[movie] >= 0:
                    remains[opinions[movie]] = False
                    opinions[movie] = below[opinions[movie]]
                elif clicks[movie] >= 0:
                    remains[clicks[movie]] = False
                    clicks[movie] = below[clicks[movie]]
            elif codes[stop] == CLICK_CODE:
                below[stop] = clicks[movie]
                clicks[movie] = stop
            else:
                below[stop] = opinions[movie]
                opinions[movie] = stop
            stop += 1
        # The top opinion stands, else the top click. The stacks are emptied for the next user.
        for event in range(start, stop):
            movie = movies[event]
            top = opinions[movie] if opinions[movie] >= 0 else clicks[movie]
            if top >= 0:
                is_standing[top] = True
            opinions[movie] = -1
            clicks[movie] = -1
        start = stop


def stands_until(
    users: NDArray[np.integer],
    movies: NDArray[np.integer],
    event_codes: NDArray[np.uint8],
    timestamps: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Per event, the last moment before which it stands: `timestamp < moment <= until`; FOREVER without one.

    For every moment, the events that stand among those strictly before it (see `which_stand`) are those with
    `timestamp < moment <= until`. An event that never stands has its own timestamp. `timestamps` are seconds
    since 1970; rows are as in `which_stand`, without an `undo`.
    """
    until = np.full(len(timestamps), FOREVER)
    # The events of a user and movie side by side, in their order.
    order = np.lexsort((movies, users))
    _end(
        order,
        np.asarray(users, np.int64),
        np.asarray(movies, np.int64),
        np.asarray(event_codes, np.uint8) == CLICK_CODE,
        np.asarray(timestamps, np.int64),
        until,
    )
    return until


@njit(cache=True, nogil=True)
def _end(order, users, movies, is_click, timestamps, until):  # type: ignore[no-untyped-def]  # numba
    standing = -1
    for rank in range(len(order)):
        event = order[rank]
        if standing >= 0 and (users[standing] != users[event] or movies[standing] != movies[event]):
            standing = -1
        if standing >= 0 and is_click[event] and not is_click[standing]:
            until[event] = timestamps[event]  # A click replaces no opinion.
        else:
            if standing >= 0:
                until[standing] = timestamps[event]
            standing = event
