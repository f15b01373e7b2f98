"""Ratings and feedback as one stream of events."""

import polars as pl

from movierank_core.data.history import EVENT_TYPES, UNDO, Event, not_undone
from movierank_core.data.schema import FEEDBACK, INTERACTIONS, RATINGS, require_schema


def build_interactions(ratings: pl.DataFrame, feedback: pl.DataFrame) -> pl.DataFrame:
    """INTERACTIONS from RATINGS and FEEDBACK, sorted by user and time, ties in order of appearance.

    Every opinion event carries its rating equivalent. Events that an `undo` withdrew are left out, and so
    is the `undo`. Nothing else is dropped: a user who rates a movie twice has two events, and the later
    one counts from its moment on.
    """
    require_schema(ratings, RATINGS, "ratings")
    require_schema(feedback, FEEDBACK, "feedback")
    equivalents = {name: event.rating_equivalent for name, event in EVENT_TYPES.items() if name != "rating"}
    rated = ratings.select("user_id", "movie_id", pl.lit("rating").alias("event_type"), "rating", "timestamp")
    given = feedback.select(
        "user_id",
        "movie_id",
        "event_type",
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
    undone = stream.filter(pl.col("event_type") == UNDO).select("user_id", "movie_id").unique()
    if undone.is_empty():
        return stream
    numbered = stream.with_row_index("position")
    concerned = numbered.join(undone, on=["user_id", "movie_id"], how="semi", maintain_order="left")
    kept: list[int] = []
    for _, events in concerned.group_by("user_id", maintain_order=True):
        kept += not_undone(
            (position, Event(movie_id, event_type, 0))
            for position, movie_id, event_type in events.select(
                "position", "movie_id", "event_type"
            ).iter_rows()
        )
    withdrawn = concerned.filter(~pl.col("position").is_in(kept)).select("position")
    return numbered.join(withdrawn, on="position", how="anti", maintain_order="left").drop("position")
