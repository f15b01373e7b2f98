"""Thread pools for blocking calls, so that the event loop goes on answering other requests.

Each kind of call has a pool of its own: calls that hang do not keep other calls from a thread.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

from movierank_serving.web.problems import busy

P = ParamSpec("P")
R = TypeVar("R")
MAX_WAITING: Final = 512
"""Maximum number of calls that wait for a thread of one pool. Further calls get 503 at once."""


class Threads:
    """At most `n` daemon threads, started on demand. They never delay the end of the process."""

    def __init__(self, n: int, name: str, max_waiting: int = MAX_WAITING) -> None:
        self._n = n
        self._name = name
        self._calls: queue.Queue[tuple[Future[Any], Callable[[], Any]]] = queue.Queue(max_waiting)
        self._lock = threading.Lock()
        self._n_threads = 0
        self._n_unfinished = 0
        self._is_idle = threading.Condition(self._lock)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `function(*args, **kwargs)`, called in a thread. Raises what it raises.

        A call that is cancelled before a thread takes it is not made. Raises the 503 problem if too many
        calls wait.
        """
        future: Future[R] = Future()
        with self._lock:
            try:
                self._calls.put_nowait((future, lambda: function(*args, **kwargs)))
            except queue.Full:
                raise busy(self._name) from None
            self._n_unfinished += 1
            if self._n_threads < min(self._n, self._n_unfinished):
                self._n_threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(future)

    def close(self, seconds: float) -> bool:
        """Waits at most `seconds` for the calls that were made; whether all are done."""
        deadline = time.monotonic() + seconds
        with self._is_idle:
            while self._n_unfinished and (left := deadline - time.monotonic()) > 0:
                self._is_idle.wait(left)
            return not self._n_unfinished

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            with self._is_idle:
                self._n_unfinished -= 1
                self._is_idle.notify_all()
