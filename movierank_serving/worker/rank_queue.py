"""The queue of rank work in one worker: bounded, in order of arrival, one at a time.

Ranking is computation and runs on the event loop itself. Between two rankings the loop gets to read what
came meanwhile, so that a burst is seen while it waits and what is too much of it is refused at once, instead
of piling up unseen in the loop.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from movierank_serving.web.problems import overloaded
from movierank_serving.web.prometheus import Metrics


class RankQueue:
    """For the event loop's thread alone."""

    def __init__(self, length: int, metrics: Metrics) -> None:
        """`length`: requests that may be inside at once, the one being worked on included."""
        self._length = length
        self._metrics = metrics
        self._inside = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue for the length of the block; 503 if there is none."""
        if self._inside >= self._length:
            self._metrics.shed()
            raise overloaded()
        self._inside += 1
        self._metrics.rank_queue(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._metrics.rank_queue(self._inside)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The block runs when those who came before are done; it must not wait for anything."""
        async with self._turn:
            await asyncio.sleep(0)  # Let the loop read what has arrived.
            yield
