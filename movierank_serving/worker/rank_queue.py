"""The queue of rankings in one worker: bounded, first in first out, one ranking at a time.

A ranking is computation and runs on the event loop. Between two rankings the loop reads the requests that
arrived meanwhile, so that a burst is counted while it waits and the excess is refused at once.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from movierank_serving.web.problems import overloaded
from movierank_serving.web.prometheus import Metrics


class RankQueue:
    """Not thread-safe: use it from the event loop's thread only."""

    def __init__(self, max_length: int, metrics: Metrics) -> None:
        """`max_length`: maximum number of requests that wait or are being ranked."""
        self._max_length = max_length
        self._metrics = metrics
        self._n_admitted = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Counts the request as admitted during the block. Raises `overloaded` (503) if the queue is full."""
        if self._n_admitted >= self._max_length:
            self._metrics.shed()
            raise overloaded()
        self._n_admitted += 1
        self._metrics.rank_queue(self._n_admitted)
        try:
            yield
        finally:
            self._n_admitted -= 1
            self._metrics.rank_queue(self._n_admitted)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until all earlier requests are ranked, then runs the block, which must not await."""
        async with self._turn:
            await asyncio.sleep(0)  # Let the loop read the requests that have arrived.
            yield
