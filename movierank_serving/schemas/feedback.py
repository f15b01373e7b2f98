"""Bodies of `POST /feedback` and `POST /impressions`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from movierank_serving.schemas.common import FeedbackEventType, Identifier, MovieId, Stars, UserId


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One event of a user with a movie."""

    user_id: UserId
    movie_id: MovieId
    event_type: Annotated[
        FeedbackEventType,
        Meta(
            description="`undo` withdraws the event in `undoes`; without `undoes`, the standing event of "
            "this user and movie."
        ),
    ]
    value: Annotated[
        Stars | None, Meta(description="The rating in stars; required with `rating`, else not allowed.")
    ] = None
    request_id: Annotated[
        Identifier | None, Meta(description="An id of the caller, stored with the event for tracing.")
    ] = None
    ranking_id: Annotated[
        Identifier | None, Meta(description="`ranking_id` of the ranking that showed the movie.")
    ] = None
    event_id: Annotated[
        Identifier | None,
        Meta(
            description="Chosen by the sender, unique per user. An event that is sent again with the same id "
            "is stored once; another event with that id is a conflict (409)."
        ),
    ] = None
    undoes: Annotated[
        Identifier | None,
        Meta(
            description="Only with `undo`: the `event_id` of the event of this user and movie that is "
            "withdrawn, as if it had never been sent. An id that is not stored withdraws nothing."
        ),
    ] = None


class FeedbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The event is durable."""

    event_id: str
    duplicate: Annotated[bool, Meta(description="Whether an earlier request stored the event.")]
    known_movie: Annotated[
        bool | None,
        Meta(
            description="Whether the served version knows the movie; null if no version is loaded. The event "
            "of an unknown movie counts from the first version that knows it."
        ),
    ] = None
    accepted: Literal[True] = True


class ImpressionsRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a client showed of one ranking."""

    ranking_id: Annotated[Identifier, Meta(description="`ranking_id` of the ranking.")]
    user_id: Annotated[
        UserId | None, Meta(description="The user of the ranking; null or absent for a visitor's.")
    ] = None
    movie_ids: Annotated[
        list[MovieId],
        Meta(
            min_length=1,
            max_length=500,
            description="Movies of the ranking that were shown. Movies that it does not have are ignored, "
            "and a movie counts once per ranking.",
        ),
    ]


class ImpressionsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The impressions are about to be stored."""

    ranking_id: str
    accepted: Literal[True] = True
