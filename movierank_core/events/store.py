"""The event store: events of users, durable before they are acknowledged.

SQLite by default, PostgreSQL by URL, under one contract (tests/support/event_store_contract.py). Events get
ascending sequence numbers in the order of their commits. A watermark is such a number: it stands for all
events up to it. `movierank_core.events.databases` holds the two databases.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
import polars as pl

from movierank_core.data.history import Event
from movierank_core.data.schema import FEEDBACK
from movierank_core.errors import EventStoreError
from movierank_core.events.databases import Connection, Connections, Database, database_of
from movierank_core.events.impressions import (
    TABLES,
    ShownRanking,
    delete_rankings_of,
    insert_rankings,
    read_impressions,
    trim_rankings,
)

FORMAT_VERSION: Final = 1
_T = TypeVar("_T")


class FeedbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event to store, with the fields of FEEDBACK."""

    event_id: str
    """Idempotency key, unique over all users. An event with a known id is not stored again."""
    user_id: int
    movie_id: int
    event_type: str
    """One of `movierank_core.data.history.FEEDBACK_EVENT_TYPES`."""
    timestamp: datetime
    """Aware, UTC."""
    value: float | None = None
    """The rating of a `rating` event, 0.5 to 5."""
    request_id: str | None = None
    """The ranking that showed the movie; None if unknown."""


class Watermark(msgspec.Struct, frozen=True):
    """A point in the sequence of one store. It covers the events up to `seq`, inclusive."""

    store_id: str
    seq: int

    def __str__(self) -> str:
        return f"{self.store_id}:{self.seq}"

    @classmethod
    def parse(cls, text: str | None) -> "Watermark | None":
        """The watermark of a text that `str` wrote; None for None; EventStoreError for another text."""
        if text is None:
            return None
        store_id, _, seq = text.rpartition(":")
        if not store_id or not seq.isdecimal():
            raise EventStoreError(f"{text!r} is not a watermark", expected="<store>:<number>")
        return cls(store_id, int(seq))


@dataclass(frozen=True)
class NewEvents:
    """The events of one user after a watermark."""

    events: list[Event]
    """In the order of storage."""
    is_forgotten: bool
    """Whether the user was forgotten after the watermark. Events up to it must then not be used."""


@dataclass(frozen=True)
class FeedbackSnapshot:
    """A consistent copy of the whole store."""

    feedback: pl.DataFrame
    """FEEDBACK, in the order of storage."""
    watermark: str
    forgotten_user_ids: list[int]
    """Users who were forgotten, ascending. `feedback` has their later events."""


def open_event_store(url: str) -> "EventStore":
    """The store at `sqlite:///<path>` or `postgresql://<user>:<password>@<host>/<database>`; made if missing.

    Raises EventStoreError for another URL, and for a database that cannot be reached or written.
    """
    return EventStore(database_of(url))


class EventStore:
    """Store that several threads and processes can use at once.

    Every method raises EventStoreError if the database cannot be reached or refuses a statement.
    """

    def __init__(self, database: Database) -> None:
        self.is_local = database.is_local
        """Whether reading needs no network and never waits for another process."""
        self._connections = Connections(database)
        self._waiting: list[_Batch] = []
        self._waiting_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        with self._transaction("set up") as connection:
            self.store_id = _set_up(connection, database)

    def append(self, events: Sequence[FeedbackEvent]) -> list[bool]:
        """Store events, durably. Returns per event whether it is new: False for a known `event_id`.

        All events are stored or none. Batches that arrive during a commit share the next one (group commit).
        """
        batch = _Batch(list(events))
        with self._waiting_lock:
            self._waiting.append(batch)
        with self._commit_lock:
            if batch.outcome is None:
                with self._waiting_lock:
                    together, self._waiting = self._waiting, []
                self._commit(together)
        if isinstance(batch.outcome, EventStoreError):
            raise batch.outcome
        assert batch.outcome is not None
        return batch.outcome

    def _commit(self, batches: "list[_Batch]") -> None:
        events = [event for batch in batches for event in batch.events]
        for batch in batches:
            batch.outcome = EventStoreError("The events were not stored", remedy="send them again")
        try:
            with self._transaction("store events in") as connection:
                is_new = _insert(connection, events)
        except EventStoreError as error:
            for batch in batches:
                batch.outcome = error
            return
        start = 0
        for batch in batches:
            batch.outcome = is_new[start : start + len(batch.events)]
            start += len(batch.events)

    def news_of(self, user_id: int, after: Watermark | None) -> NewEvents:
        """The events of one user after a watermark; all events for None or the watermark of another store."""
        seq = self._seq_of(after)
        rows = self._read(
            lambda connection: connection.execute(_SELECT_NEWS, (user_id, seq, user_id, seq)).fetchall()
        )
        events = [
            Event(movie_id, event_type, timestamp_us // 1_000_000, value)
            for _, movie_id, event_type, timestamp_us, value in rows
            if movie_id is not None
        ]
        return NewEvents(events, is_forgotten=len(events) < len(rows))

    def events_of(self, user_id: int, after: Watermark | None = None) -> list[Event]:
        """The events of one user after a watermark, in the order of storage."""
        return self.news_of(user_id, after).events

    def watermark(self) -> Watermark:
        """The watermark of the last stored event."""
        return Watermark(self.store_id, self._read(_last_seq))

    def snapshot(self) -> FeedbackSnapshot:
        """All stored events with their watermark, read in one transaction."""
        with self._transaction("read", is_read_only=True) as connection:
            seq = _last_seq(connection)
            rows = connection.execute(_SELECT_ALL, (seq,)).fetchall()
            forgotten = connection.execute(_SELECT_FORGOTTEN, (0,)).fetchall()
        schema = [(name, pl.Int64() if name == "timestamp" else kind) for name, kind in FEEDBACK.items()]
        frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.from_epoch("timestamp", time_unit="us").dt.replace_time_zone("UTC").cast(FEEDBACK["timestamp"])
        )
        return FeedbackSnapshot(frame, str(Watermark(self.store_id, seq)), [row[0] for row in forgotten])

    def read_all(self) -> pl.DataFrame:
        """All events as FEEDBACK, in the order of storage."""
        return self.snapshot().feedback

    def delete_user(self, user_id: int) -> int:
        """Forget a user: delete the user's events and impressions, and list the user as forgotten.

        Returns the number of deleted events. May be repeated. Later events of the user start a new history.
        """
        with self._transaction("delete from") as connection:
            seq = _advance(connection, 1)
            deleted = connection.execute("DELETE FROM feedback_events WHERE user_id = ?", (user_id,)).rowcount
            delete_rankings_of(connection, user_id)
            connection.execute(_FORGET, (user_id, seq, _micros(datetime.now(UTC))))
        return deleted

    def forgotten_users(self, after: Watermark | None = None) -> list[int]:
        """Users who were forgotten after a watermark (None: ever), ascending.

        Events of these users from before their forgetting must not be used.
        """
        rows = self._read(
            lambda connection: connection.execute(_SELECT_FORGOTTEN, (self._seq_of(after),)).fetchall()
        )
        return [row[0] for row in rows]

    def _seq_of(self, after: Watermark | None) -> int:
        """The sequence number of a watermark; 0 for None and for a watermark of another store."""
        return after.seq if after is not None and after.store_id == self.store_id else 0

    def append_rankings(self, rankings: Sequence[ShownRanking]) -> None:
        """Store shown rankings, except of users who were forgotten after they were shown."""
        with self._transaction("store impressions in") as connection:
            insert_rankings(connection, rankings)

    def trim_rankings(self, keep: int) -> int:
        """Delete all but the newest `keep` rankings, and return how many were deleted."""
        with self._transaction("delete from") as connection:
            return trim_rankings(connection, keep)

    def impressions(self) -> pl.DataFrame:
        """All stored impressions as IMPRESSIONS, oldest ranking first, positions ascending."""
        return self._read(read_impressions)

    def count(self) -> int:
        """Number of stored events."""
        return self._read(
            lambda connection: connection.execute("SELECT count(*) FROM feedback_events").fetchone()[0]
        )

    def ping(self) -> None:
        """Raises EventStoreError unless events can be stored now."""
        with self._transaction("write to") as connection:
            connection.execute("UPDATE event_store SET last_seq = last_seq")

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def _transaction(self, purpose: str, *, is_read_only: bool = False) -> Iterator[Connection]:
        with (
            self._connections.use(purpose) as connection,
            connection.transaction(is_read_only=is_read_only),
        ):
            yield connection

    def _read(self, query: Callable[[Connection], _T]) -> _T:
        with self._connections.use("read") as connection:
            return query(connection)


@dataclass
class _Batch:
    events: list[FeedbackEvent]
    outcome: list[bool] | EventStoreError | None = None


_SELECT_NEWS: Final = """
    SELECT seq, movie_id, event_type, timestamp_us, value FROM feedback_events
    WHERE user_id = ? AND seq > ?
    UNION ALL
    SELECT seq, NULL, NULL, NULL, NULL FROM forgotten_users WHERE user_id = ? AND seq > ?
    ORDER BY seq"""
"""One statement, so that events and the mark of a forgotten user are read at the same moment."""
_SELECT_FORGOTTEN: Final = "SELECT user_id FROM forgotten_users WHERE seq > ? ORDER BY user_id"
_SELECT_ALL: Final = """
    SELECT event_id, user_id, movie_id, event_type, value, request_id, timestamp_us FROM feedback_events
    WHERE seq <= ? ORDER BY seq"""
_INSERT: Final = """
    INSERT INTO feedback_events
        (seq, event_id, user_id, movie_id, event_type, value, request_id, timestamp_us)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"""
_FORGET: Final = """
    INSERT INTO forgotten_users (user_id, seq, forgotten_us) VALUES (?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET seq = excluded.seq, forgotten_us = excluded.forgotten_us"""
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS event_store (
        id INTEGER PRIMARY KEY, store_id TEXT NOT NULL, format_version INTEGER NOT NULL,
        last_seq BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS feedback_events (
        seq BIGINT NOT NULL UNIQUE, event_id TEXT NOT NULL UNIQUE, user_id BIGINT NOT NULL,
        movie_id BIGINT NOT NULL, event_type TEXT NOT NULL, value DOUBLE PRECISION, request_id TEXT,
        timestamp_us BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS feedback_events_of_user ON feedback_events (user_id, seq)",
    """CREATE TABLE IF NOT EXISTS forgotten_users (
        user_id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, forgotten_us BIGINT NOT NULL)""",
    *TABLES,
)


def _set_up(connection: Connection, database: Database) -> str:
    """Make the tables where they are missing, and return the store's id."""
    connection.lock_for_set_up()
    for statement in _TABLES:
        connection.execute(statement)
    row = connection.execute("SELECT store_id, format_version FROM event_store WHERE id = 1").fetchone()
    if row is None:
        store_id = secrets.token_hex(8)
        connection.execute("INSERT INTO event_store VALUES (1, ?, ?, 0)", (store_id, FORMAT_VERSION))
        return store_id
    if row[1] > FORMAT_VERSION:
        raise EventStoreError(
            f"The event store {database.shown_url} has format {row[1]}",
            expected=f"format {FORMAT_VERSION} or older",
            remedy="upgrade movierank",
        )
    return str(row[0])


def _advance(connection: Connection, n: int) -> int:
    """Take `n` sequence numbers and return the last one.

    The row stays locked until the commit. So numbers appear in the order of commits on PostgreSQL as well: a
    reader of number 7 never meets a number 6 later.
    """
    row = connection.execute(
        "UPDATE event_store SET last_seq = last_seq + ? WHERE id = 1 RETURNING last_seq", (n,)
    ).fetchone()
    return int(row[0])


def _last_seq(connection: Connection) -> int:
    return int(connection.execute("SELECT last_seq FROM event_store WHERE id = 1").fetchone()[0])


def _insert(connection: Connection, events: list[FeedbackEvent]) -> list[bool]:
    first = _advance(connection, len(events)) - len(events) + 1
    return [
        connection.execute(_INSERT, (first + index, *_row(event))).rowcount == 1
        for index, event in enumerate(events)
    ]


def _row(event: FeedbackEvent) -> tuple[Any, ...]:
    return (
        event.event_id,
        event.user_id,
        event.movie_id,
        event.event_type,
        event.value,
        event.request_id,
        _micros(event.timestamp),
    )


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> int:
    """Microseconds since 1970. Differences of datetimes are exact; `timestamp()` rounds."""
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds
