"""Empty databases on the PostgreSQL server that MOVIERANK_TEST_POSTGRES_URL names, one for each test."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from tests.support.missing import skip_without

HOW = "set MOVIERANK_TEST_POSTGRES_URL to a server whose role may create databases"


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of an empty database, dropped at the end; skips the test where no server is named."""
    server = os.environ.get("MOVIERANK_TEST_POSTGRES_URL")
    if server is None:
        skip_without("PostgreSQL", HOW)
    import psycopg

    name = f"movierank_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
