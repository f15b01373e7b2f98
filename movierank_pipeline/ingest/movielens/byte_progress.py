"""A progress bar in bytes for downloads and extraction, on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

ByteProgress = Callable[[str, int, int | None], None]
"""Called with: label of the current work, bytes done, bytes in total (None if unknown)."""

_PATIENCE_SECONDS: Final = 2.0
"""Minimum duration in seconds before a bar appears."""


@contextmanager
def byte_progress_bar(console: Console | None = None) -> Iterator[ByteProgress]:
    """Yields a `ByteProgress` that draws one bar per label on `console` (default: standard error).

    Draws nothing in the first two seconds, and nothing if the console is not a terminal.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}
    began = time.monotonic()

    def report(label: str, done: int, total: int | None) -> None:
        if label not in tasks:
            tasks[label] = bar.add_task(label, total=total)
        bar.update(tasks[label], completed=done, total=total)
        is_long = time.monotonic() - began > _PATIENCE_SECONDS
        if is_long and bar.console.is_terminal and not bar.live.is_started:
            bar.start()

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()
