"""Authentication by API key for writing and administrative routes, and a rate limit per client.

Both are route guards: they run before the body of a request is read. They are coroutines, because Litestar
runs every other guard in a thread.
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
"""Security requirement in the OpenAPI document: a key, or nothing if the service has no keys."""
_N_SLOTS: Final = 65_536
"""Size of the rate limiter's table. Clients with the same hash modulo this number share a limit."""
_RATES_FILE: Final = "rates"


class Access:
    """Keys and rate limit of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._digests = [_digest(key) for key in settings.keys]
        folder = os.environ.get(MULTIPROCESS_FOLDER)
        self._rates = (
            RateLimiter(settings.rate_limit_per_minute, None if folder is None else Path(folder, _RATES_FILE))
            if settings.rate_limit_per_minute
            else None
        )

    def require_key(self, authorization: str | None) -> None:
        """Raises the 401 problem if the service has keys and the `Authorization` header has none of these.

        Compares every digest in constant time, so that the duration reveals nothing about the keys.
        """
        if not self._digests:
            return
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("This route needs a key.", 'Bearer realm="movierank"')
        given = _digest(token.strip())
        if not sum(hmac.compare_digest(given, digest) for digest in self._digests):
            raise _unauthorized("The key is not valid.", 'Bearer realm="movierank", error="invalid_token"')

    def require_rate(self, client: str) -> None:
        """Counts a request. Raises the 429 problem if the client is over its limit."""
        wait = 0.0 if self._rates is None else self._rates.wait(client)
        if wait > 0:
            raise ServiceProblem(
                429,
                "too-many-requests",
                "This client has sent too many requests.",
                headers={"Retry-After": str(math.ceil(wait))},
            )


async def needs_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of writing and administrative routes."""
    access: Access = connection.app.state.access
    access.require_key(connection.headers.get("authorization"))


async def limits_rate(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of every route of the API except health probes and metrics."""
    if connection.scope.get("path_template") in PROBES:
        return
    access: Access = connection.app.state.access
    access.require_rate(connection.client.host if connection.client is not None else "")


class RateLimiter:
    """Rate limit per client by the generic cell rate algorithm (GCRA), with bursts of one minute's requests.

    Keeps one number per client, the theoretical arrival time (TAT): the time at which its next request would
    come if all came at the allowed rate. A request passes if the TAT is at most the tolerance ahead of now.
    The table has a fixed size and lies in memory that the workers share, without locks: two workers that
    count at the same instant may count one request.
    """

    def __init__(
        self, per_minute: int, file: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`file` is shared by the workers of a service; None counts in this process only. All workers must
        use the same `clock`, in seconds; the system's monotonic clock is the same for all processes."""
        self._interval = 60.0 / per_minute
        self._tolerance = 60.0 - self._interval
        self._clock = clock
        self._arrivals = memoryview(_shared(file)).cast("d")

    def wait(self, client: str) -> float:
        """Seconds until a request of the client may pass; 0 if this one passes, which is then counted."""
        slot = int.from_bytes(hashlib.blake2b(client.encode(), digest_size=8).digest()) % _N_SLOTS
        now = self._clock()
        arrival = max(self._arrivals[slot], now)
        wait = arrival - now - self._tolerance
        if wait > 1e-9:
            return wait
        self._arrivals[slot] = arrival + self._interval
        return 0.0


def _shared(file: Path | None) -> mmap.mmap:
    """The table's memory: mapped from `file`, or private to this process."""
    size = 8 * _N_SLOTS
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
        remedy="send `Authorization: Bearer <key>` with one of the keys in MOVIERANK_API_KEYS",
        headers={"WWW-Authenticate": challenge},
    )
