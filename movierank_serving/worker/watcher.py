"""The background thread that refreshes a worker's state at a fixed interval."""

import logging
import threading

from movierank_serving.worker.state import WorkerState

_log = logging.getLogger("movierank.service")


class Watcher:
    """Calls `WorkerState.refresh` every `settings.watch_seconds` until `stop`."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and waits until a refresh in progress is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._state.settings.watch_seconds):
            try:
                self._state.refresh()
            except Exception:
                # One failed refresh must not end the thread: the worker would never see a new version.
                _log.exception("refresh failed")
