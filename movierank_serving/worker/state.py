"""The state of one worker: loaded model, opened histories and facts, event store.

Each part is replaced while requests are answered. A request therefore reads the model and the histories once,
at its start, and uses those objects to its end.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from movierank_core.background import throttled
from movierank_core.data.history_snapshot import CURRENT, open_histories
from movierank_core.errors import BundleError, EventStoreError, FactsError, HistoriesError
from movierank_core.events.store import EventStore, Watermark, open_event_store
from movierank_core.features.facts_snapshot import PublishedFacts, open_facts
from movierank_core.manifest import IMAGE_BASE_URL
from movierank_core.recommender.degradation import LeftOut
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.model_sync.local_copies import CopiedVersion, ModelCopies, SyncStatus, load_bundle, now
from movierank_serving.settings import Settings
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.impression_log import ImpressionLog
from movierank_serving.worker.loaded import (
    LoadedHistories,
    LoadedModel,
    ServedRecommender,
    exempt_from_garbage_collection,
    view_of,
    with_newest_facts,
)
from movierank_serving.worker.rank_queue import RankQueue

REOPEN_AFTER_SECONDS: Final = 1.0
"""Minimum time between two attempts to open the event store, in seconds. Requests in between fail at once."""
_MAX_LOGGED_FAILURES: Final = 100
"""Maximum number of different ranking failures that are logged; the metrics count all failures."""
_N_BLOCKING_THREADS: Final = 8
"""Threads for calls that block on a disk or a network; a ninth call waits for one of the eight."""
_log = logging.getLogger("movierank.service")


class WorkerState:
    """The state of one worker. Attributes are replaced as a whole and never modified in place."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        load: Callable[[Path], ServedRecommender] = load_bundle,
    ) -> None:
        """Loads nothing; `refresh` does. `load` makes a recommender from a bundle's folder."""
        self.settings = settings
        self.metrics = metrics
        self.model: LoadedModel | None = None
        self.model_error: str | None = None
        """Why the current version is not loaded; None if it is loaded, or if there is no current version."""
        self.challenger: LoadedModel | None = None
        """The version with the alias `challenger`, if the settings ask for it."""
        self.challenger_error: str | None = None
        """Why the existing challenger is not loaded; None if it is loaded, or if there is none."""
        self.histories: LoadedHistories | None = None
        self.histories_error: str | None = None
        self.facts: PublishedFacts | None = None
        """Published facts of movies; versions that are newer, or of another data set, use their own."""
        self.facts_error: str | None = None
        self.sync_status: SyncStatus | None = None
        self.forgotten: frozenset[int] = frozenset()
        """Users deleted since the snapshot was published; needed while the event store is unavailable."""
        self._forgotten_lock = threading.Lock()
        self._logged_failures: set[tuple[str, str, str, str]] = set()
        self.rank_queue = RankQueue(settings.rank_queue, metrics)
        self.impressions = ImpressionLog(self.store, settings.impressions_kept, metrics)
        self.waiting_threads = ThreadPoolExecutor(_N_BLOCKING_THREADS, "waiting")
        """For calls that block on a disk or a network."""
        self._copies = ModelCopies(settings.paths.model_cache)
        self._load = load
        self._file_marks: dict[str, tuple[int, int] | None] = {}
        self._store: EventStore | None = None
        self._store_lock = threading.Lock()
        self._store_refusal: tuple[float, EventStoreError] | None = None
        """The time (`time.monotonic`) of the next attempt to open the event store, and the last error."""

    def refresh(self) -> None:
        """Checks model copies, histories, facts and deleted users once, and takes over what changed.

        If a new version or snapshot is unusable, the old one stays and `/health/ready` reports the reason.
        """
        if self._has_changed("model", self._copies.current_file):
            self._refresh_model()
        if self.settings.serve_challenger and self._has_changed("challenger", self._copies.challenger_file):
            self._refresh_challenger()
        pointer = self.settings.paths.histories / CURRENT
        if self._has_changed("histories", pointer) or self.histories_error is not None:
            self._refresh_histories()
        if self._has_changed("facts", self.settings.paths.facts / CURRENT) or self.facts_error is not None:
            self._refresh_facts()
        try:
            self.sync_status = self._copies.status()
        except BundleError as error:
            _log.warning("sync status", extra={"error": str(error)})
        try:
            after = None if self.histories is None else self.histories.watermark
            with self._forgotten_lock:
                self.forgotten = frozenset(self.store().forgotten_users(after))
        except EventStoreError:
            pass  # Requests and /health/ready meet the same error and report it.

    def forget(self, user_id: int) -> int:
        """Deletes a user's events; the number of deleted events. Raises EventStoreError."""
        # The lock keeps a refresh that read the store before the deletion from dropping the user again.
        with self._forgotten_lock:
            n_deleted = self.store().delete_user(user_id)
            self.forgotten |= {user_id}
        return n_deleted

    def store(self) -> EventStore:
        """The event store, opened at the first call. Raises EventStoreError while it cannot be opened."""
        if self._store is not None:
            return self._store
        with self._store_lock:
            if self._store is None:
                if self._store_refusal is not None and time.monotonic() < self._store_refusal[0]:
                    raise self._store_refusal[1]
                try:
                    self._store = open_event_store(self.settings.events_url)
                except EventStoreError as error:
                    self._store_refusal = (time.monotonic() + REOPEN_AFTER_SECONDS, error)
                    raise
            return self._store

    def image_bases(self) -> tuple[str, str]:
        """(poster, backdrop): the URL prefixes of image paths, from the loaded version if there is one."""
        model = self.model
        return self.settings.image_bases(IMAGE_BASE_URL) if model is None else model.view.image_bases

    def is_loading(self) -> bool:
        """Whether no version is loaded yet, but a local copy exists and has not failed to load."""
        return self.model is None and self.model_error is None and self._copies.current_file.exists()

    def has_local_store(self) -> bool:
        """Whether the event store is open and answers reads without a network."""
        return self._store is not None and self._store.is_local

    def record_left_out(self, model: LoadedModel, left_out: list[LeftOut]) -> None:
        """Counts the parts that a ranking left out; logs each different failure once."""
        for entry in left_out:
            if entry.error is not None:
                self.record_failure(model, entry.part, entry.error)
            else:
                self.metrics.left_out(entry.part, entry.why)

    def record_failure(self, model: LoadedModel, part: str, error: Exception) -> None:
        """Counts a failed part of a ranking. Logs it once per version, part and error message."""
        self.metrics.left_out(part, "failure")
        failure = (model.version, part, type(error).__name__, str(error)[:200])
        if failure in self._logged_failures or len(self._logged_failures) >= _MAX_LOGGED_FAILURES:
            return
        self._logged_failures.add(failure)
        _log.error(
            "ranking failed",
            exc_info=error,
            extra={"model_version": model.version, "part": part, "error": f"{failure[2]}: {failure[3]}"},
        )

    def close(self) -> None:
        """Waits for blocking calls in progress, then closes the event store."""
        self.waiting_threads.shutdown()
        if self._store is not None:
            self._store.close()

    def _refresh_model(self) -> None:
        old = self.model
        current: CopiedVersion | None = None
        try:
            current = self._copies.current()
            if current is None:
                return
            if old is not None and (old.version, old.run_id) == (current.version, current.run_id):
                self.model_error = None
                return
            started = time.perf_counter()
            with exempt_from_garbage_collection(is_first=old is None):
                loaded = self._loaded(current)
        except BundleError as error:
            self.model_error = str(error)
            version = None if current is None else current.version
            _log.error("version refused", extra={"model_version": version, "error": str(error)})
            return
        self.model = loaded
        self.model_error = None
        self.metrics.model_loaded(current.version, None if old is None else old.version)
        seconds = round(time.perf_counter() - started, 3)
        _log.info("version loaded", extra={"model_version": current.version, "seconds": seconds})

    def _refresh_challenger(self) -> None:
        """Drops the old challenger before loading: it must not answer under the new challenger's name."""
        self.challenger = self.challenger_error = None
        try:
            version = self._copies.read(self._copies.challenger_file)
            if version is not None:
                with exempt_from_garbage_collection(is_first=self.model is None):
                    self.challenger = self._loaded(version)
        except BundleError as error:
            self.challenger_error = str(error)
            _log.error("challenger refused", extra={"error": str(error)})

    def _loaded(self, version: CopiedVersion) -> LoadedModel:
        """Loads a version from its local copy. Raises BundleError if the copy is unusable."""
        folder = self._copies.folder_of(version)
        if self.model is None:
            return self._loaded_from(folder, version, None)
        # A version is being served: load throttled, and in one worker at a time, to keep requests fast.
        with self._copies.loading_lock(), throttled():
            return self._loaded_from(folder, version, self.model.view)

    def _loaded_from(self, folder: Path, version: CopiedVersion, old: CatalogueView | None) -> LoadedModel:
        recommender = self._load(folder)
        loaded = LoadedModel(
            version=version.version,
            run_id=version.run_id,
            loaded_at=now(),
            recommender=recommender,
            view=view_of(recommender, old, self.settings),
            facts_as_of=recommender.manifest.data_as_of,
        )
        return with_newest_facts(loaded, self.facts)

    def _refresh_histories(self) -> None:
        try:
            opened = open_histories(self.settings.paths.histories)
            watermark = Watermark.parse(opened.manifest.feedback_through)
        except (HistoriesError, EventStoreError) as error:
            if str(error) != self.histories_error:
                _log.warning("histories", extra={"error": str(error)})
            self.histories_error = str(error)
            return
        self.histories = LoadedHistories(histories=opened, watermark=watermark)
        self.histories_error = None
        _log.info("histories opened", extra={"snapshot_id": opened.manifest.snapshot_id})

    def _refresh_facts(self) -> None:
        """Opens the published facts for the loaded versions. Without any, versions use their own."""
        try:
            is_published = (self.settings.paths.facts / CURRENT).exists()
            self.facts = open_facts(self.settings.paths.facts) if is_published else None
            with throttled():
                if self.model is not None:
                    self.model = with_newest_facts(self.model, self.facts)
                if self.challenger is not None:
                    self.challenger = with_newest_facts(self.challenger, self.facts)
        except FactsError as error:
            if str(error) != self.facts_error:
                _log.warning("facts", extra={"error": str(error)})
            self.facts_error = str(error)
            return
        self.facts_error = None
        if self.facts is not None:
            _log.info("facts opened", extra={"snapshot_id": self.facts.manifest.snapshot_id})

    def _has_changed(self, name: str, path: Path) -> bool:
        """Whether modification time or inode of `path` differ from the last call; True at the first call."""
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            mark = None
        if name in self._file_marks and self._file_marks[name] == mark:
            return False
        self._file_marks[name] = mark
        return True
