"""Answers of the TMDB API on disk, each written as it arrives, so that none is asked for twice.

SQLite in write-ahead mode: a kill loses at most the answers in flight. It holds facts and times, no keys.
TMDB's terms allow to keep facts for six months: they are asked for again well before, and what could not be
is erased.
"""

import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import polars as pl

from movierank_core.data.schema import TIMESTAMP, TMDB_MOVIES
from movierank_core.errors import DataError
from movierank_pipeline.ingest.tmdb.facts import clean_facts
from movierank_pipeline.ingest.tmdb.responses import MovieFacts

REFRESHED_AFTER: Final = timedelta(days=150)
"""Facts older than this are asked for again; thirty days are left for it to work out."""
KEPT_FOR: Final = timedelta(days=180)
"""Older facts are neither used nor kept: six months may have 181 days."""
GONE_FOR: Final = timedelta(days=30)
"""How long a movie that TMDB does not have is not asked for again."""

_FORMAT: Final = 1
"""Raised when `MovieFacts` changes; a cache of another format is emptied."""
_TABLES: Final = (
    "answers (tmdb_id INTEGER PRIMARY KEY, retrieved_at INTEGER NOT NULL, facts BLOB)",
    "failures (tmdb_id INTEGER PRIMARY KEY, failed_at INTEGER NOT NULL)",
    "refreshes (day TEXT PRIMARY KEY, movies INTEGER NOT NULL)",
    "configuration (name TEXT PRIMARY KEY, value TEXT NOT NULL, retrieved_at INTEGER NOT NULL)",
)
_IMAGE_BASE: Final = "image_base"


class TmdbCache:
    """What TMDB has said about movies. Safe for use by several threads."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the cache. Raises `DataError` if `path` is something else, or damaged."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            if self._database.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                self._database.execute("DROP TABLE IF EXISTS answers")
                self._database.execute(f"PRAGMA user_version = {_FORMAT}")
            for table in _TABLES:
                self._database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
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
        content = None if facts is None else msgspec.json.encode(facts)
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", tmdb_id, _epoch(now), content)
        self._run("DELETE FROM failures WHERE tmdb_id = ?", tmdb_id)

    def put_failure(self, tmdb_id: int, now: datetime) -> None:
        """Notes that a movie was asked for in vain; what is known of it stays."""
        self._run("INSERT OR REPLACE INTO failures VALUES (?, ?)", tmdb_id, _epoch(now))

    def known(self, now: datetime) -> tuple[set[int], set[int]]:
        """(movies with facts, movies that are gone), as far as that is recent enough at `now`."""
        found = self._ids("facts IS NOT NULL AND retrieved_at > ?", now - KEPT_FOR)
        gone = self._ids("facts IS NULL AND retrieved_at > ?", now - GONE_FOR)
        return set(found), set(gone)

    def to_refresh(self, now: datetime) -> list[int]:
        """Movies whose facts may still be used at `now` but should be asked for again, the oldest first."""
        found, _ = self.known(now)
        return [one for one in self._ids("facts IS NOT NULL AND retrieved_at <= ?", now - REFRESHED_AFTER)
                if one in found]  # fmt: skip

    def count_refresh(self, now: datetime) -> None:
        """Counts one movie asked for again, against the budget of the (UTC) day."""
        self._run(
            "INSERT INTO refreshes VALUES (?, 1) ON CONFLICT (day) DO UPDATE SET movies = movies + 1",
            _day(now),
        )

    def n_refreshed(self, now: datetime) -> int:
        """Movies asked for again so far on the day of `now`."""
        return int(self._run("SELECT coalesce(sum(movies), 0) FROM refreshes WHERE day = ?", _day(now))[0][0])

    def failed(self) -> set[int]:
        """Movies whose last request was in vain."""
        return {row[0] for row in self._run("SELECT tmdb_id FROM failures")}

    def newest(self) -> int:
        """When the last answer came, in seconds since 1970; 0 without any."""
        return int(self._run("SELECT coalesce(max(retrieved_at), 0) FROM answers")[0][0])

    def erase_old(self, now: datetime) -> int:
        """Erases facts that may no longer be kept at `now`; returns how many."""
        old = len(self._ids("facts IS NOT NULL AND retrieved_at <= ?", now - KEPT_FOR))
        self._run("DELETE FROM answers WHERE retrieved_at <= ?", _epoch(now - KEPT_FOR))
        self._run("DELETE FROM refreshes WHERE day < ?", _day(now))
        return old

    def put_image_base(self, base: str, now: datetime) -> None:
        self._run("INSERT OR REPLACE INTO configuration VALUES (?, ?, ?)", _IMAGE_BASE, base, _epoch(now))

    def image_base(self, now: datetime) -> str | None:
        """Where TMDB said that its images are, if that is recent enough to be kept."""
        rows = self._run(
            "SELECT value FROM configuration WHERE name = ? AND retrieved_at > ?",
            _IMAGE_BASE,
            _epoch(now - KEPT_FOR),
        )
        return str(rows[0][0]) if rows else None

    def frame(self, tmdb_ids: Iterable[int], now: datetime) -> pl.DataFrame:
        """TMDB_MOVIES of those `tmdb_ids` whose facts are recent enough at `now`, by `tmdb_id`."""
        wanted = set(tmdb_ids)
        rows = self._run(
            "SELECT tmdb_id, retrieved_at, facts FROM answers"
            " WHERE facts IS NOT NULL AND retrieved_at > ? ORDER BY tmdb_id",
            _epoch(now - KEPT_FOR),
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

    def _ids(self, condition: str, moment: datetime) -> list[int]:
        """Movies of the table `answers`, the oldest answer first."""
        rows = self._run(
            f"SELECT tmdb_id FROM answers WHERE {condition} ORDER BY retrieved_at, tmdb_id", _epoch(moment)
        )
        return [row[0] for row in rows]

    def _run(self, statement: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"The TMDB cache {self._path} cannot be used ({error})",
                expected="a cache that movierank wrote, and room on the disk",
                remedy="make room; or delete the file, and what it held is asked for again",
            ) from error


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
