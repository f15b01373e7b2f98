"""Who may ask, and how often: keys for writing and administrative routes, a rate for every client.

Both are guards of routes: they decide before the body of a request is read. They are coroutines because
Litestar hands any other guard to a thread.
"""

import hashlib
import hmac
import math
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from movierank_serving.settings import Settings
from movierank_serving.web.middleware import PROBES
from movierank_serving.web.problems import ServiceProblem
from movierank_serving.web.prometheus import MULTIPROCESS_FOLDER

SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {}]
"""Of routes that need a key, for the OpenAPI document: a key, or none where the service has none."""
_SLOTS: Final = 65_536
_RATES_FILE: Final = "rates"


class Access:
    """What one worker knows of keys and rates."""

    def __init__(self, settings: Settings) -> None:
        self._digests = [_digest(key) for key in settings.keys]
        folder = os.environ.get(MULTIPROCESS_FOLDER)
        self._rates = (
            RateLimiter(settings.rate_limit_per_minute, None if folder is None else Path(folder, _RATES_FILE))
            if settings.rate_limit_per_minute
            else None
        )

    def require_key(self, authorization: str | None) -> None:
        """401 unless there are no keys, or the header brings one of them.

        Compared by digests, all of them each time, so that the time taken tells nothing about any key.
        """
        if not self._digests:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("This route needs a key.", 'Bearer realm="movierank"')
        given = _digest(token.strip())
        if not sum(hmac.compare_digest(given, digest) for digest in self._digests):
            raise _unauthorized(
                "The key is not one of this service's.", 'Bearer realm="movierank", error="invalid_token"'
            )

    def require_rate(self, client: str) -> None:
        """429 for a client that has asked too often."""
        wait = 0.0 if self._rates is None else self._rates.wait(client)
        if wait > 0:
            raise ServiceProblem(
                429,
                "too-many-requests",
                "This client asks more often than it may.",
                headers={"Retry-After": str(math.ceil(wait))},
            )


async def needs_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of routes that write or administer."""
    access: Access = connection.app.state.access
    access.require_key(connection.headers.get("authorization"))


async def limits_rate(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of every route of the API but the probes of machines."""
    if connection.scope.get("path_template") in PROBES:
        return
    access: Access = connection.app.state.access
    access.require_rate(connection.client.host if connection.client is not None else "")


class RateLimiter:
    """At most so many requests at once from one client, and as many a minute from then on.

    The generic cell rate algorithm: per client one number, the moment at which all that it asked so far would
    be due at the even rate. The numbers are in memory that the workers share, in a fixed table; clients that
    fall together share a rate, and two workers that count at the same instant may count once.
    """

    def __init__(
        self, per_minute: int, file: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`file` is shared by the workers of a service; None counts in this process alone. `clock` must be
        the same for all of them, as the system's monotonic one is."""
        self._interval = 60.0 / per_minute
        self._tolerance = 60.0 - self._interval
        self._clock = clock
        self._due = memoryview(_shared(file)).cast("d")

    def wait(self, client: str) -> float:
        """0 for a request that may pass, and is counted; else the seconds until one may."""
        slot = int.from_bytes(hashlib.blake2b(client.encode(), digest_size=8).digest()) % _SLOTS
        now = self._clock()
        due = max(self._due[slot], now)
        wait = due - now - self._tolerance
        if wait > 1e-9:
            return wait
        self._due[slot] = due + self._interval
        return 0.0


def _shared(file: Path | None) -> mmap.mmap:
    size = 8 * _SLOTS
    if file is None:
        return mmap.mmap(-1, size)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unauthorized(detail: str, challenge: str) -> ServiceProblem:
    return ServiceProblem(
        401,
        "unauthorized",
        detail,
        remedy="send `Authorization: Bearer <key>` with a key of MOVIERANK_API_KEYS",
        headers={"WWW-Authenticate": challenge},
    )
