"""Graceful degradation: how a request is answered when a part of it fails or would be late.

The answers, best first: `model`; `candidates`, in the order of the fused proposals of the sources;
`popularity`. Only the service degrades. Evaluation and the verification of bundles fail fast.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

T = TypeVar("T")
Part = Literal["candidates", "model", "reasons"]
Cause = Literal["deadline", "failure"]
ServedBy = Literal["model", "candidates", "popularity"]


@dataclass(frozen=True)
class LeftOut:
    """One part that is missing from an answer."""

    part: Part
    """`candidates` (and the model with them), `model` or `reasons`."""
    why: Cause
    error: Exception | None = None
    """The exception of a failure; None for a missed deadline."""


class Degradation(Protocol):
    """Decides whether a part of an answer may be left out."""

    def attempt(self, part: Part, compute: Callable[[], T]) -> T | None:
        """The value of `compute`, or None if the part is left out."""
        ...


class FailFast:
    """Computes every part and lets every exception pass."""

    def attempt(self, part: Part, compute: Callable[[], T]) -> T | None:
        """The value of `compute`; never None unless `compute` returns it."""
        return compute()


FAIL_FAST: Final = FailFast()


class PartLatency:
    """Recent seconds of each part: an exponential mean over a few dozen requests."""

    def __init__(self) -> None:
        self._seconds: dict[Part, float] = {}

    def expected(self, part: Part) -> float:
        """Seconds; 0 for a part that was never computed."""
        return self._seconds.get(part, 0.0)

    def observe(self, part: Part, seconds: float) -> None:
        """Adds one measured duration to the mean."""
        before = self._seconds.get(part, seconds)
        self._seconds[part] = before + 0.1 * (seconds - before)

    def decay(self, part: Part) -> None:
        """Lowers the mean of a part that was skipped, so that a part that was slow is tried again."""
        self._seconds[part] = 0.9 * self.expected(part)


class GracefulDegradation:
    """Leaves out each part that fails, or that would end after the deadline. One object per request."""

    def __init__(
        self, latency: PartLatency, deadline: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`deadline` is a moment of `clock`; all requests of one model share `latency`."""
        self._latency = latency
        self._deadline = deadline
        self._clock = clock
        self.left_out: list[LeftOut] = []

    def attempt(self, part: Part, compute: Callable[[], T]) -> T | None:
        """The value of `compute`; None after a failure, or without a call if it would be late."""
        started = self._clock()
        if started + self._latency.expected(part) >= self._deadline:
            self._latency.decay(part)
            self.left_out.append(LeftOut(part, "deadline"))
            return None
        try:
            value = compute()
        except Exception as error:
            # A lesser answer is better than none after any failure; the service logs and counts it.
            self.left_out.append(LeftOut(part, "failure", error))
            return None
        self._latency.observe(part, self._clock() - started)
        return value
