"""The event store on PostgreSQL, where one is named by MOVIERANK_TEST_POSTGRES_URL."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from movierank_core.errors import EventStoreError
from movierank_core.events.store import EventStore, open_event_store
from tests.support.event_store_contract import EventStoreContract, feedback
from tests.support.forwarder import Forwarder
from tests.support.postgres import postgres_database

pytestmark = pytest.mark.postgres


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own for each test."""
    with postgres_database() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    opened = open_event_store(url)
    yield opened
    opened.close()


class TestPostgres(EventStoreContract):
    pass


def test_dropped_connections_are_replaced(store: EventStore) -> None:
    store.append([feedback("a")])
    with store._connections.use("look at") as connection:
        connection.execute("SET client_min_messages = error")
    with pytest.raises(EventStoreError), store._connections.use("lose") as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert store.append([feedback("b")]) == [True]
    assert store.count() == 2


def test_a_commit_waits_for_the_disk(store: EventStore) -> None:
    with store._connections.use("look at") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(EventStoreError) as refusal:
        open_event_store("postgresql://me:secret@127.0.0.1:1/events")
    assert str(refusal.value).startswith(
        "Could not set up the event store postgresql://me:***@127.0.0.1:1/events: "
    )
    assert "secret" not in str(refusal.value)


def test_a_probe_waits_for_no_writer(store: EventStore, url: str) -> None:
    other = open_event_store(url)
    with store._connections.use("hold") as connection, connection.transaction(is_read_only=False):
        connection.execute("UPDATE event_store SET last_seq = last_seq")
        other.ping()
    other.close()


def test_a_server_that_no_longer_answers_does_not_keep_a_thread(url: str) -> None:
    parts = urlsplit(url)
    with Forwarder(parts.hostname or "127.0.0.1", parts.port or 5432) as forwarder:
        user = f"{parts.username}@" if parts.username else ""
        store = open_event_store(urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{forwarder.port}")))
        forwarder.hold()
        with (
            pytest.raises(EventStoreError, match=r"^Could not wait for the event store"),
            store._connections.use("wait for", seconds=0.2) as connection,
        ):
            connection.execute("SELECT 1")
        forwarder.restore()
        store.close()


def test_a_long_statement_is_ended_by_the_server(store: EventStore) -> None:
    with store._connections.use("look at") as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)
        with connection.transaction(is_read_only=True):  # A snapshot may take longer.
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
