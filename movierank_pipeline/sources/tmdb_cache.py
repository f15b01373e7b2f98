"""Answers of the TMDB API on disk, each written as it arrives, so that none is asked for twice.

SQLite in write-ahead mode: a kill loses at most the answers in flight. It holds facts and times, no keys.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

import msgspec
import polars as pl

from movierank_core.errors import DataError
from movierank_core.schema import TIMESTAMP, TMDB_MOVIES
from movierank_pipeline.sources.tmdb_answers import MovieFacts
from movierank_pipeline.sources.tmdb_facts import clean_facts

FOUND_FOR: Final = timedelta(days=180)
"""How long facts may be kept: TMDB's terms allow six months."""
GONE_FOR: Final = timedelta(days=30)
"""How long a movie that TMDB does not have is not asked for again."""

_FORMAT: Final = 1
"""Raised when `MovieFacts` changes; a cache of another format is emptied."""


class TmdbCache:
    """What TMDB has said about movies. For use by one thread."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the cache. Raises `DataError` if `path` is something else, or damaged."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            if self._database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                self._database.execute("DROP TABLE IF EXISTS answers")
                self._database.execute(f"PRAGMA user_version = {_FORMAT}")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS answers"
                " (tmdb_id INTEGER PRIMARY KEY, retrieved_at INTEGER NOT NULL, facts BLOB)"
            )
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise DataError(
                f"The TMDB cache {path} cannot be opened ({error})",
                expected="a cache that movierank wrote",
                remedy="delete the file; what it held is asked for again",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def put(self, tmdb_id: int, facts: MovieFacts | None, now: datetime) -> None:
        """Keeps an answer; None: TMDB has no such movie. It stays, whatever happens afterwards."""
        self._database.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)",
            (tmdb_id, int(now.timestamp()), None if facts is None else msgspec.json.encode(facts)),
        )

    def known(self, now: datetime) -> tuple[set[int], set[int]]:
        """(movies with facts, movies that are gone), as far as that is recent enough at `now`."""
        with closing(self._database.cursor()) as cursor:
            found = cursor.execute(
                "SELECT tmdb_id FROM answers WHERE facts IS NOT NULL AND retrieved_at > ?",
                (_epoch(now - FOUND_FOR),),
            ).fetchall()
            gone = cursor.execute(
                "SELECT tmdb_id FROM answers WHERE facts IS NULL AND retrieved_at > ?",
                (_epoch(now - GONE_FOR),),
            ).fetchall()
        return {row[0] for row in found}, {row[0] for row in gone}

    def frame(self, tmdb_ids: Iterable[int], now: datetime) -> pl.DataFrame:
        """TMDB_MOVIES of those `tmdb_ids` whose facts are recent enough at `now`, by `tmdb_id`."""
        wanted = set(tmdb_ids)
        rows = self._database.execute(
            "SELECT tmdb_id, retrieved_at, facts FROM answers"
            " WHERE facts IS NOT NULL AND retrieved_at > ? ORDER BY tmdb_id",
            (_epoch(now - FOUND_FOR),),
        )
        decode = msgspec.json.Decoder(MovieFacts).decode
        records = [
            {
                **msgspec.structs.asdict(decode(facts)),
                "retrieved_at": datetime.fromtimestamp(retrieved_at, UTC),
                "metadata_source": "TMDB API",
            }
            for tmdb_id, retrieved_at, facts in rows
            if tmdb_id in wanted
        ]
        return clean_facts(pl.DataFrame(records, schema={**TMDB_MOVIES, "retrieved_at": TIMESTAMP}))


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
