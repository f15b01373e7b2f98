"""A background thread that calls a function at a fixed interval."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("movierank.service")


class Watcher:
    """Calls `refresh` every `seconds` until `stop`. An exception is logged and does not end the thread."""

    def __init__(self, refresh: Callable[[], None], seconds: float, name: str) -> None:
        self._refresh = refresh
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ends the thread, and waits at most `seconds` for a refresh in progress."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._refresh()
            except Exception:
                _log.exception("refresh failed")
