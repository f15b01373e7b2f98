"""Types that several bodies share: ids, ratings, event types, movie cards."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MAX_ID: Final = 2**53 - 1
"""Maximum of every id: the largest integer that JSON clients with 64-bit floats represent exactly."""
UserId = Annotated[int, Meta(ge=0, le=MAX_ID, description="A user; an unknown one is a newcomer.")]
MovieId = Annotated[int, Meta(ge=0, le=MAX_ID, description="A movie's id, as in MovieLens.")]
Stars = Annotated[float, Meta(ge=0.5, le=5.0, description="A rating in stars, 0.5 to 5.")]
Identifier = Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9._:-]+$")]
HistoryEventType = Literal["rating", "like", "dislike", "click", "not_interested", "seen"]
FeedbackEventType = Literal["rating", "like", "dislike", "click", "not_interested", "seen", "undo"]
ServedVersion = Annotated[
    Literal["production", "challenger"],
    Meta(description="The version that answers: the served one, or the challenger if the service holds one."),
]
Unavailable = Literal["unavailable"]


class MovieCard(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a movie that lists show."""

    movie_id: int
    title: str
    release_year: int | None
    genres: list[str]
    poster_url: str | None
    tmdb_id: int | None
