"""Ratings and feedback as one stream of events."""

import polars as pl

from movierank_core.history import EVENT_TYPES, UNDO
from movierank_core.schema import FEEDBACK, INTERACTIONS, RATINGS, require_schema


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
    given = without_undone(feedback).select(
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
    return require_schema(stream, INTERACTIONS, "interactions")


def without_undone(feedback: pl.DataFrame) -> pl.DataFrame:
    """`feedback` less every `undo` and the event it withdrew: the latest on its movie that still stood."""
    if not (feedback["event_type"] == UNDO).any():
        return feedback
    ordered = feedback.sort("timestamp", maintain_order=True).with_row_index("position")
    standing: dict[tuple[int, int], list[int]] = {}
    for position, user_id, movie_id, event_type in ordered.select(
        "position", "user_id", "movie_id", "event_type"
    ).iter_rows():
        stack = standing.setdefault((user_id, movie_id), [])
        if event_type != UNDO:
            stack.append(position)
        elif stack:
            stack.pop()
    kept = sorted(position for stack in standing.values() for position in stack)
    return ordered[kept].drop("position")
