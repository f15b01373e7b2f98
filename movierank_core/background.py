"""Long work beside requests: a thread that promises to rest gives way often.

Python runs one thread at a time, so a thread that loads a version slows every request of its process for as
long as it takes. Loops of such work call `rest`, which sleeps only where the thread is in `resting`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

WORK_SECONDS: Final = 0.001
REST_SECONDS: Final = 0.004

_thread = threading.local()


@contextmanager
def resting() -> Iterator[None]:
    """In this block, `rest` sleeps for REST_SECONDS whenever this thread has worked for WORK_SECONDS."""
    _thread.since = time.perf_counter()
    try:
        yield
    finally:
        del _thread.since


def rest() -> None:
    """To be called every millisecond or so of long work; does nothing in a thread that did not promise."""
    since = getattr(_thread, "since", None)
    if since is not None and time.perf_counter() - since > WORK_SECONDS:
        time.sleep(REST_SECONDS)
        _thread.since = time.perf_counter()
