"""Impressions: shown rankings with the propensity of each position, one row of the event store per ranking.

They are in the same database as the events, so that forgetting a user deletes both. A row holds all positions
of a ranking as JSON: one row per position would make up most of the store.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import polars as pl

from movierank_core.data.schema import IMPRESSIONS
from movierank_core.events.databases import Connection

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS shown_rankings (
        shown_us BIGINT NOT NULL, request_id TEXT NOT NULL, user_id BIGINT, model_version TEXT NOT NULL,
        served_by TEXT NOT NULL, explore DOUBLE PRECISION NOT NULL, shown TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS shown_rankings_by_time ON shown_rankings (shown_us)",
    "CREATE INDEX IF NOT EXISTS shown_rankings_of_user ON shown_rankings (user_id)",
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSERT: Final = """
    INSERT INTO shown_rankings (shown_us, request_id, user_id, model_version, served_by, explore, shown)
    SELECT CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ?, ?, CAST(? AS DOUBLE PRECISION), ?
    WHERE NOT EXISTS (SELECT 1 FROM forgotten_users
        WHERE user_id = CAST(? AS BIGINT) AND forgotten_us >= CAST(? AS BIGINT))"""
"""Does not store a ranking that was shown before its user was forgotten, but arrives later."""
_DELETE_OF_USER: Final = "DELETE FROM shown_rankings WHERE user_id = ?"
_TRIM: Final = """
    DELETE FROM shown_rankings WHERE shown_us < (
        SELECT shown_us FROM shown_rankings ORDER BY shown_us DESC LIMIT 1 OFFSET ?)"""
_SELECT: Final = """
    SELECT shown_us, request_id, user_id, model_version, served_by, explore, shown FROM shown_rankings
    ORDER BY shown_us, request_id"""


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """The movie at one position of a ranking."""

    movie_id: int
    score: float
    propensity: float
    """Probability of this movie here, given the movies above it; 1 unless the ranking was drawn."""


class ShownRanking(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking that was sent to a client."""

    shown_us: int
    """Microseconds since 1970, UTC."""
    request_id: str
    user_id: int | None
    """None for a visitor."""
    model_version: str
    served_by: str
    explore: float
    shown: list[Shown]
    """In the order of the ranking."""


def insert_rankings(connection: Connection, rankings: Sequence[ShownRanking]) -> None:
    """Store `rankings`, except of users who were forgotten after they were shown."""
    connection.execute_many(
        _INSERT,
        [
            (
                ranking.shown_us,
                ranking.request_id,
                ranking.user_id,
                ranking.model_version,
                ranking.served_by,
                ranking.explore,
                msgspec.json.encode(ranking.shown).decode(),
                ranking.user_id,
                ranking.shown_us,
            )
            for ranking in rankings
        ],
    )


def trim_rankings(connection: Connection, keep: int) -> int:
    """Delete all but the newest `keep` rankings, and return how many were deleted."""
    return int(connection.execute(_TRIM, (keep - 1,)).rowcount)


def delete_rankings_of(connection: Connection, user_id: int) -> None:
    """Delete all rankings that were shown to a user."""
    connection.execute(_DELETE_OF_USER, (user_id,))


def read_impressions(connection: Connection) -> pl.DataFrame:
    """All stored impressions as IMPRESSIONS, oldest ranking first, positions ascending."""
    rows: list[tuple[Any, ...]] = []
    for shown_us, request_id, user_id, version, served_by, explore, shown in connection.execute(_SELECT):
        shown_at = _EPOCH + timedelta(microseconds=shown_us)
        for position, entry in enumerate(msgspec.json.decode(shown, type=list[Shown]), start=1):
            rows.append(
                (
                    shown_at,
                    request_id,
                    user_id,
                    position,
                    entry.movie_id,
                    entry.score,
                    entry.propensity,
                    version,
                    served_by,
                    explore,
                )
            )
    return pl.DataFrame(rows, schema=IMPRESSIONS, orient="row")
