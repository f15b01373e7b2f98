"""Writing down what was shown, away from the requests: never waited for, bounded, counted where dropped."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from movierank_core.errors import EventStoreError
from movierank_core.events.impressions import Shown, ShownRanking
from movierank_core.events.store import EventStore
from movierank_serving.web.prometheus import Metrics

BUFFERED: Final = 5_000
"""Rankings that wait to be stored at most, per worker; further ones are dropped."""
_PAUSE_SECONDS: Final = 1.0
_BATCH: Final = 1_000
_TRIM_EVERY: Final = 1_000
_log = logging.getLogger("movierank.service")


class ImpressionLog:
    """The rankings of one worker, stored from a thread of its own about once a second.

    What the store refuses is tried again while there is room for what comes; what a killed worker had not
    stored yet is lost.
    """

    def __init__(
        self, store: Callable[[], EventStore], keep: int, metrics: Metrics, *, buffered: int = BUFFERED
    ) -> None:
        """`keep`: the newest rankings that stay in the store; 0 logs nothing."""
        self._store = store
        self._keep = keep
        self._metrics = metrics
        self._waiting: queue.Queue[ShownRanking] = queue.Queue(buffered)
        self._batch: list[ShownRanking] = []
        self._stored_since_trim = _TRIM_EVERY
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)

    def start(self) -> None:
        if self._keep:
            self._thread.start()

    def note(
        self,
        *,
        request_id: str,
        user_id: int | None,
        model_version: str,
        served_by: str,
        explore: float,
        shown: list[Shown],
    ) -> None:
        """Hand a ranking over; it is dropped and counted where too many wait already."""
        if not self._keep:
            return
        ranking = ShownRanking(
            shown_us=time.time_ns() // 1_000,
            request_id=request_id,
            user_id=user_id,
            model_version=model_version,
            served_by=served_by,
            explore=explore,
            shown=shown,
        )
        try:
            self._waiting.put_nowait(ranking)
        except queue.Full:
            self._metrics.impressions("dropped", 1)

    def close(self) -> None:
        """Store what waits, once, and end."""
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join()
        self._metrics.impressions("dropped", len(self._batch) + self._waiting.qsize())

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            self._store_all()
        self._store_all()

    def _store_all(self) -> None:
        """Until nothing waits or the store refuses."""
        while self._fill():
            try:
                self._store_batch()
            except EventStoreError as error:
                if not self._is_away:
                    _log.warning("impressions", extra={"error": str(error)})
                self._is_away = True
                return
            except Exception:
                # The thread must outlive a defect, and a batch that causes one must not be met again.
                _log.exception("impressions failed")
                self._metrics.impressions("dropped", len(self._batch))
                self._batch = []

    def _fill(self) -> bool:
        """Whether there is something to store."""
        with contextlib.suppress(queue.Empty):
            while len(self._batch) < _BATCH:
                self._batch.append(self._waiting.get_nowait())
        return bool(self._batch)

    def _store_batch(self) -> None:
        store = self._store()
        store.append_rankings(self._batch)
        self._is_away = False
        self._metrics.impressions("stored", len(self._batch))
        self._stored_since_trim += len(self._batch)
        self._batch = []
        if self._stored_since_trim >= _TRIM_EVERY:
            store.trim_rankings(self._keep)
            self._stored_since_trim = 0
