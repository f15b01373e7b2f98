"""A user is a history: the events of one person up to a moment, as arrays.

The meaning of each event type (an opinion, a movie seen, a movie to hide) is defined here.
`movierank_core.data.standing` has the rule for several events with the same movie.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.standing import CLICK_CODE, UNDO_CODE, which_stand


class EventType(msgspec.Struct, frozen=True):
    """Meaning of one type of event."""

    code: int
    """Number in columnar snapshots. A code is never reused for another type."""
    rating_equivalent: float | None
    """Rating that the event counts as; None for a `rating`, which has its own, and for no opinion."""
    is_seen: bool
    """Whether the user knows the movie. A seen movie is recommended only on request."""
    is_hidden: bool
    """Whether the user wants the movie hidden. A hidden movie is never recommended."""


EVENT_TYPES: Final[dict[str, EventType]] = {
    "rating": EventType(0, None, is_seen=True, is_hidden=False),
    "like": EventType(1, 4.5, is_seen=True, is_hidden=False),
    "dislike": EventType(2, 1.5, is_seen=True, is_hidden=False),
    "click": EventType(CLICK_CODE, None, is_seen=False, is_hidden=False),
    "not_interested": EventType(4, 2.0, is_seen=False, is_hidden=True),
    "seen": EventType(5, None, is_seen=True, is_hidden=False),
}
"""Event types that a history can hold. It never holds an `undo`, which withdraws an earlier event."""

UNDO: Final = "undo"
FEEDBACK_EVENT_TYPES: Final = (*EVENT_TYPES, UNDO)
"""Event types that `POST /feedback` accepts."""
EVENT_CODES: Final = {**{name: event.code for name, event in EVENT_TYPES.items()}, UNDO: UNDO_CODE}
"""Codes by event type, for `which_stand`."""

LIKE_THRESHOLD: Final = 4.0
"""Minimum rating of a like, in stars."""
DISLIKE_THRESHOLD: Final = 2.0
"""Maximum rating of a dislike, in stars."""

_BY_CODE: Final = {event.code: name for name, event in EVENT_TYPES.items()}
_IS_SEEN: Final = np.array([EVENT_TYPES[_BY_CODE[code]].is_seen for code in sorted(_BY_CODE)])
_IS_HIDDEN: Final = np.array([EVENT_TYPES[_BY_CODE[code]].is_hidden for code in sorted(_BY_CODE)])


class Event(msgspec.Struct, frozen=True):
    """One event of one user with one movie."""

    movie_id: int
    event_type: str
    timestamp: int
    """Seconds since 1970, UTC."""
    rating: float | None = None
    """Stars, 0.5 to 5, of a `rating`; other types have `EventType.rating_equivalent`."""


@dataclass(frozen=True, slots=True)
class History:
    """The events of one user that stand: one row per movie, oldest first, ties in order of arrival.

    All arrays have the same length, 0 for a user without events.
    """

    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    """Ratings or their equivalents, 0.5 to 5; NaN where there is no opinion."""
    timestamps: NDArray[np.int64]
    """Seconds since 1970, UTC; never decreasing."""
    event_codes: NDArray[np.uint8]
    """`EventType.code` of each event."""

    def __len__(self) -> int:
        return len(self.movie_ids)

    @classmethod
    def empty(cls) -> "History":
        return cls.of_arrays([], [], [], [])

    @classmethod
    def of_arrays(
        cls, movie_ids: object, ratings: object, timestamps: object, event_codes: object
    ) -> "History":
        """A history from columns with one row per movie, oldest first."""
        return cls(
            np.asarray(movie_ids, np.int64),
            np.asarray(ratings, np.float32),
            np.asarray(timestamps, np.int64),
            np.asarray(event_codes, np.uint8),
        )

    @classmethod
    def from_events(cls, events: Iterable[Event], *, as_of: int | None = None) -> "History":
        """The events that stand (see `which_stand`), those strictly before `as_of` (seconds since 1970).

        `events` are in any order; equal timestamps count in the order given. Raises KeyError for an unknown
        event type.
        """
        known = events if as_of is None else (event for event in events if event.timestamp < as_of)
        ordered = sorted(known, key=lambda event: event.timestamp)
        return cls._of_events([ordered[row] for row in np.flatnonzero(_is_standing(ordered))])

    @classmethod
    def _of_events(cls, events: list[Event]) -> "History":
        return cls.of_arrays(
            [event.movie_id for event in events],
            [rating_of(event.event_type, event.rating) for event in events],
            [event.timestamp for event in events],
            [EVENT_TYPES[event.event_type].code for event in events],
        )

    def before(self, as_of: int) -> "History":
        """This history; ValueError unless all its events are strictly before `as_of` (seconds since 1970).

        A history cannot be cut: it no longer holds the events that its later ones replaced.
        """
        if len(self) and self.timestamps[-1] >= as_of:
            raise ValueError(
                f"The last event of the history is at {self.timestamps[-1]}, not before {as_of}. Cut the"
                " events first: `History.from_events(events, as_of=…)`"
            )
        return self

    def then(self, events: Iterable[Event]) -> "History":
        """This history with further events: equal to `from_events` of the events of both.

        Only the movies of the further events are looked at, so a long history costs little. An `undo`
        cannot bring back an event that this history replaced, because it no longer holds it.
        """
        later = sorted(events, key=lambda event: event.timestamp)
        if not later:
            return self
        if len(self) and later[0].timestamp < self.timestamps[-1]:
            return History.from_events([*self.events(), *later])
        touched = np.flatnonzero(np.isin(self.movie_ids, [event.movie_id for event in later]))
        is_standing = _is_standing([*self.take(touched).events(), *later])
        is_kept = np.ones(len(self), np.bool_)
        is_kept[touched] = is_standing[: len(touched)]
        kept = self.take(is_kept)
        is_added = is_standing[len(touched) :]
        added = History._of_events([event for event, stands in zip(later, is_added, strict=True) if stands])
        return History(
            np.concatenate([kept.movie_ids, added.movie_ids]),
            np.concatenate([kept.ratings, added.ratings]),
            np.concatenate([kept.timestamps, added.timestamps]),
            np.concatenate([kept.event_codes, added.event_codes]),
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "History":
        """The rows of a mask, or the rows with these ascending indices."""
        return History(
            self.movie_ids[rows], self.ratings[rows], self.timestamps[rows], self.event_codes[rows]
        )

    def events(self) -> list[Event]:
        """One event per row, in the same order."""
        return [
            Event(
                int(movie_id),
                _BY_CODE[int(code)],
                int(timestamp),
                None if np.isnan(rating) else float(rating),
            )
            for movie_id, code, timestamp, rating in zip(
                self.movie_ids, self.event_codes, self.timestamps, self.ratings, strict=True
            )
        ]

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """Per row, whether the user knows the movie."""
        return _IS_SEEN[self.event_codes]

    @property
    def is_hidden(self) -> NDArray[np.bool_]:
        """Per row, whether the user wants the movie hidden."""
        return _IS_HIDDEN[self.event_codes]


def hidden_codes(event_codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Per event, whether its user wants the movie hidden."""
    return _IS_HIDDEN[event_codes]


def _is_standing(events: Sequence[Event]) -> NDArray[np.bool_]:
    """Whether each event of one user, oldest first, stands."""
    codes = [EVENT_CODES[event.event_type] for event in events]
    return which_stand(np.zeros(len(events)), [event.movie_id for event in events], codes).is_standing


def rating_of(event_type: str, rating: float | None) -> float:
    """The rating or its equivalent, 0.5 to 5; NaN where the event holds no opinion."""
    if event_type == "rating":
        return float("nan") if rating is None else rating
    equivalent = EVENT_TYPES[event_type].rating_equivalent
    return float("nan") if equivalent is None else equivalent
