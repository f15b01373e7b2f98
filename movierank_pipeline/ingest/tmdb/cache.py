"""A cache of TMDB API responses on disk. Each response is stored when it arrives and is not requested again.

SQLite in write-ahead mode: a crash loses at most the responses in flight. The cache holds facts and times, no
keys. TMDB's terms allow storage for six months: facts are requested again before that, and deleted at that
age.
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
"""Age after which facts are requested again. Thirty days remain for retries."""
KEPT_FOR: Final = timedelta(days=180)
"""Maximum age of facts. Older facts are not used and are deleted; six months can have 181 days."""
GONE_FOR: Final = timedelta(days=30)
"""Time before a movie that TMDB does not have is requested again."""

_FORMAT: Final = 1
"""Version of the stored format, increased when `MovieFacts` changes. A cache of another format is emptied."""
_TABLES: Final = (
    "answers (tmdb_id INTEGER PRIMARY KEY, retrieved_at INTEGER NOT NULL, facts BLOB)",
    "failures (tmdb_id INTEGER PRIMARY KEY, failed_at INTEGER NOT NULL)",
    "refreshes (day TEXT PRIMARY KEY, movies INTEGER NOT NULL)",
    "configuration (name TEXT PRIMARY KEY, value TEXT NOT NULL, retrieved_at INTEGER NOT NULL)",
)
_IMAGE_BASE: Final = "image_base"


class TmdbCache:
    """Stored TMDB responses per movie. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the cache. Raises `DataError` if `path` is damaged or not a cache."""
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
        """Stores a response durably; None means that TMDB has no such movie."""
        content = None if facts is None else msgspec.json.encode(facts)
        self._run("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", tmdb_id, _epoch(now), content)
        self._run("DELETE FROM failures WHERE tmdb_id = ?", tmdb_id)

    def put_failure(self, tmdb_id: int, now: datetime) -> None:
        """Records a failed request; facts stored earlier stay."""
        self._run("INSERT OR REPLACE INTO failures VALUES (?, ?)", tmdb_id, _epoch(now))

    def known(self, now: datetime) -> tuple[set[int], set[int]]:
        """(movies with facts, movies that TMDB does not have), among the responses that are valid at
        `now`."""
        found = self._ids("facts IS NOT NULL AND retrieved_at > ?", now - KEPT_FOR)
        gone = self._ids("facts IS NULL AND retrieved_at > ?", now - GONE_FOR)
        return set(found), set(gone)

    def to_refresh(self, now: datetime) -> list[int]:
        """Movies whose facts are still valid at `now` but due for a refresh, oldest first."""
        found, _ = self.known(now)
        return [one for one in self._ids("facts IS NOT NULL AND retrieved_at <= ?", now - REFRESHED_AFTER)
                if one in found]  # fmt: skip

    def count_refresh(self, now: datetime) -> None:
        """Counts one refreshed movie against the budget of the UTC day."""
        self._run(
            "INSERT INTO refreshes VALUES (?, 1) ON CONFLICT (day) DO UPDATE SET movies = movies + 1",
            _day(now),
        )

    def n_refreshed(self, now: datetime) -> int:
        """Number of refreshed movies on the UTC day of `now`."""
        return int(self._run("SELECT coalesce(sum(movies), 0) FROM refreshes WHERE day = ?", _day(now))[0][0])

    def failed(self) -> set[int]:
        """Movies whose last request failed."""
        return {row[0] for row in self._run("SELECT tmdb_id FROM failures")}

    def newest(self) -> int:
        """Time of the newest response in seconds since 1970; 0 if there is none."""
        return int(self._run("SELECT coalesce(max(retrieved_at), 0) FROM answers")[0][0])

    def erase_old(self, now: datetime) -> int:
        """Deletes facts that have reached the maximum age at `now`; returns their number."""
        old = len(self._ids("facts IS NOT NULL AND retrieved_at <= ?", now - KEPT_FOR))
        self._run("DELETE FROM answers WHERE retrieved_at <= ?", _epoch(now - KEPT_FOR))
        self._run("DELETE FROM refreshes WHERE day < ?", _day(now))
        return old

    def put_image_base(self, base: str, now: datetime) -> None:
        self._run("INSERT OR REPLACE INTO configuration VALUES (?, ?, ?)", _IMAGE_BASE, base, _epoch(now))

    def image_base(self, now: datetime) -> str | None:
        """TMDB's base URL of images, if it is stored and not too old; else None."""
        rows = self._run(
            "SELECT value FROM configuration WHERE name = ? AND retrieved_at > ?",
            _IMAGE_BASE,
            _epoch(now - KEPT_FOR),
        )
        return str(rows[0][0]) if rows else None

    def frame(self, tmdb_ids: Iterable[int], now: datetime) -> pl.DataFrame:
        """TMDB_MOVIES of the `tmdb_ids` with valid facts at `now`, sorted by `tmdb_id`."""
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
        """Movie ids from the table `answers`, oldest response first."""
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
