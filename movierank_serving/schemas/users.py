"""Bodies of the routes below `/users`."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from movierank_serving.schemas.common import FeedbackEventType, MovieCard, Unavailable


class UserEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One user of a list."""

    user_id: int
    n_events: int


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """Users whose id begins with the query: the exact match first, then in ascending order."""

    results: list[UserEntry]
    n_users: Annotated[int, Meta(description="Number of all users in the published histories.")]


class HistoryItem(MovieCard, frozen=True, kw_only=True):
    """One movie of a history, with the event that counts for it."""

    event_type: str
    rating: Annotated[
        float | None,
        Meta(description="The rating, or the rating that the event type implies; null if it implies none."),
    ]
    timestamp: Annotated[str, Meta(description="ISO 8601, UTC.")]


class Taste(msgspec.Struct, frozen=True, kw_only=True):
    """One genre or decade of a history."""

    name: str
    n_movies: int
    share: Annotated[float, Meta(description="Share of the history's movies, 0 to 1.")]
    mean_rating: Annotated[float | None, Meta(description="Null if none of these movies has a rating.")]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One user: history and tastes."""

    user_id: int
    n_events: Annotated[
        int, Meta(description="Number of movies in the whole history; `history` may be shorter.")
    ]
    n_likes: int
    mean_rating: Annotated[float | None, Meta(description="Null if the history has no rating.")]
    history: Annotated[
        list[HistoryItem], Meta(description="Newest first, without movies that the catalogue lacks.")
    ]
    genres: Annotated[list[Taste], Meta(description="Most frequent first.")]
    decades: Annotated[list[Taste], Meta(description="In order of time.")]
    feedback: Annotated[
        Unavailable | UnsetType,
        Meta(description="`unavailable`: the event store did not answer, so the newest events are missing."),
    ] = UNSET


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Confirms that a user was deleted."""

    user_id: int
    events_deleted: int
    forgotten: Literal[True] = True


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of one movie."""

    movie_id: int
    title: Annotated[str | None, Meta(description="Null if the served version does not know the movie.")]
    event_type: FeedbackEventType
    value: float | None
    event_id: Annotated[str, Meta(description="The `undoes` of an `undo` that withdraws this event.")]
    timestamp: Annotated[str, Meta(description="ISO 8601, UTC.")]


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What a user said, newest first."""

    user_id: int
    results: list[Verdict]
