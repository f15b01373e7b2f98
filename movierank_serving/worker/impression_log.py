"""Stores shown rankings (impressions) from a background thread, so that no request waits for it.

The buffer is bounded: rankings that do not fit are dropped and counted.
"""

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

MAX_BUFFERED: Final = 5_000
"""Maximum number of rankings that wait to be stored, per worker."""
_PAUSE_SECONDS: Final = 1.0
"""Time between two writes, in seconds."""
_MAX_BATCH: Final = 1_000
"""Maximum number of rankings in one write."""
_TRIM_EVERY: Final = 1_000
"""Number of rankings stored between two deletions of old rankings."""
_log = logging.getLogger("movierank.service")


class ImpressionLog:
    """The impressions of one worker, written about once a second by a thread of its own.

    A batch that the store refuses is kept and tried again. A worker that is killed loses its buffer.
    """

    def __init__(
        self,
        store: Callable[[], EventStore],
        n_kept: int,
        metrics: Metrics,
        *,
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        """`n_kept`: number of newest rankings that stay in the store; 0 turns the log off."""
        self._store = store
        self._n_kept = n_kept
        self._metrics = metrics
        self._buffer: queue.Queue[ShownRanking] = queue.Queue(max_buffered)
        self._batch: list[ShownRanking] = []
        self._stored_since_trim = _TRIM_EVERY
        self._is_store_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)

    def start(self) -> None:
        """Starts the thread, unless the log is off."""
        if self._n_kept:
            self._thread.start()

    def add(
        self,
        *,
        request_id: str,
        user_id: int | None,
        model_version: str,
        served_by: str,
        explore: float,
        shown: list[Shown],
    ) -> None:
        """Buffers a ranking that is shown now. Drops and counts it if the buffer is full."""
        if not self._n_kept:
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
            self._buffer.put_nowait(ranking)
        except queue.Full:
            self._metrics.impressions("dropped", 1)

    def close(self, seconds: float | None = None) -> None:
        """Tries once to store the buffer, for at most `seconds`; unstored rankings count as dropped.

        None sets no limit.
        """
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join(seconds)
        self._metrics.impressions("dropped", len(self._batch) + self._buffer.qsize())

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            self._store_all()
        self._store_all()

    def _store_all(self) -> None:
        """Stores batches until the buffer is empty or the store refuses one."""
        while self._fill_batch():
            try:
                self._store_batch()
            except EventStoreError as error:
                if not self._is_store_away:
                    _log.warning("impressions", extra={"error": str(error)})
                self._is_store_away = True
                return
            except Exception:
                # A defect must not end the thread. The batch is dropped, because it may raise again.
                _log.exception("impressions failed")
                self._metrics.impressions("dropped", len(self._batch))
                self._batch = []

    def _fill_batch(self) -> bool:
        """Moves rankings from the buffer to the batch; whether the batch has any."""
        with contextlib.suppress(queue.Empty):
            while len(self._batch) < _MAX_BATCH:
                self._batch.append(self._buffer.get_nowait())
        return bool(self._batch)

    def _store_batch(self) -> None:
        store = self._store()
        store.append_rankings(self._batch)
        self._is_store_away = False
        self._metrics.impressions("stored", len(self._batch))
        self._stored_since_trim += len(self._batch)
        self._batch = []
        if self._stored_since_trim >= _TRIM_EVERY:
            store.trim_rankings(self._n_kept)
            self._stored_since_trim = 0
