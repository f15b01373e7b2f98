"""Rate limit for TMDB requests: a bound per second, and a common pause when TMDB asks to wait."""

import heapq
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_BURST_SECONDS: Final = 0.05
"""Maximum delay of the sender that a burst may catch up with, in seconds."""
_SLACK: Final = 1.01
"""Factor on the one-second window, for clocks of different speed."""
_UNANSWERED_SECONDS: Final = 5.0
"""Seconds for which a request without a response still counts: it may be in transit."""


class StoppedError(Exception):
    """The limiter was stopped."""


@dataclass
class Turn:
    """Permission for one request."""

    began: float
    answered: bool = False
    """Set to True when a response has arrived, before the block ends."""


class RateLimiter:
    """A token bucket that also bounds what the *server* sees in one second.

    Even spacing at the sender is not enough: the network may delay requests and deliver them together. A
    request reaches the server between its sending and its response. Therefore a request is sent only if fewer
    than `rate_per_second` others are in flight or were answered within the last second. For rates below one
    per second, the window is the time per request. Thread-safe.
    """

    def __init__(self, rate_per_second: float, first_pause_seconds: float, longest_pause_seconds: float):
        """The two pauses bound the backoff after refusals without `Retry-After`."""
        self._capacity = max(1, int(rate_per_second))
        self._window = max(1.0, self._capacity / rate_per_second) * _SLACK
        self._spacing = 1.0 / rate_per_second
        self._first_pause, self._longest_pause = first_pause_seconds, longest_pause_seconds
        self._changed = threading.Condition()
        self._under_way = 0
        self._counted_until: list[float] = []
        """Min-heap of the times at which finished requests stop counting."""
        self._next = 0.0
        self._held_from, self._held_until = 0.0, 0.0
        self._refusals = 0
        self._is_stopped = False

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Waits until a request may be sent. The request counts as in flight until the block ends.

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
        """Pauses all threads for `seconds`."""
        with self._changed:
            self._held_from = time.monotonic()
            self._held_until = max(self._held_until, self._held_from + seconds)

    def refused(self, turn: Turn, wish_seconds: float | None) -> float:
        """After 429 or 503: pauses all threads for `Retry-After`, else by exponential backoff with jitter.

        The backoff doubles with each refusal of a request that was sent after the last pause began. Jitter
        takes 50 to 100 % of it. Returns the pause in seconds.
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
        """A request succeeded: resets the backoff."""
        with self._changed:
            if turn.began >= self._held_from:
                self._refusals = 0

    def stop(self) -> None:
        """Makes current and later waits raise `StoppedError`."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Waits for `seconds`. Raises `StoppedError` after `stop`."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._is_stopped and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._is_stopped:
                raise StoppedError
