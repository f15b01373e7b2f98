"""Waits for an event, with a bound of minutes: a slow machine alone fails no test."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS: Final = 300.0
"""Maximum wait for one event, in seconds. Only a defect takes this long, even on a busy machine."""
PATIENCE_MS: Final = 1000 * PATIENCE_SECONDS
"""The same in milliseconds, for Playwright."""
_POLL_SECONDS: Final = 0.02


def wait_for(
    condition: Callable[[], T], what: str = "the condition", *, process: "subprocess.Popen[Any] | None" = None
) -> T:
    """The first true value of `condition`, which is asked again and again.

    Raises AssertionError after `PATIENCE_SECONDS`, or as soon as `process` has ended without it.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        has_ended = process is not None and process.poll() is not None
        value = condition()
        if value:
            return value
        assert not has_ended, f"the process ended before {what}"
        assert time.monotonic() < deadline, f"{what} was not met within {PATIENCE_SECONDS:.0f} s"
        time.sleep(_POLL_SECONDS)


def exit_code(process: "subprocess.Popen[Any]") -> int:
    """Waits for the end of a process. Raises TimeoutExpired after `PATIENCE_SECONDS`."""
    return process.wait(PATIENCE_SECONDS)


def join(threads: Iterable[threading.Thread]) -> None:
    """Waits for the end of all threads. Raises AssertionError after `PATIENCE_SECONDS`."""
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), f"{thread.name} did not end within {PATIENCE_SECONDS:.0f} s"


def ends(action: Callable[[], T]) -> T:
    """What `action` returns or raises, where the claim is that it ends at all.

    Raises AssertionError after `PATIENCE_SECONDS`; the action then goes on in its thread.
    """
    values: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            values.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    join([thread])
    if errors:
        raise errors[0]
    return values[0]
