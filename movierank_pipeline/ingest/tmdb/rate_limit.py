"""When the next request may be sent: never too many in any second, and nobody while TMDB asks to wait."""

import heapq
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_BURST_SECONDS: Final = 0.05
"""How much of the even spacing may be made up for after a delay of ours."""
_SLACK: Final = 1.01
"""The window is this much longer than a second, for clocks that do not run alike."""
_UNANSWERED_SECONDS: Final = 5.0
"""How much longer a request without an answer counts: it may still be on its way."""


class StoppedError(Exception):
    """Nothing more is to be sent."""


@dataclass
class Turn:
    """One request that may be sent now."""

    began: float
    answered: bool = False
    """To be set once an answer has come, before the turn ends."""


class Pace:
    """A token bucket that also bounds what the *server* sees in one second.

    Spacing out what is sent is not enough: the network may hold some requests up and deliver them together
    with later ones. A request reaches the server between being sent and being answered; so one is let through
    only while fewer than `rate_per_second` others are under way or were answered within the last second.
    Below one request a second, the window is as long as one request takes. Safe for use by several threads.
    """

    def __init__(self, rate_per_second: float, first_pause_seconds: float, longest_pause_seconds: float):
        """The pauses are those after refusals that do not say how long to wait."""
        self._capacity = max(1, int(rate_per_second))
        self._window = max(1.0, self._capacity / rate_per_second) * _SLACK
        self._spacing = 1.0 / rate_per_second
        self._first_pause, self._longest_pause = first_pause_seconds, longest_pause_seconds
        self._changed = threading.Condition()
        self._under_way = 0
        self._counted_until: list[float] = []
        """A heap: when the ended requests stop counting."""
        self._next = 0.0
        self._held_from, self._held_until = 0.0, 0.0
        self._refusals = 0
        self._is_stopped = False

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Waits until a request may be sent; it counts as under way until the block ends.

        Raises `StoppedError` after `stop`.
        """
        turn = Turn(self._enter())
        try:
            yield turn
        finally:
            self._leave(turn)

    def _enter(self) -> float:
        with self._changed:
            while True:
                if self._is_stopped:
                    raise StoppedError
                now = time.monotonic()
                while self._counted_until and self._counted_until[0] <= now:
                    heapq.heappop(self._counted_until)
                allowed_from = max(self._next, self._held_until)
                if self._under_way + len(self._counted_until) >= self._capacity:
                    if not self._counted_until:
                        self._changed.wait()
                        continue
                    allowed_from = max(allowed_from, self._counted_until[0])
                if allowed_from <= now:
                    break
                self._changed.wait(allowed_from - now)
            self._under_way += 1
            self._next = max(self._next, now - _BURST_SECONDS) + self._spacing
            return now

    def _leave(self, turn: Turn) -> None:
        with self._changed:
            self._under_way -= 1
            counted_for = self._window + (0.0 if turn.answered else _UNANSWERED_SECONDS)
            heapq.heappush(self._counted_until, time.monotonic() + counted_for)
            self._changed.notify_all()

    def hold(self, seconds: float) -> None:
        """Nobody is let through for so long."""
        with self._changed:
            self._held_from = time.monotonic()
            self._held_until = max(self._held_until, self._held_from + seconds)

    def refused(self, turn: Turn, wish_seconds: float | None) -> float:
        """The server wants less: nobody is let through for as long as it says, else for a while of ours.

        That while doubles with every refusal of a request sent after the last pause began, however many
        requests that pause caught under way; a random half to whole of it is taken. Returns the seconds.
        """
        with self._changed:
            if turn.began >= self._held_from:
                self._refusals += 1
            doubled = self._first_pause * 2.0 ** min(self._refusals - 1, 30)
            ours = min(self._longest_pause, doubled) * random.uniform(0.5, 1.0)
        pause = ours if wish_seconds is None else wish_seconds
        self.hold(pause)
        return pause

    def accepted(self, turn: Turn) -> None:
        """The server has answered: the next refusal starts with a short pause again."""
        with self._changed:
            if turn.began >= self._held_from:
                self._refusals = 0

    def stop(self) -> None:
        """Whoever waits, now or later, gets `StoppedError`."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Waits so long. Raises `StoppedError` after `stop`."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._is_stopped and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._is_stopped:
                raise StoppedError
