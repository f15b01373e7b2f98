"""The event store on SQLite, and what it says when it cannot work."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from movierank_core.errors import EventStoreError
from movierank_core.events.store import EventStore, Watermark, open_event_store
from movierank_core.urls import without_password, without_password_of
from tests.support.event_store_contract import EventStoreContract, feedback
from tests.support.waiting import join, wait_for


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'events.db'}"


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    opened = open_event_store(url)
    yield opened
    opened.close()


class TestSqlite(EventStoreContract):
    pass


def test_a_commit_waits_for_the_disk(store: EventStore) -> None:
    with store._connections.use("look at") as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_events_that_wait_together_are_committed_together(store: EventStore) -> None:
    """While the lock is held, three batches queue up; one commit stores them all."""
    with store._commit_lock:
        threads = [threading.Thread(target=store.append, args=([feedback(name)],)) for name in "abc"]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(store._waiting) == 3, "three batches in the queue")
    join(threads)
    assert store.count() == 3


def test_an_acknowledged_event_survives_a_killed_process(url: str) -> None:
    script = (
        "import os, sys\n"
        "from movierank_core.events.store import open_event_store\n"
        "from tests.support.event_store_contract import feedback\n"
        "store = open_event_store(sys.argv[1])\n"
        "store.append([feedback('a'), feedback('b')])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", script, url], cwd=root, check=False)
    assert killed.returncode == -9
    survivor = open_event_store(url)
    assert survivor.count() == 2
    survivor.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "events.db", ""])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(EventStoreError) as refusal:
        open_event_store(url)
    assert str(refusal.value) == (
        f"{url!r} is not a URL of an event store. Expected: sqlite:///<path> or "
        "postgresql://<user>:<password>@<host>/<database>. Remedy: set MOVIERANK_EVENTS_URL."
    )


def test_a_refused_url_is_shown_without_its_password() -> None:
    with pytest.raises(EventStoreError, match=r"^'mysql://me:\*\*\*@host/db' is not a URL"):
        open_event_store("mysql://me:secret@host/db")


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(url: str) -> None:
    with pytest.raises(EventStoreError) as refusal:
        open_event_store(url)
    assert str(refusal.value) == (
        f"{url!r} does not name a file, and events must survive the process. Expected: sqlite:///<path>. "
        "Remedy: set MOVIERANK_EVENTS_URL."
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_text("not a database, " * 100)
    with pytest.raises(EventStoreError) as refusal:
        open_event_store(f"sqlite:///{path}")
    assert str(refusal.value) == (
        f"Could not set up the event store sqlite:///{path}: file is not a database. Expected: a database "
        "that can be reached and written. Remedy: repair it, or set MOVIERANK_EVENTS_URL to another."
    )


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        EventStoreError, match=r"^Could not set up the event store sqlite:///.*/file/events\.db"
    ):
        open_event_store(f"sqlite:///{tmp_path / 'file' / 'events.db'}")


def test_a_newer_format_is_refused(url: str, store: EventStore) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE event_store SET format_version = 4")
    with pytest.raises(EventStoreError) as refusal:
        open_event_store(url)
    assert str(refusal.value) == (
        f"The event store {url} has format 4. Expected: format 3 or older. Remedy: upgrade movierank."
    )


def test_a_store_that_was_lost_refuses_and_acknowledges_nothing(url: str, store: EventStore) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("DROP TABLE feedback_events")
    with pytest.raises(EventStoreError, match=r"Could not store events in the event store .*: no such table"):
        store.append([feedback("a")])
    with pytest.raises(EventStoreError, match=r"Could not read the event store .*: no such table"):
        store.events_of(7)


@pytest.mark.parametrize("text", ["", "12", ":12", "abc:", "abc:-1", "abc:1x"])
def test_a_malformed_watermark_is_refused(text: str) -> None:
    with pytest.raises(EventStoreError) as refusal:
        Watermark.parse(text)
    assert str(refusal.value) == f"{text!r} is not a watermark. Expected: <store>:<number>."


def test_no_watermark_parses_to_none() -> None:
    assert Watermark.parse(None) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?user=me&password=***"),
        (
            "postgresql://me:a@host/db?sslpassword=b&sslmode=require",
            "postgresql://me:***@host/db?sslpassword=***&sslmode=require",
        ),
        ("mysql://me:secret@host/db?passwd=other&Token=x", "mysql://me:***@host/db?passwd=***&Token=***"),
        ("postgresql://me:se/c?r#e@t@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:secret@[::1/db", "postgresql://me:***@[::1/db"),
        ("postgresql://me@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        ("sqlite:////home/me/events.db", "sqlite:////home/me/events.db"),
    ],
)
def test_no_password_of_a_url_is_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:%zzsecret@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=%zzsecret",
        "postgresql://me:with secret@127.0.0.1:1/db",
        "postgresql://me:se/secret@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?passwd=thesecret",
    ],
)
def test_no_error_of_the_driver_shows_the_password(url: str) -> None:
    """psycopg quotes what it cannot parse, and passwords are what it cannot parse most often."""
    pytest.importorskip("psycopg")
    with pytest.raises(EventStoreError) as refusal:
        open_event_store(url)
    assert "secret" not in str(refusal.value)


def test_a_short_password_leaves_other_words_alone() -> None:
    assert without_password_of("postgresql://me:a@host/db", "a failure at host") == "a failure at host"
