"""Whether a part of an answer may be left out: never offline, and in the service where it fails or is late.

The rungs of an answer, best first: `model`; `candidates`, in the order in which the sources' proposals were
fused; `popularity`. Evaluation and the verification of bundles climb down nothing: there a failure must be
seen.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

T = TypeVar("T")
Part = Literal["candidates", "model", "reasons"]
Why = Literal["deadline", "failure"]
ServedBy = Literal["model", "candidates", "popularity"]


@dataclass(frozen=True)
class LeftOut:
    """One part that an answer does without."""

    part: Part
    """`candidates` (and the model with them), `model` or `reasons`."""
    why: Why
    error: Exception | None = None
    """What was raised, for a failure."""


class Strict:
    """Every part is computed, and what it raises is raised."""

    def attempt(self, part: Part, compute: Callable[[], T]) -> T | None:
        """What `compute` gives; None where the part is left out, which this class never does."""
        return compute()


STRICT: Final = Strict()


class Pace:
    """How long each part took lately, in seconds: an exponential mean over a few dozen requests."""

    def __init__(self) -> None:
        self._seconds: dict[Part, float] = {}

    def expected(self, part: Part) -> float:
        """0 for a part that was never computed."""
        return self._seconds.get(part, 0.0)

    def took(self, part: Part, seconds: float) -> None:
        before = self._seconds.get(part, seconds)
        self._seconds[part] = before + 0.1 * (seconds - before)

    def skipped(self, part: Part) -> None:
        """Forget a little, so that a part that was slow for a while is tried again."""
        self._seconds[part] = 0.9 * self.expected(part)


class Lenient(Strict):
    """Leaves out what fails, and what would end after the deadline at its recent pace. For one request."""

    def __init__(self, pace: Pace, deadline: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """`deadline` is a moment of `clock`; `pace` is shared by all requests of one model."""
        self._pace = pace
        self._deadline = deadline
        self._clock = clock
        self.left_out: list[LeftOut] = []

    def attempt(self, part: Part, compute: Callable[[], T]) -> T | None:
        started = self._clock()
        if started + self._pace.expected(part) >= self._deadline:
            self._pace.skipped(part)
            self.left_out.append(LeftOut(part, "deadline"))
            return None
        try:
            value = compute()
        except Exception as error:
            # Whatever it is, a lesser answer is better than none; the service logs and counts it.
            self.left_out.append(LeftOut(part, "failure", error))
            return None
        self._pace.took(part, self._clock() - started)
        return value
