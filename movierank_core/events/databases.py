"""The two databases an event store can live in, and connections to them.

Here is what differs between SQLite and PostgreSQL and nothing else; statements are in `events`. Both
drivers are used with `?` for parameters and without implicit transactions.
"""

import contextlib
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from movierank_core.errors import EventStoreError

BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process's write before it fails."""
CONNECT_SECONDS: Final = 3
CONNECTIONS: Final = 4
"""Open connections per process at most; further users wait."""
PAUSE_SECONDS: Final = 1.0
"""After a refused connection, how long callers fail at once instead of waiting for another refusal."""
_SQLITE: Final = "sqlite:///"
_SET_UP_LOCK: Final = 0x6D6F7669
"""Key of the PostgreSQL advisory lock held while tables are made; any number that others do not use."""


class Connection(ABC):
    """One connection, used by one thread at a time, in autocommit outside `transaction`."""

    @abstractmethod
    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The driver's cursor after one statement."""

    @abstractmethod
    def transaction(self, *, is_read_only: bool) -> contextlib.AbstractContextManager[None]:
        """Commits on leaving, durably, or rolls back. A read-only one sees the database as of its start."""

    @abstractmethod
    def lock_for_set_up(self) -> None:
        """Keep other processes from making the same tables until the transaction ends."""

    @abstractmethod
    def close(self) -> None: ...


class Database(ABC):
    """Where connections come from."""

    shown_url: str
    """The URL as it may be shown: without a password."""
    is_local: bool
    """Reading waits for no network and for no other process."""
    errors: tuple[type[Exception], ...]
    """What the driver raises for troubles of the database."""

    @abstractmethod
    def connect(self) -> Connection: ...


def database_of(url: str) -> Database:
    """The database that a URL names; EventStoreError for one of another kind. Nothing is opened yet."""
    if url.startswith(_SQLITE):
        return _SqliteDatabase(url)
    if url.startswith(("postgresql://", "postgres://")):
        return _PostgresDatabase(url)
    raise EventStoreError(
        f"{without_password(url)!r} is no URL of an event store",
        expected="sqlite:///<path> or postgresql://<user>:<password>@<host>/<database>",
        remedy="set MOVIERANK_EVENTS_URL",
    )


def without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


class Connections:
    """A few connections shared by the threads of a process, replaced when they break."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(CONNECTIONS)
        self._refusal: tuple[float, Exception] | None = None

    @contextmanager
    def use(self, purpose: str) -> Iterator[Connection]:
        """A connection for this thread alone; trouble with it becomes EventStoreError."""
        with self._slots:
            try:
                connection = self._take()
            except self._database.errors as error:
                raise self._trouble(purpose, error) from error
            try:
                yield connection
            except self._database.errors as error:
                # Others are likely as broken as this one: a server that restarted drops them all.
                self._discard(connection)
                raise self._trouble(purpose, error) from error
            except BaseException:
                self._discard(connection)
                raise
            with self._lock:
                self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle. The next use opens anew."""
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
            connection = self._database.connect()
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
        reason = " ".join(str(error).split()) or type(error).__name__
        return EventStoreError(
            f"Could not {purpose} the event store {self._database.shown_url}: {reason}",
            expected="a database that can be reached and written",
            remedy="mend it, or set MOVIERANK_EVENTS_URL to another",
        )


class _SqliteConnection(Connection):
    def __init__(self, path: Path) -> None:
        self._raw = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            self._switch_to_write_ahead_log()
            # FULL: a commit returns when the log is on disk, so what was acknowledged survives power loss.
            self._raw.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            self._raw.close()
            raise

    def _switch_to_write_ahead_log(self) -> None:
        """Done once in the life of a file; SQLite does not wait for others here, so we do."""
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

    @contextmanager
    def transaction(self, *, is_read_only: bool) -> Iterator[None]:
        # IMMEDIATE takes the write lock first: a transaction that read before it may not upgrade.
        self._raw.execute("BEGIN" if is_read_only else "BEGIN IMMEDIATE")
        try:
            yield
            self._raw.execute("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
            raise

    def lock_for_set_up(self) -> None:
        """BEGIN IMMEDIATE has done so."""

    def close(self) -> None:
        self._raw.close()


class _SqliteDatabase(Database):
    is_local = True
    errors = (sqlite3.Error, OSError)

    def __init__(self, url: str) -> None:
        self.shown_url = url
        path = url.removeprefix(_SQLITE)
        if not path or path.startswith(":memory:"):
            raise EventStoreError(
                f"{url!r} names no file, and events must survive the process",
                expected="sqlite:///<path>",
                remedy="set MOVIERANK_EVENTS_URL",
            )
        self._path = Path(path).absolute()

    def connect(self) -> Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return _SqliteConnection(self._path)


class _PostgresConnection(Connection):
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        return self._raw.execute(statement.replace("?", "%s"), parameters)

    @contextmanager
    def transaction(self, *, is_read_only: bool) -> Iterator[None]:
        with self._raw.transaction():
            if is_read_only:
                self._raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def lock_for_set_up(self) -> None:
        self._raw.execute("SELECT pg_advisory_xact_lock(%s)", (_SET_UP_LOCK,))

    def close(self) -> None:
        self._raw.close()


class _PostgresDatabase(Database):
    is_local = False

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise EventStoreError(
                "An event store in PostgreSQL needs psycopg, which is not installed",
                remedy="pip install 'movierank[postgres]', or set MOVIERANK_EVENTS_URL to sqlite:///<path>",
            ) from error
        self._psycopg = psycopg
        self._url = url
        self.shown_url = without_password(url)
        self.errors = (psycopg.Error, OSError)

    def connect(self) -> Connection:
        milliseconds = int(BUSY_SECONDS * 1000)
        return _PostgresConnection(
            self._psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="movierank",
                # A server that went away without a word is noticed, instead of waited for.
                tcp_user_timeout=milliseconds,
                keepalives_idle=int(BUSY_SECONDS),
                keepalives_interval=1,
                keepalives_count=3,
                options=f"-c synchronous_commit=on -c lock_timeout={milliseconds}"
                f" -c idle_in_transaction_session_timeout={milliseconds}",
            )
        )
