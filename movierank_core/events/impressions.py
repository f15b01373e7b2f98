"""Served rankings and impressions.

A ranking is served when the service answers a request. An impression is a movie of a ranking that a client
says it showed. A client may show a part of a ranking, or nothing, so a served ranking alone is no impression.

Both are in the same database as the events, so that forgetting a user deletes them too. A row of `rankings`
holds all positions of a ranking as JSON: one row per position would make up most of the store. A row of
`impressions` holds the movies of one message of a client. They are joined when they are read, because they
may be stored in either order.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import polars as pl

from movierank_core.data.schema import IMPRESSIONS
from movierank_core.events.databases import Connection

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS rankings (
        served_us BIGINT NOT NULL, ranking_id TEXT NOT NULL, user_id BIGINT, model_version TEXT NOT NULL,
        served_by TEXT NOT NULL, explore DOUBLE PRECISION NOT NULL, movies TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS rankings_by_time ON rankings (served_us)",
    "CREATE INDEX IF NOT EXISTS rankings_of_user ON rankings (user_id)",
    """CREATE TABLE IF NOT EXISTS impressions (
        shown_us BIGINT NOT NULL, ranking_id TEXT NOT NULL, user_id BIGINT, movie_ids TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS impressions_by_time ON impressions (shown_us)",
    "CREATE INDEX IF NOT EXISTS impressions_of_user ON impressions (user_id)",
)
TO_FORMAT_3: Final = (
    """CREATE TABLE IF NOT EXISTS shown_rankings (
        shown_us BIGINT NOT NULL, request_id TEXT NOT NULL, user_id BIGINT, model_version TEXT NOT NULL,
        served_by TEXT NOT NULL, explore DOUBLE PRECISION NOT NULL, shown TEXT NOT NULL)""",
    "DROP INDEX IF EXISTS shown_rankings_by_time",
    "DROP INDEX IF EXISTS shown_rankings_of_user",
    "ALTER TABLE shown_rankings RENAME TO rankings",
    "ALTER TABLE rankings RENAME COLUMN shown_us TO served_us",
    "ALTER TABLE rankings RENAME COLUMN request_id TO ranking_id",
    "ALTER TABLE rankings RENAME COLUMN shown TO movies",
)
"""From the table of earlier formats, which took every served ranking for shown."""
MESSAGES_PER_RANKING: Final = 10
"""Maximum number of messages about impressions in the store, per ranking in the store."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNLESS_FORGOTTEN: Final = """
    WHERE NOT EXISTS (SELECT 1 FROM forgotten_users
        WHERE user_id = CAST(? AS BIGINT) AND forgotten_us >= CAST(? AS BIGINT))"""
"""Does not store what is older than the forgetting of its user, but arrives later."""
_INSERT_RANKING: Final = f"""
    INSERT INTO rankings (served_us, ranking_id, user_id, model_version, served_by, explore, movies)
    SELECT CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ?, ?, CAST(? AS DOUBLE PRECISION), ?{_UNLESS_FORGOTTEN}"""
_INSERT_IMPRESSION: Final = f"""
    INSERT INTO impressions (shown_us, ranking_id, user_id, movie_ids)
    SELECT CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ? {_UNLESS_FORGOTTEN}"""
_TRIM: Final = (
    """DELETE FROM rankings WHERE served_us < (
        SELECT served_us FROM rankings ORDER BY served_us DESC LIMIT 1 OFFSET ?)""",
    """DELETE FROM impressions WHERE shown_us < (
        SELECT shown_us FROM impressions ORDER BY shown_us DESC LIMIT 1 OFFSET ?)""",
)
_SELECT_RANKINGS: Final = """
    SELECT served_us, ranking_id, user_id, model_version, served_by, explore, movies FROM rankings
    ORDER BY served_us, ranking_id"""
_SELECT_IMPRESSIONS: Final = """
    SELECT shown_us, ranking_id, user_id, movie_ids FROM impressions ORDER BY shown_us"""


class ServedMovie(msgspec.Struct, frozen=True, array_like=True):
    """The movie at one position of a ranking."""

    movie_id: int
    score: float
    propensity: float
    """Probability of this movie here, given the movies above it; 1 unless the ranking was drawn."""


class ServedRanking(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking that was sent to a client."""

    served_us: int
    """Microseconds since 1970, UTC."""
    ranking_id: str
    """Made by the service: no two rankings have the same."""
    user_id: int | None
    """None for a visitor."""
    model_version: str
    served_by: str
    explore: float
    movies: list[ServedMovie]
    """In the order of the ranking."""


class Impression(msgspec.Struct, frozen=True, kw_only=True):
    """Movies of one ranking that a client says it showed."""

    shown_us: int
    """Microseconds since 1970, UTC, when the service heard of it."""
    ranking_id: str
    user_id: int | None
    """The user of the ranking; None for a visitor. Counts only if it is the ranking's."""
    movie_ids: list[int]
    """Movies that the ranking does not have are ignored."""


def insert_rankings(connection: Connection, rankings: Sequence[ServedRanking]) -> None:
    """Store `rankings`, except of users who were forgotten after they were served."""
    connection.execute_many(
        _INSERT_RANKING,
        [
            (
                ranking.served_us,
                ranking.ranking_id,
                ranking.user_id,
                ranking.model_version,
                ranking.served_by,
                ranking.explore,
                msgspec.json.encode(ranking.movies).decode(),
                ranking.user_id,
                ranking.served_us,
            )
            for ranking in rankings
        ],
    )


def insert_impressions(connection: Connection, impressions: Sequence[Impression]) -> None:
    """Store `impressions`, except of users who were forgotten after they were shown."""
    connection.execute_many(
        _INSERT_IMPRESSION,
        [
            (
                impression.shown_us,
                impression.ranking_id,
                impression.user_id,
                msgspec.json.encode(impression.movie_ids).decode(),
                impression.user_id,
                impression.shown_us,
            )
            for impression in impressions
        ],
    )


def trim_rankings(connection: Connection, keep: int) -> int:
    """Delete all but the newest `keep` rankings, and return how many were deleted.

    Of messages about impressions the newest MESSAGES_PER_RANKING times `keep` stay.
    """
    rankings, impressions = _TRIM
    connection.execute(impressions, (MESSAGES_PER_RANKING * keep - 1,))
    return int(connection.execute(rankings, (keep - 1,)).rowcount)


def delete_rankings_of(connection: Connection, user_id: int) -> None:
    """Delete all rankings and impressions of a user."""
    for table in ("rankings", "impressions"):
        connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))


def read_impressions(connection: Connection) -> pl.DataFrame:
    """All impressions as IMPRESSIONS, oldest ranking first, positions ascending.

    A movie that was shown several times has its first time.
    """
    first_shown: defaultdict[tuple[str, int | None], dict[int, int]] = defaultdict(dict)
    for shown_us, ranking_id, user_id, movie_ids in connection.execute(_SELECT_IMPRESSIONS):
        of_ranking = first_shown[ranking_id, user_id]
        for movie_id in msgspec.json.decode(movie_ids, type=list[int]):
            of_ranking.setdefault(movie_id, shown_us)
    rows: list[tuple[Any, ...]] = []
    for _, ranking_id, user_id, version, served_by, explore, movies in connection.execute(_SELECT_RANKINGS):
        shown = first_shown.get((ranking_id, user_id))
        if shown is None:
            continue
        for position, movie in enumerate(msgspec.json.decode(movies, type=list[ServedMovie]), start=1):
            if movie.movie_id in shown:
                rows.append(
                    (
                        _EPOCH + timedelta(microseconds=shown[movie.movie_id]),
                        ranking_id,
                        user_id,
                        position,
                        movie.movie_id,
                        movie.score,
                        movie.propensity,
                        version,
                        served_by,
                        explore,
                    )
                )
    return pl.DataFrame(rows, schema=IMPRESSIONS, orient="row")
