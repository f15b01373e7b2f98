"""Rate limit per client, shared by the workers of a service."""

import hashlib
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_N_SLOTS: Final = 65_536
"""Size of the rate limiter's table. Clients with the same hash modulo this number share a limit."""


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
