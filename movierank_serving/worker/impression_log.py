"""Stores served rankings and impressions from a background thread, so that no request waits for it.

The buffer is bounded: entries that do not fit are dropped and counted.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from movierank_core.errors import EventStoreError
from movierank_core.events.impressions import Impression, ServedMovie, ServedRanking
from movierank_core.events.store import EventStore
from movierank_serving.web.prometheus import Metrics

MAX_BUFFERED: Final = 5_000
"""Maximum number of rankings and impressions that wait to be stored, per worker."""
_PAUSE_SECONDS: Final = 1.0
"""Time between two writes, in seconds."""
_MAX_BATCH: Final = 1_000
"""Maximum number of rankings and impressions in one write."""
_TRIM_EVERY: Final = 1_000
"""Number of entries stored between two deletions of old ones."""
_log = logging.getLogger("movierank.service")


class ImpressionLog:
    """The rankings and impressions of one worker, written about once a second by a thread of its own.

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
        self._buffer: queue.Queue[ServedRanking | Impression] = queue.Queue(max_buffered)
        self._batch: list[ServedRanking | Impression] = []
        self._stored_since_trim = _TRIM_EVERY
        self._is_store_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)

    def start(self) -> None:
        """Starts the thread, unless the log is off."""
        if self._n_kept:
            self._thread.start()

    def add_ranking(
        self,
        *,
        ranking_id: str,
        user_id: int | None,
        model_version: str,
        served_by: str,
        explore: float,
        movies: list[ServedMovie],
    ) -> bool:
        """Buffers a ranking that is served now. False, and counted as dropped, if the buffer is full."""
        return self._add(
            ServedRanking(
                served_us=time.time_ns() // 1_000,
                ranking_id=ranking_id,
                user_id=user_id,
                model_version=model_version,
                served_by=served_by,
                explore=explore,
                movies=movies,
            )
        )

    def add_impression(self, *, ranking_id: str, user_id: int | None, movie_ids: list[int]) -> bool:
        """Buffers movies that a client showed. False, and counted as dropped, if the buffer is full."""
        return self._add(
            Impression(
                shown_us=time.time_ns() // 1_000,
                ranking_id=ranking_id,
                user_id=user_id,
                movie_ids=movie_ids,
            )
        )

    def _add(self, entry: ServedRanking | Impression) -> bool:
        if not self._n_kept:
            return True
        try:
            self._buffer.put_nowait(entry)
        except queue.Full:
            self._count("dropped", [entry])
            return False
        return True

    def _count(self, outcome: str, entries: list[ServedRanking | Impression]) -> None:
        n_rankings = sum(isinstance(entry, ServedRanking) for entry in entries)
        self._metrics.impressions("ranking", outcome, n_rankings)
        self._metrics.impressions("impression", outcome, len(entries) - n_rankings)

    def close(self, seconds: float | None = None) -> None:
        """Tries once to store the buffer, for at most `seconds`; unstored entries count as dropped.

        None sets no limit.
        """
        if self._thread.is_alive():
            self._stop.set()
            self._thread.join(seconds)
        with self._buffer.mutex:
            waiting = list(self._buffer.queue)
        self._count("dropped", [*self._batch, *waiting])

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
                self._count("dropped", self._batch)
                self._batch = []

    def _fill_batch(self) -> bool:
        """Moves entries from the buffer to the batch; whether the batch has any."""
        with contextlib.suppress(queue.Empty):
            while len(self._batch) < _MAX_BATCH:
                self._batch.append(self._buffer.get_nowait())
        return bool(self._batch)

    def _store_batch(self) -> None:
        store = self._store()
        store.append_rankings(
            [entry for entry in self._batch if isinstance(entry, ServedRanking)],
            [entry for entry in self._batch if isinstance(entry, Impression)],
        )
        self._is_store_away = False
        self._count("stored", self._batch)
        self._stored_since_trim += len(self._batch)
        self._batch = []
        if self._stored_since_trim >= _TRIM_EVERY:
            store.trim_rankings(self._n_kept)
            self._stored_since_trim = 0
