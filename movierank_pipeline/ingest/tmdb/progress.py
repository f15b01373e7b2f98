"""One-line progress of TMDB requests."""

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_BAR_WIDTH: Final = 24
_RATE_SECONDS: Final = 30.0
"""Window of the displayed rate, in seconds."""


@dataclass(frozen=True)
class AskProgress:
    """Counts after each movie."""

    total: int
    """Number of movies to request."""
    n_found: int
    n_gone: int
    n_failed: int
    """Number of failed movies so far; they are retried at the end."""

    @property
    def n_done(self) -> int:
        return self.n_found + self.n_gone + self.n_failed


Report = Callable[[AskProgress], None]


class ProgressLines:
    """Calls `say` with progress lines at intervals.

    On a terminal, `say` is expected to update one status line and gets a bar every one to two seconds.
    Otherwise it gets a line every 15 seconds. The last line is always sent.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        is_terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._clock = say, clock
        self._is_terminal = sys.stderr.isatty() if is_terminal is None else is_terminal
        self._seconds = 2.0 if self._is_terminal else 15.0
        self._last_line = clock()
        self._recent: deque[tuple[float, int]] = deque([(self._last_line, 0)])

    def __call__(self, progress: AskProgress) -> None:
        now = self._clock()
        if now - self._last_line < self._seconds and progress.n_done < progress.total:
            return
        self._last_line = now
        self._recent.append((now, progress.n_done))
        while len(self._recent) > 2 and now - self._recent[1][0] >= _RATE_SECONDS:
            self._recent.popleft()
        self._say(self.line(progress))

    def line(self, progress: AskProgress) -> str:
        """`[######····] 1,200 of 9,742 movies, 33/s, 4 min 18 s left; 1,195 found, 3 gone, 2 failed`."""
        (began, before), (now, done) = self._recent[0], self._recent[-1]
        rate = (done - before) / (now - began) if now > began else 0.0
        left = progress.total - progress.n_done
        remaining = f", {_duration(left / rate)} left" if rate > 0 and left else ""
        filled = _BAR_WIDTH * progress.n_done // max(1, progress.total)
        bar = f"[{'#' * filled}{'·' * (_BAR_WIDTH - filled)}] " if self._is_terminal else ""
        return (
            f"{bar}{progress.n_done:,} of {progress.total:,} movies, {rate:.1f}/s{remaining}; "
            f"{progress.n_found:,} found, {progress.n_gone:,} gone, {progress.n_failed:,} failed"
        )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"
