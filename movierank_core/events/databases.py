"""The databases of an event store, SQLite and PostgreSQL, and connections to them.

This module holds the differences between the two; `movierank_core.events.store` holds the statements. Both
drivers take `?` for parameters and open no implicit transactions.
"""

import contextlib
import os
import socket
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from movierank_core.errors import EventStoreError
from movierank_core.urls import without_password, without_password_of

BUSY_SECONDS: Final = 5.0
"""Maximum time that a statement waits for the write of another process, in seconds."""
CONNECT_SECONDS: Final = 3
"""Maximum time to connect to PostgreSQL, in seconds."""
STATEMENT_SECONDS: Final = 5.0
"""Maximum time of one statement in PostgreSQL, in seconds. The server enforces it."""
ANSWER_SECONDS: Final = 8.0
"""Maximum time of one use of a connection, in seconds, for a server that no longer answers at all.

The process enforces it by closing the connection. Longer than the times for which a statement may wait."""
CONNECTIONS: Final = 4
"""Maximum number of open connections of one pool. Further threads wait."""
PAUSE_SECONDS: Final = 1.0
"""Time after a refused connection in which callers fail without another attempt, in seconds."""
_SQLITE: Final = "sqlite:///"
_SET_UP_LOCK: Final = 0x6D6F7669
"""Key of the PostgreSQL advisory lock that is held while tables are made: an arbitrary number."""


class Connection(ABC):
    """One connection, used by one thread at a time, in autocommit outside `transaction`."""

    @abstractmethod
    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The driver's cursor after one statement."""

    @abstractmethod
    def transaction(self, *, is_read_only: bool) -> contextlib.AbstractContextManager[None]:
        """A transaction that commits durably at its end and rolls back on an error.

        A read-only one reads the database as of its start.
        """

    @abstractmethod
    def execute_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """One statement per row, without a round trip for each."""

    @abstractmethod
    def stream(self, statement: str, parameters: tuple[Any, ...], n: int) -> Iterator[list[tuple[Any, ...]]]:
        """The result in parts of at most `n` rows, inside a read-only transaction, never all in memory."""

    @abstractmethod
    def interrupt(self) -> None:
        """Ends the statement in progress, from another thread. The connection is of no use afterwards."""

    @abstractmethod
    def lock_for_set_up(self) -> None:
        """Block other processes that make the same tables until the transaction ends."""

    @abstractmethod
    def close(self) -> None: ...


class Database(ABC):
    """One database that opens connections."""

    url: str
    errors: tuple[type[Exception], ...]
    """Exceptions that the driver raises for failures of the database."""

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return without_password(self.url)

    @abstractmethod
    def connect(self, *, is_read_only: bool = False) -> Connection:
        """A new connection. A read-only one never waits for a writer."""


def database_of(url: str) -> Database:
    """The database of a URL, not opened yet; EventStoreError for a URL of neither database."""
    if url.startswith(_SQLITE):
        return _SqliteDatabase(url)
    if url.startswith(("postgresql://", "postgres://")):
        return _PostgresDatabase(url)
    raise EventStoreError(
        f"{without_password(url)!r} is not a URL of an event store",
        expected="sqlite:///<path> or postgresql://<user>:<password>@<host>/<database>",
        remedy="set MOVIERANK_EVENTS_URL",
    )


class Connections:
    """A connection pool for the threads of a process. Broken connections are replaced."""

    def __init__(self, database: Database, *, is_read_only: bool = False) -> None:
        self._database = database
        self._is_read_only = is_read_only
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(CONNECTIONS)
        self._refusal: tuple[float, Exception] | None = None

    @contextmanager
    def use(self, purpose: str, *, seconds: float | None = ANSWER_SECONDS) -> Iterator[Connection]:
        """A connection for this thread alone. Its failures are raised as EventStoreError.

        A use that takes longer than `seconds` fails; None sets no limit.
        """
        with self._slots:
            try:
                connection = self._take()
            except self._database.errors as error:
                raise self._trouble(purpose, error) from error
            try:
                with _WATCHDOG.limit(connection, seconds):
                    yield connection
            except self._database.errors as error:
                # The idle ones are probably broken too: a server that restarts drops all connections.
                self._discard(connection)
                raise self._trouble(purpose, error) from error
            except BaseException:
                self._discard(connection)
                raise
            with self._lock:
                self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections. The next use opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            with contextlib.suppress(*self._database.errors):
                connection.close()

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            refusal = self._refusal
        if refusal is not None and time.monotonic() < refusal[0]:
            raise refusal[1]
        try:
            connection = self._database.connect(is_read_only=self._is_read_only)
        except self._database.errors as error:
            self._refusal = (time.monotonic() + PAUSE_SECONDS, error)
            raise
        self._refusal = None
        return connection

    def _discard(self, connection: Connection) -> None:
        with contextlib.suppress(*self._database.errors):
            connection.close()
        self.close()

    def _trouble(self, purpose: str, error: Exception) -> EventStoreError:
        reason = without_password_of(self._database.url, " ".join(str(error).split()))
        reason = reason or type(error).__name__
        return EventStoreError(
            f"Could not {purpose} the event store {self._database.shown_url}: {reason}",
            expected="a database that can be reached and written",
            remedy="repair it, or set MOVIERANK_EVENTS_URL to another",
        )


class _Watchdog:
    """Interrupts connections that are used for too long, from one thread of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uses: dict[int, tuple[float, Connection]] = {}
        self._n_uses = 0
        self._has_thread = False

    @contextmanager
    def limit(self, connection: Connection, seconds: float | None) -> Iterator[None]:
        """Interrupts `connection` if the block takes longer than `seconds`."""
        if seconds is None:
            yield
            return
        with self._lock:
            self._n_uses += 1
            use = self._n_uses
            self._uses[use] = (time.monotonic() + seconds, connection)
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._run, name="event store watchdog", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._uses.pop(use, None)

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(0.25):
            now = time.monotonic()
            with self._lock:  # Held while interrupting, so that no other thread has the connection by then.
                for use, (deadline, connection) in list(self._uses.items()):
                    if now > deadline:
                        del self._uses[use]
                        with contextlib.suppress(Exception):  # The connection may end at the same moment.
                            connection.interrupt()


_WATCHDOG: Final = _Watchdog()


class _SqliteConnection(Connection):
    def __init__(self, path: Path, *, is_read_only: bool) -> None:
        # Mode `rw` does not make the file: a reader must not bring back a store that was taken away.
        uri = f"file:{quote(str(path))}?mode={'rw' if is_read_only else 'rwc'}"
        self._raw = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            if is_read_only:
                self._raw.execute("PRAGMA query_only=ON")
                return
            self._switch_to_write_ahead_log()
            # FULL: a commit returns when the log is on disk, so acknowledged events survive a power loss.
            self._raw.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            self._raw.close()
            raise

    def _switch_to_write_ahead_log(self) -> None:
        """Switches the file once and for all. SQLite does not wait for a lock here, so this loop does."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._raw.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        return self._raw.execute(statement, parameters)

    def execute_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._raw.executemany(statement, rows)

    def stream(self, statement: str, parameters: tuple[Any, ...], n: int) -> Iterator[list[tuple[Any, ...]]]:
        cursor = self._raw.execute(statement, parameters)
        while rows := cursor.fetchmany(n):
            yield rows

    def interrupt(self) -> None:
        self._raw.interrupt()

    @contextmanager
    def transaction(self, *, is_read_only: bool) -> Iterator[None]:
        # IMMEDIATE takes the write lock first, because a transaction that has read may fail to get it later.
        self._raw.execute("BEGIN" if is_read_only else "BEGIN IMMEDIATE")
        try:
            yield
            self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise

    def lock_for_set_up(self) -> None:
        """Nothing to do: BEGIN IMMEDIATE holds the write lock."""

    def close(self) -> None:
        self._raw.close()


class _SqliteDatabase(Database):
    errors = (sqlite3.Error, OSError)

    def __init__(self, url: str) -> None:
        self.url = url
        path = url.removeprefix(_SQLITE)
        if not path or path.startswith(":memory:"):
            raise EventStoreError(
                f"{url!r} does not name a file, and events must survive the process",
                expected="sqlite:///<path>",
                remedy="set MOVIERANK_EVENTS_URL",
            )
        self._path = Path(path).absolute()

    def connect(self, *, is_read_only: bool = False) -> Connection:
        if not is_read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        return _SqliteConnection(self._path, is_read_only=is_read_only)


class _PostgresConnection(Connection):
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        return self._raw.execute(statement.replace("?", "%s"), parameters)

    def execute_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # psycopg sends all rows before it reads the first result (pipeline mode).
        with self._raw.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows)

    def stream(self, statement: str, parameters: tuple[Any, ...], n: int) -> Iterator[list[tuple[Any, ...]]]:
        with self._raw.cursor(name="movierank") as cursor:  # Named: the server keeps the result.
            cursor.execute(statement.replace("?", "%s"), parameters)
            while rows := cursor.fetchmany(n):
                yield rows

    def interrupt(self) -> None:
        """Shuts the connection's socket down. Cancelling would ask the server, which does not answer."""
        with socket.socket(fileno=os.dup(self._raw.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def transaction(self, *, is_read_only: bool) -> Iterator[None]:
        with self._raw.transaction():
            if is_read_only:
                self._raw.execute("SET LOCAL statement_timeout = 0")
                self._raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def lock_for_set_up(self) -> None:
        self._raw.execute("SELECT pg_advisory_xact_lock(%s)", (_SET_UP_LOCK,))

    def close(self) -> None:
        self._raw.close()


class _PostgresDatabase(Database):
    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise EventStoreError(
                "An event store in PostgreSQL needs psycopg, which is not installed",
                remedy="pip install 'movierank[postgres]', or set MOVIERANK_EVENTS_URL to sqlite:///<path>",
            ) from error
        self._psycopg = psycopg
        self.url = url
        self.errors = (psycopg.Error, OSError)

    def connect(self, *, is_read_only: bool = False) -> Connection:
        milliseconds = int(BUSY_SECONDS * 1000)
        return _PostgresConnection(
            self._psycopg.connect(
                self.url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="movierank",
                # Detect a server that vanished without closing the connection.
                tcp_user_timeout=milliseconds,
                keepalives_idle=int(BUSY_SECONDS),
                keepalives_interval=1,
                keepalives_count=3,
                options=f"-c synchronous_commit=on -c lock_timeout={milliseconds}"
                f" -c statement_timeout={int(STATEMENT_SECONDS * 1000)}"
                f" -c idle_in_transaction_session_timeout={milliseconds}"
                f" -c default_transaction_read_only={'on' if is_read_only else 'off'}",
            )
        )
