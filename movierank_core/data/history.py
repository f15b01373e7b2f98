"""A user is a history: the events of one person up to a moment, as arrays.

What an event means (an opinion, a movie seen, a movie to hide) is decided here and nowhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray


class EventType(msgspec.Struct, frozen=True):
    """What one kind of event tells us."""

    code: int
    """The number stored in columnar snapshots; never reused."""
    rating_equivalent: float | None
    """The rating this event stands for, None where it holds no opinion or carries its own."""
    is_seen: bool
    """The user knows the movie, so it is not recommended unless asked for."""
    is_hidden: bool
    """The user does not want the movie shown, asked for or not."""


EVENT_TYPES: Final[dict[str, EventType]] = {
    "rating": EventType(0, None, is_seen=True, is_hidden=False),
    "like": EventType(1, 4.5, is_seen=True, is_hidden=False),
    "dislike": EventType(2, 1.5, is_seen=True, is_hidden=False),
    "click": EventType(3, None, is_seen=False, is_hidden=False),
    "not_interested": EventType(4, 2.0, is_seen=False, is_hidden=True),
    "seen": EventType(5, None, is_seen=True, is_hidden=False),
}
"""Every event that can stand in a history. `undo` is not one: it withdraws an earlier event."""

UNDO: Final = "undo"
FEEDBACK_EVENT_TYPES: Final = (*EVENT_TYPES, UNDO)
"""What `POST /feedback` accepts."""

LIKE_THRESHOLD: Final = 4.0
"""A rating at or above this is a like, everywhere."""

_BY_CODE: Final = {event.code: name for name, event in EVENT_TYPES.items()}
_IS_SEEN: Final = np.array([EVENT_TYPES[_BY_CODE[code]].is_seen for code in sorted(_BY_CODE)])
_IS_HIDDEN: Final = np.array([EVENT_TYPES[_BY_CODE[code]].is_hidden for code in sorted(_BY_CODE)])
_CLICK: Final = EVENT_TYPES["click"].code


class Event(msgspec.Struct, frozen=True):
    """One thing one user did with one movie."""

    movie_id: int
    event_type: str
    timestamp: int
    """Seconds since 1970, UTC."""
    rating: float | None = None
    """0.5 to 5; only for `rating`, the others have a stated equivalent."""


@dataclass(frozen=True, slots=True)
class History:
    """One row per movie, oldest first, ties in order of arrival. All arrays have the same length."""

    movie_ids: NDArray[np.int64]
    ratings: NDArray[np.float32]
    """Ratings or their equivalents, 0.5 to 5; NaN where there is no opinion."""
    timestamps: NDArray[np.int64]
    """Seconds since 1970, UTC; never decreasing."""
    event_codes: NDArray[np.uint8]
    """`EventType.code` of the event that decides the row."""

    def __len__(self) -> int:
        return len(self.movie_ids)

    @classmethod
    def empty(cls) -> "History":
        return cls.of_arrays([], [], [], [])

    @classmethod
    def of_arrays(
        cls, movie_ids: object, ratings: object, timestamps: object, event_codes: object
    ) -> "History":
        """A history from columns that already obey the rules above."""
        return cls(
            np.asarray(movie_ids, np.int64),
            np.asarray(ratings, np.float32),
            np.asarray(timestamps, np.int64),
            np.asarray(event_codes, np.uint8),
        )

    @classmethod
    def from_events(cls, events: Iterable[Event], *, as_of: int | None = None) -> "History":
        """The history that remains of a stream of events, of those strictly before `as_of` where given.

        Events are taken by time, ties in the order given. A movie keeps its latest event, except that a
        click never replaces an opinion. `undo` withdraws the latest event on its movie that still stands
        (nothing, if there is none), so the one before it counts again. Unknown event types raise KeyError.
        """
        known = events if as_of is None else (event for event in events if event.timestamp < as_of)
        ordered = sorted(known, key=lambda event: event.timestamp)
        return cls._of_events([ordered[position] for position in _standing(enumerate(ordered))])

    @classmethod
    def _of_events(cls, events: list[Event]) -> "History":
        return cls.of_arrays(
            [event.movie_id for event in events],
            [rating_of(event.event_type, event.rating) for event in events],
            [event.timestamp for event in events],
            [EVENT_TYPES[event.event_type].code for event in events],
        )

    def before(self, as_of: int) -> "History":
        """This history, if all of it is strictly before `as_of` (seconds since 1970).

        Raises ValueError otherwise: what its later events replaced is gone, so it can no longer be cut.
        """
        if len(self) and self.timestamps[-1] >= as_of:
            raise ValueError(
                f"The history goes on to {self.timestamps[-1]}, but should end before {as_of}: cut the events"
                " first, then make a history of them (`History.from_events(events, as_of=…)`)"
            )
        return self

    def then(self, events: Iterable[Event]) -> "History":
        """This history with further events applied: what `from_events` makes of both together.

        Only the movies that the events speak of are looked at, so a long history costs little.
        """
        later = sorted(events, key=lambda event: event.timestamp)
        if not later:
            return self
        n = len(self)
        if n and later[0].timestamp < self.timestamps[-1]:
            return History.from_events([*self.events(), *later])
        touched = np.flatnonzero(np.isin(self.movie_ids, [event.movie_id for event in later]))
        positions = [*touched.tolist(), *range(n, n + len(later))]
        standing = _standing(zip(positions, [*self.take(touched).events(), *later], strict=True))
        is_kept = np.ones(n, np.bool_)
        is_kept[touched] = False
        is_kept[[position for position in standing if position < n]] = True
        added = History._of_events([later[position - n] for position in standing if position >= n])
        kept = self.take(is_kept)
        return History(
            np.concatenate([kept.movie_ids, added.movie_ids]),
            np.concatenate([kept.ratings, added.ratings]),
            np.concatenate([kept.timestamps, added.timestamps]),
            np.concatenate([kept.event_codes, added.event_codes]),
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "History":
        """The rows of a mask, or the rows with these ascending numbers."""
        return History(
            self.movie_ids[rows], self.ratings[rows], self.timestamps[rows], self.event_codes[rows]
        )

    def events(self) -> list[Event]:
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
        return _IS_SEEN[self.event_codes]

    @property
    def is_hidden(self) -> NDArray[np.bool_]:
        return _IS_HIDDEN[self.event_codes]


def not_undone(events: Iterable[tuple[int, Event]]) -> list[int]:
    """The positions, ascending, of the events of one user that no `undo` withdrew; no `undo` among them.

    `events` are (position, event) in the order in which they happened.
    """
    return sorted(position for stack in _stacks(events) for position, _ in stack)


def _standing(events: Iterable[tuple[int, Event]]) -> list[int]:
    """The positions, ascending, of the events that count: at most one per movie."""
    return sorted(stack[-1][0] for stack in _stacks(events) if stack)


def _stacks(events: Iterable[tuple[int, Event]]) -> Iterable[list[tuple[int, bool]]]:
    """Per movie, (position, is a click) of the events that no `undo` withdrew; the last one counts."""
    stacks: dict[int, list[tuple[int, bool]]] = {}
    for position, event in events:
        stack = stacks.setdefault(event.movie_id, [])
        if event.event_type == UNDO:
            if stack:
                stack.pop()
        elif EVENT_TYPES[event.event_type].code == _CLICK:
            # Below every opinion, so that an undo of the opinion leaves the click.
            stack.insert(sum(is_click for _, is_click in stack), (position, True))
        else:
            stack.append((position, False))
    return stacks.values()


def rating_of(event_type: str, rating: float | None) -> float:
    """The rating an event stands for; NaN where it holds no opinion."""
    if event_type == "rating":
        return float("nan") if rating is None else rating
    equivalent = EVENT_TYPES[event_type].rating_equivalent
    return float("nan") if equivalent is None else equivalent
