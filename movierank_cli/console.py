"""Progress output: lines on standard error, and a status line on a terminal. Results go to standard
output."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

QUIET_SECONDS = 10.0
"""Minimum time between two progress lines of a step, in seconds, if there is no terminal."""
STEP_WIDTH = 18
CHECK_STEPS = {"ratings_checks", "training_row_checks"}


class StepLines:
    """Prints one line per finished step, and the progress of the running step on a status line.

    Without a terminal, a long step prints a progress line every `QUIET_SECONDS`.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._clock = clock
        self.failed_step: str | None = None
        """The first step that failed."""
        self._status: Status | None = None
        self._step = ""
        self._last_line = 0.0

    def started(self, step: str) -> None:
        self._step = step
        self._last_line = self._clock()
        self._show(step)

    def progressed(self, step: str, message: str) -> None:
        if self.console.is_terminal:
            self._show(f"{step}: {message}")
        elif self._clock() - self._last_line >= QUIET_SECONDS:
            self._last_line = self._clock()
            self.line(f"  {step:<{STEP_WIDTH}} {message}")

    def finished(self, step: str, seconds: float) -> None:
        self._hide()
        if not _is_check(step):
            self.line(f"  {step:<{STEP_WIDTH}} {duration(seconds)}")

    def failed(self, step: str) -> None:
        self.failed_step = self.failed_step or step
        self._hide()
        self.line(f"  ! step {step} failed", style="red")

    def checked(self, asset: str, check: str, passed: bool, figures: Mapping[str, object]) -> None:
        if not passed:
            shown = ", ".join(f"{name} {_number(value)}" for name, value in figures.items())
            self.line(f"  ! check {check} of {asset} failed: {shown}", style="yellow")

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Runs one step of the command itself; yields the function that reports its progress."""
        began = self._clock()
        self.started(what)
        try:
            yield lambda message: self.progressed(what, message)
        except BaseException:
            self._hide()
            raise
        self.finished(what, self._clock() - began)

    def line(self, text: str, style: str | None = None) -> None:
        self.console.print(escape(text), style=style)

    def stop(self) -> None:
        """Removes the status line."""
        self._hide()

    def _show(self, text: str) -> None:
        if not self.console.is_terminal:
            return
        if self._status is None:
            self._status = self.console.status("")
            self._status.start()
        self._status.update(escape(text))

    def _hide(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `2 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _is_check(step: str) -> bool:
    return step in CHECK_STEPS or step.startswith(("catalogue_", "evaluation_"))


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
