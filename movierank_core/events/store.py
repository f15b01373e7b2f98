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
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
import polars as pl

from movierank_core.data.history import Event
from movierank_core.data.schema import FEEDBACK
from movierank_core.errors import EventConflictError, EventStoreError, MovierankError
from movierank_core.events.databases import (
    ANSWER_SECONDS,
    Connection,
    Connections,
    Database,
    database_of,
)
from movierank_core.events.impressions import (
    TABLES,
    TO_FORMAT_3,
    Impression,
    ServedRanking,
    delete_rankings_of,
    insert_impressions,
    insert_rankings,
    read_impressions,
    trim_rankings,
)

FORMAT_VERSION: Final = 3
"""Version 2 has event ids per user, and `undoes`. Version 3 has ids of rankings, and impressions apart from
served rankings. An older store is converted when it is opened."""
_ROWS_PER_PART: Final = 50_000
"""Maximum number of events in memory as Python objects while a snapshot is read."""
_T = TypeVar("_T")


class FeedbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event to store, with the fields of FEEDBACK."""

    event_id: str
    """Idempotency key of the user. An event that is sent again with the same id is stored once."""
    user_id: int
    movie_id: int
    event_type: str
    """One of `movierank_core.data.history.FEEDBACK_EVENT_TYPES`."""
    timestamp: datetime
    """Aware, UTC. Stored later than the user's last event: the order of storage is the order of time."""
    value: float | None = None
    """The rating of a `rating` event, 0.5 to 5."""
    request_id: str | None = None
    """An id of the caller, for tracing; None if unknown."""
    ranking_id: str | None = None
    """The ranking that showed the movie; None if unknown."""
    undoes: str | None = None
    """Only of an `undo`: the `event_id` of the same user and movie that it withdraws.

    The withdrawn event counts as never sent; an id that is not stored withdraws nothing. An `undo` without
    `undoes` withdraws the event that stands (see `movierank_core.data.standing`)."""


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
    withdrawn: list[Event]
    """Events up to the watermark that later events withdrew by name. They must not be used either."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The last stored event of a user and movie that was not withdrawn by name."""

    event_id: str
    movie_id: int
    event_type: str
    value: float | None
    timestamp_us: int
    """Microseconds since 1970, UTC."""


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
        self._connections = Connections(database)
        self._readers = Connections(database, is_read_only=True)
        """Readers have connections of their own: they wait neither for a writer nor for its connection."""
        self._waiting: list[_Batch] = []
        self._waiting_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        with self._transaction("set up") as connection:
            self.store_id = _set_up(connection, database)

    def append(self, events: Sequence[FeedbackEvent]) -> list[bool]:
        """Store events, durably. Returns per event whether it is new: False for one that is stored already.

        Raises EventConflictError if the user has another event with the same `event_id`. All events are
        stored or none. Batches that arrive during a commit share the next one (group commit).
        """
        batch = _Batch(list(events))
        with self._waiting_lock:
            self._waiting.append(batch)
        with self._commit_lock:
            if batch.outcome is None:
                with self._waiting_lock:
                    together, self._waiting = self._waiting, []
                self._commit(together)
        if isinstance(batch.outcome, MovierankError):
            raise batch.outcome
        assert batch.outcome is not None
        return batch.outcome

    def _commit(self, batches: "list[_Batch]") -> None:
        for batch in batches:
            batch.outcome = EventStoreError("The events were not stored", remedy="send them again")
        try:
            with self._transaction("store events in") as connection:
                outcomes = _insert(connection, [batch.events for batch in batches])
        except EventStoreError as error:
            for batch in batches:
                batch.outcome = error
            return
        for batch, outcome in zip(batches, outcomes, strict=True):
            batch.outcome = outcome

    def news_of(self, user_id: int, after: Watermark | None) -> NewEvents:
        """The events of one user after a watermark; all events for None or the watermark of another store."""
        seq = self._seq_of(after)
        rows = self._read(
            lambda connection: connection.execute(
                _SELECT_NEWS, (user_id, seq) * 2 + (user_id, seq, seq)
            ).fetchall()
        )
        parts: dict[str, list[Event]] = {"new": [], "withdrawn": [], "forgotten": []}
        for _, kind, movie_id, event_type, timestamp_us, value in rows:
            parts[kind].append(Event(movie_id, event_type, timestamp_us // 1_000_000, value))
        return NewEvents(parts["new"], is_forgotten=bool(parts["forgotten"]), withdrawn=parts["withdrawn"])

    def verdicts_of(self, user_id: int, limit: int) -> list[Verdict]:
        """At most `limit` last events of a user, one per movie, newest first."""
        rows = self._read(
            lambda connection: connection.execute(_SELECT_VERDICTS, (user_id, limit)).fetchall()
        )
        return [
            Verdict(
                event_id=event_id,
                movie_id=movie_id,
                event_type=event_type,
                value=value,
                timestamp_us=timestamp_us,
            )
            for event_id, movie_id, event_type, value, timestamp_us in rows
        ]

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
            parts = [
                _feedback([]),
                *map(_feedback, connection.stream(_SELECT_ALL, (seq, seq), _ROWS_PER_PART)),
            ]
            forgotten = connection.execute(_SELECT_FORGOTTEN, (0,)).fetchall()
        return FeedbackSnapshot(
            pl.concat(parts), str(Watermark(self.store_id, seq)), [row[0] for row in forgotten]
        )

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

    def newly_forgotten(self, after: Watermark | None) -> tuple[list[int], Watermark]:
        """As `forgotten_users`, with the watermark up to which the list is complete."""
        with self._transaction("read", is_read_only=True) as connection:
            seq = _last_seq(connection)
            rows = connection.execute(_SELECT_FORGOTTEN, (self._seq_of(after),)).fetchall()
        return [row[0] for row in rows], Watermark(self.store_id, seq)

    def _seq_of(self, after: Watermark | None) -> int:
        """The sequence number of a watermark; 0 for None and for a watermark of another store."""
        return after.seq if after is not None and after.store_id == self.store_id else 0

    def append_rankings(
        self, rankings: Sequence[ServedRanking], impressions: Sequence[Impression] = ()
    ) -> None:
        """Store served rankings and impressions, except of users who were forgotten after these."""
        with self._transaction("store impressions in") as connection:
            insert_rankings(connection, rankings)
            insert_impressions(connection, impressions)

    def trim_rankings(self, keep: int) -> int:
        """Delete all but the newest `keep` rankings, and old impressions. The number of deleted rankings."""
        with self._transaction("delete from") as connection:
            return trim_rankings(connection, keep)

    def impressions(self) -> pl.DataFrame:
        """All stored impressions as IMPRESSIONS, oldest ranking first, positions ascending."""
        with self._transaction("read", is_read_only=True) as connection:
            return read_impressions(connection)

    def count(self) -> int:
        """Number of stored events."""
        return self._read(
            lambda connection: connection.execute("SELECT count(*) FROM feedback_events").fetchone()[0]
        )

    def last_event_at(self) -> datetime | None:
        """The time of the event stored last; None without events. Events of deleted users do not count."""
        row = self._read(lambda connection: connection.execute(_SELECT_NEWEST_TIME).fetchone())
        return None if row is None else _EPOCH + timedelta(microseconds=row[0])

    def ping(self) -> None:
        """Raises EventStoreError unless events can be stored now. Locks no row that a writer needs."""
        with self._transaction("write to") as connection:
            connection.execute("UPDATE event_store_probe SET n = n + 1 WHERE id = 1")

    def close(self) -> None:
        self._connections.close()
        self._readers.close()

    @contextmanager
    def _transaction(self, purpose: str, *, is_read_only: bool = False) -> Iterator[Connection]:
        pool = self._readers if is_read_only else self._connections
        with (
            # No limit: a snapshot may take long, and no request waits for one.
            pool.use(purpose, seconds=None if is_read_only else ANSWER_SECONDS) as connection,
            connection.transaction(is_read_only=is_read_only),
        ):
            yield connection

    def _read(self, query: Callable[[Connection], _T]) -> _T:
        with self._readers.use("read") as connection:
            return query(connection)


@dataclass
class _Batch:
    events: list[FeedbackEvent]
    outcome: list[bool] | MovierankError | None = None


_COUNTS: Final = """NOT (e.event_type = 'undo' AND e.undoes IS NOT NULL) AND NOT EXISTS (
        SELECT 1 FROM feedback_events u
        WHERE u.user_id = e.user_id AND u.undoes = e.event_id AND u.movie_id = e.movie_id{until})"""
"""Whether the event `e` counts: it is not withdrawn by name, and does not itself withdraw one by name."""
_SELECT_NEWS: Final = f"""
    SELECT seq, 'new', movie_id, event_type, timestamp_us, value FROM feedback_events e
    WHERE user_id = ? AND seq > ? AND {_COUNTS.format(until="")}
    UNION ALL
    SELECT seq, 'forgotten', 0, '', 0, NULL FROM forgotten_users WHERE user_id = ? AND seq > ?
    UNION ALL
    SELECT e.seq, 'withdrawn', e.movie_id, e.event_type, e.timestamp_us, e.value
    FROM feedback_events w JOIN feedback_events e
        ON e.user_id = w.user_id AND e.event_id = w.undoes AND e.movie_id = w.movie_id
    WHERE w.user_id = ? AND w.seq > ? AND w.undoes IS NOT NULL AND e.seq <= ?
    ORDER BY 1"""
"""One statement, so that events and the mark of a forgotten user are read at the same moment."""
_SELECT_VERDICTS: Final = f"""
    SELECT event_id, movie_id, event_type, value, timestamp_us FROM feedback_events e
    WHERE seq IN (
        SELECT max(e.seq) FROM feedback_events e
        WHERE e.user_id = ? AND e.event_type <> 'click' AND {_COUNTS.format(until="")} GROUP BY e.movie_id)
    ORDER BY seq DESC LIMIT ?"""
_SELECT_FORGOTTEN: Final = "SELECT user_id FROM forgotten_users WHERE seq > ? ORDER BY user_id"
_SELECT_ALL: Final = f"""
    SELECT event_id, user_id, movie_id, event_type, value, request_id, ranking_id, timestamp_us
    FROM feedback_events e WHERE seq <= ? AND {_COUNTS.format(until=" AND u.seq <= ?")} ORDER BY seq"""
_SELECT_STORED: Final = """
    SELECT movie_id, event_type, value, undoes FROM feedback_events WHERE user_id = ? AND event_id = ?"""
_SELECT_LAST_TIME: Final = """
    SELECT timestamp_us FROM feedback_events WHERE user_id = ? ORDER BY seq DESC LIMIT 1"""
_SELECT_NEWEST_TIME: Final = "SELECT timestamp_us FROM feedback_events ORDER BY seq DESC LIMIT 1"
_INSERT: Final = """
    INSERT INTO feedback_events
        (seq, event_id, user_id, movie_id, event_type, value, request_id, ranking_id, undoes, timestamp_us)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FORGET: Final = """
    INSERT INTO forgotten_users (user_id, seq, forgotten_us) VALUES (?, ?, ?)
    ON CONFLICT (user_id) DO UPDATE SET seq = excluded.seq, forgotten_us = excluded.forgotten_us"""
_EVENTS_TABLE: Final = """CREATE TABLE IF NOT EXISTS feedback_events (
        seq BIGINT NOT NULL UNIQUE, event_id TEXT NOT NULL, user_id BIGINT NOT NULL,
        movie_id BIGINT NOT NULL, event_type TEXT NOT NULL, value DOUBLE PRECISION, request_id TEXT,
        timestamp_us BIGINT NOT NULL, undoes TEXT, ranking_id TEXT, UNIQUE (user_id, event_id))"""
_TABLES: Final = (
    _EVENTS_TABLE,
    "CREATE INDEX IF NOT EXISTS feedback_events_of_user ON feedback_events (user_id, seq)",
    """CREATE INDEX IF NOT EXISTS feedback_events_undone ON feedback_events (user_id, undoes)
        WHERE undoes IS NOT NULL""",
    """CREATE TABLE IF NOT EXISTS forgotten_users (
        user_id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, forgotten_us BIGINT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS forgotten_users_by_seq ON forgotten_users (seq)",
    "CREATE TABLE IF NOT EXISTS event_store_probe (id INTEGER PRIMARY KEY, n BIGINT NOT NULL)",
    "INSERT INTO event_store_probe VALUES (1, 0) ON CONFLICT (id) DO NOTHING",
    *TABLES,
)
_EVENTS_FROM_1: Final = (
    "ALTER TABLE feedback_events RENAME TO feedback_events_1",
    "DROP INDEX IF EXISTS feedback_events_of_user",
    _EVENTS_TABLE,
    """INSERT INTO feedback_events
        (seq, event_id, user_id, movie_id, event_type, value, request_id, timestamp_us)
        SELECT seq, event_id, user_id, movie_id, event_type, value, request_id, timestamp_us
        FROM feedback_events_1""",
    "DROP TABLE feedback_events_1",
)
"""Copies the table: SQLite cannot drop the constraint that ids are unique over all users."""
_EVENTS_FROM_2: Final = ("ALTER TABLE feedback_events ADD COLUMN ranking_id TEXT",)
_CONVERSIONS: Final[dict[int, tuple[str, ...]]] = {
    1: (*_EVENTS_FROM_1, *TO_FORMAT_3),
    2: (*_EVENTS_FROM_2, *TO_FORMAT_3),
    FORMAT_VERSION: (),
}
"""Statements that convert a store, by its format."""


def _set_up(connection: Connection, database: Database) -> str:
    """Make the tables where they are missing, and return the store's id."""
    connection.lock_for_set_up()
    connection.execute(
        """CREATE TABLE IF NOT EXISTS event_store (
        id INTEGER PRIMARY KEY, store_id TEXT NOT NULL, format_version INTEGER NOT NULL,
        last_seq BIGINT NOT NULL)"""
    )
    row = connection.execute("SELECT store_id, format_version FROM event_store WHERE id = 1").fetchone()
    if row is None:
        row = (secrets.token_hex(8), FORMAT_VERSION)
        connection.execute("INSERT INTO event_store VALUES (1, ?, ?, 0)", row)
    if row[1] > FORMAT_VERSION:
        raise EventStoreError(
            f"The event store {database.shown_url} has format {row[1]}",
            expected=f"format {FORMAT_VERSION} or older",
            remedy="upgrade movierank",
        )
    for statement in (*_CONVERSIONS[row[1]], *_TABLES):
        connection.execute(statement)
    connection.execute("UPDATE event_store SET format_version = ?", (FORMAT_VERSION,))
    return str(row[0])


def _advance(connection: Connection, n: int) -> int:
    """Take `n` sequence numbers and return the last one.

    Numbers of events that are not stored in the end are skipped. The row stays locked until the commit, so
    numbers appear in the order of commits on PostgreSQL as well: a reader of number 7 never meets a number 6
    later.
    """
    row = connection.execute(
        "UPDATE event_store SET last_seq = last_seq + ? WHERE id = 1 RETURNING last_seq", (n,)
    ).fetchone()
    return int(row[0])


def _last_seq(connection: Connection) -> int:
    return int(connection.execute("SELECT last_seq FROM event_store WHERE id = 1").fetchone()[0])


def _insert(
    connection: Connection, batches: Sequence[Sequence[FeedbackEvent]]
) -> list[list[bool] | MovierankError]:
    """Store the new events of several batches. Per batch whether each event is new, or its conflict."""
    n = sum(len(batch) for batch in batches)
    seq = _advance(connection, n) - n
    rows: list[tuple[Any, ...]] = []
    stored: dict[tuple[int, str], tuple[Any, ...]] = {}
    last_us: dict[int, int] = {}
    outcomes: list[list[bool] | MovierankError] = []
    for batch in batches:
        new: dict[tuple[int, str], tuple[Any, ...]] = {}
        is_new: list[bool] = []
        conflict = None
        for event in batch:
            key, payload = (event.user_id, event.event_id), _payload(event)
            if key not in stored and key not in new:
                row = connection.execute(_SELECT_STORED, key).fetchone()
                if row is not None:
                    stored[key] = tuple(row)
            known = new.get(key, stored.get(key))
            if known is not None and known != payload:
                conflict = EventConflictError(
                    f"User {event.user_id} has another event with the event_id {event.event_id!r}",
                    expected="one event_id per event",
                    remedy="send the event with a new event_id",
                )
                break
            is_new.append(known is None)
            if known is None:
                new[key] = payload
        outcomes.append(is_new if conflict is None else conflict)
        if conflict is not None:
            continue
        stored |= new
        for event in (event for event, stores in zip(batch, is_new, strict=True) if stores):
            seq += 1
            rows.append((seq, *_row(event), _next_us(connection, event, last_us)))
    connection.execute_many(_INSERT, rows)
    return outcomes


def _next_us(connection: Connection, event: FeedbackEvent, last_us: dict[int, int]) -> int:
    """The time to store, in microseconds since 1970: that of the event, but after the user's last event.

    Clocks of hosts differ, and a clock may step back. The sequence of the store decides the order.
    """
    if event.user_id not in last_us:
        row = connection.execute(_SELECT_LAST_TIME, (event.user_id,)).fetchone()
        last_us[event.user_id] = -1 if row is None else row[0]
    last_us[event.user_id] = max(_micros(event.timestamp), last_us[event.user_id] + 1)
    return last_us[event.user_id]


def _payload(event: FeedbackEvent) -> tuple[Any, ...]:
    """The fields in which an event that is sent again equals the stored one."""
    return (event.movie_id, event.event_type, event.value, event.undoes)


def _row(event: FeedbackEvent) -> tuple[Any, ...]:
    return (
        event.event_id,
        event.user_id,
        event.movie_id,
        event.event_type,
        event.value,
        event.request_id,
        event.ranking_id,
        event.undoes,
    )


def _feedback(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of `_SELECT_ALL` as FEEDBACK."""
    schema = [(name, pl.Int64() if name == "timestamp" else kind) for name, kind in FEEDBACK.items()]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.from_epoch("timestamp", time_unit="us").dt.replace_time_zone("UTC").cast(FEEDBACK["timestamp"])
    )


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _micros(moment: datetime) -> int:
    """Microseconds since 1970. Differences of datetimes are exact; `timestamp()` rounds."""
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds
