"""Throttling of long background work, so that requests of the same process stay fast.

Python runs one thread at a time. A thread that loads a model version would slow every request of its process
until it ends. Loops of such work call `throttle`, which pauses only threads inside `throttled`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WORK_SECONDS: Final = 0.001
"""Maximum work between two pauses, in seconds, if `throttle` is called often enough."""
PAUSE_SECONDS: Final = 0.004
"""Length of a pause, in seconds."""

_thread = threading.local()


@contextmanager
def throttled() -> Iterator[None]:
    """In this block, `throttle` pauses this thread for PAUSE_SECONDS after each WORK_SECONDS of work."""
    _thread.since = time.perf_counter()
    try:
        yield
    finally:
        del _thread.since


def throttle() -> None:
    """Pauses a throttled thread that is due; returns at once in any other thread.

    Long loops should call it about once per millisecond.
    """
    since = getattr(_thread, "since", None)
    if since is not None and time.perf_counter() - since > WORK_SECONDS:
        time.sleep(PAUSE_SECONDS)
        _thread.since = time.perf_counter()
