"""Ratings and feedback as one stream of events."""

import polars as pl

from movierank_core.data.history import EVENT_CODES, EVENT_TYPES, UNDO
from movierank_core.data.schema import EVENT_TYPE, FEEDBACK, INTERACTIONS, RATINGS, require_schema
from movierank_core.data.standing import which_stand


def build_interactions(ratings: pl.DataFrame, feedback: pl.DataFrame) -> pl.DataFrame:
    """INTERACTIONS from RATINGS and FEEDBACK, sorted by user and time, ties in order of appearance.

    Every opinion has its rating or rating equivalent. An `undo` and the event that it withdrew are left
    out. All other events stay: a user who rates a movie twice has two events, and the later one stands from
    its moment on. Raises DataError for a table of another schema.
    """
    require_schema(ratings, RATINGS, "ratings")
    require_schema(feedback, FEEDBACK, "feedback")
    equivalents = {name: event.rating_equivalent for name, event in EVENT_TYPES.items() if name != "rating"}
    rated = ratings.select(
        "user_id", "movie_id", pl.lit("rating", EVENT_TYPE).alias("event_type"), "rating", "timestamp"
    )
    given = feedback.select(
        "user_id",
        "movie_id",
        pl.col("event_type").cast(EVENT_TYPE),
        pl.when(pl.col("event_type") == "rating")
        .then("value")
        .otherwise(pl.col("event_type").replace_strict(equivalents, default=None, return_dtype=pl.Float32))
        .alias("rating"),
        "timestamp",
    )
    stream = pl.concat([rated, given]).sort("user_id", "timestamp", maintain_order=True)
    return require_schema(_without_undone(stream), INTERACTIONS, "interactions")


def _without_undone(stream: pl.DataFrame) -> pl.DataFrame:
    """A sorted stream less every `undo` and the events, ratings of the data set too, that they withdrew."""
    if not (stream["event_type"] == UNDO).any():
        return stream
    codes = stream["event_type"].replace_strict(EVENT_CODES, return_dtype=pl.UInt8)
    return stream.filter(pl.Series(which_stand(stream["user_id"], stream["movie_id"], codes).remains))
