"""The state of one worker: loaded model, opened histories and facts, event store.

Each part is replaced while requests are answered. A request therefore reads the model and the histories once,
at its start, and uses those objects to its end.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from movierank_core.atomic import atomic_write
from movierank_core.background import throttled
from movierank_core.data.history_snapshot import open_histories
from movierank_core.data.snapshot import CURRENT
from movierank_core.errors import BundleError, EventStoreError, MovierankError
from movierank_core.events.store import EventStore, FeedbackEvent, Watermark, open_event_store
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
from movierank_serving.worker.threads import Threads

REOPEN_AFTER_SECONDS: Final = 1.0
"""Minimum time between two attempts to open the event store, in seconds. Requests in between fail at once."""
_MAX_LOGGED_FAILURES: Final = 100
"""Maximum number of different ranking failures that are logged; the metrics count all failures."""
MAX_RETRY_SECONDS: Final = 60.0
"""Maximum time between two attempts to load the same version or snapshot, in seconds."""
PROBE_SECONDS: Final = 5.0
"""Time between two checks whether the event store can be written, in seconds; shorter after a failure."""
_CLOSE_SECONDS: Final = 2.0
"""Maximum time that a stopping worker waits for blocking calls, in seconds. They get no answer."""
_N_READING_THREADS: Final = 4
_N_STORING_THREADS: Final = 8
_N_OTHER_THREADS: Final = 2
_FORGOTTEN_FILE: Final = "forgotten.json"
"""File in the home folder with the users deleted since the snapshot, for a start without the event store."""
_log = logging.getLogger("movierank.service")


class FailedLoad(NamedTuple):
    """A version or snapshot that could not be loaded."""

    mark: tuple[int, int] | None
    """Modification time and inode of its pointer; None for a missing pointer."""
    n: int
    """Number of attempts."""
    next_attempt: float
    """Time of the next attempt (`time.monotonic`)."""


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
        self.challenger: LoadedModel | None = None
        """The version with the alias `challenger`, if the settings ask for it."""
        self._opened_histories: LoadedHistories | None = None
        self.facts: PublishedFacts | None = None
        """Published facts of movies; versions that are newer, or of another data set, use their own."""
        self.refusals: Mapping[str, str] = {}
        """Why a part is not loaded although there is one, by part: model, challenger, histories, facts."""
        self.sync_status: SyncStatus | None = None
        self.events_error: str | None = None
        """Why the event store cannot be used, as of the last check or use; None if it can."""
        self._forgotten_file = settings.paths.home / _FORGOTTEN_FILE
        self.forgotten: frozenset[int] = _read_forgotten(self._forgotten_file)
        """Users deleted since the snapshot was published; needed while the event store is unavailable."""
        self._forgotten_base: LoadedHistories | None = None
        """The snapshot to which `forgotten` belongs."""
        self.events_through: Watermark | None = None
        """Watermark of the event store at the last check, up to which `forgotten` is complete, or None."""
        self._next_probe = 0.0
        self._forgotten_lock = threading.Lock()
        self._logged_failures: set[tuple[str, str, str, str]] = set()
        self.rank_queue = RankQueue(settings.rank_queue, metrics)
        self.impressions = ImpressionLog(self.store, settings.impressions_kept, metrics)
        self.reading = Threads(_N_READING_THREADS, "reading")
        """For reads of the event store."""
        self.storing = Threads(_N_STORING_THREADS, "storing")
        """For writes to the event store."""
        self.other = Threads(_N_OTHER_THREADS, "other")
        """For calls that block on anything but the event store."""
        self._copies = ModelCopies(settings.paths.model_cache)
        self._load = load
        self._file_marks: dict[str, tuple[int, int] | None] = {}
        self._failed_loads: dict[str, FailedLoad] = {}
        self._store: EventStore | None = None
        self._store_lock = threading.Lock()
        self._store_refusal: tuple[float, EventStoreError] | None = None
        """The time (`time.monotonic`) of the next attempt to open the event store, and the last error."""

    @property
    def histories(self) -> LoadedHistories | None:
        """The published histories; None without any, and while they are of another data set than the version.

        The same id of a user or a movie stands for another one there.
        """
        return None if self.histories_of_other_data is not None else self._opened_histories

    @property
    def histories_of_other_data(self) -> str | None:
        """Why the published histories are not used, if they are of another data set than the version."""
        if self._opened_histories is None or self.model is None:
            return None
        published = self._opened_histories.histories.manifest.dataset
        expected = self.model.recommender.manifest.dataset
        if published == expected:
            return None
        return (
            f"The published histories are of the data set {published}, version {self.model.version} of"
            f" {expected}, so they are not used. Remedy: run `movierank materialize` for one data set, and"
            " set MOVIERANK_ROOT to another folder for the other."
        )

    def refresh(self) -> None:
        """Checks model copies, histories and facts once, and takes over what changed. Uses no event store.

        If a new version or snapshot is unusable, the old one stays and `/health/ready` reports the reason.
        """
        self._if_changed("model", self._copies.current_file, self._refresh_model)
        if self.settings.serve_challenger:
            self._if_changed("challenger", self._copies.challenger_file, self._refresh_challenger)
        self._if_changed("histories", self.settings.paths.histories / CURRENT, self._refresh_histories)
        self._if_changed("facts", self.settings.paths.facts / CURRENT, self._refresh_facts)
        try:
            self.sync_status = self._copies.status()
        except BundleError as error:
            _log.warning("sync status", extra={"error": str(error)})

    def refresh_events(self) -> None:
        """Checks the event store once: whether it can be used, and which users were deleted.

        Requests and probes read the outcome and never wait for a check.
        """
        try:
            store = self.store()
            self._refresh_forgotten(store)
            if self.events_error is not None or time.monotonic() >= self._next_probe:
                store.ping()
                self._next_probe = time.monotonic() + PROBE_SECONDS
        except EventStoreError as error:
            if self.events_error is None:
                _log.warning("event store", extra={"error": str(error)})
            self.events_error = str(error)
        else:
            self.events_error = None

    def _refresh_forgotten(self, store: EventStore) -> None:
        histories = self.histories
        # The lock keeps a check that read the store before a deletion from dropping the user again.
        with self._forgotten_lock:
            is_new_base = self.events_through is None or histories is not self._forgotten_base
            after = self.events_through
            if is_new_base:
                after = None if histories is None else histories.watermark
            found, through = store.newly_forgotten(after)
            forgotten = frozenset(found) if is_new_base else self.forgotten.union(found)
            self._forgotten_base, self.events_through = histories, through
            if forgotten != self.forgotten:
                self._set_forgotten(forgotten)

    def _set_forgotten(self, forgotten: frozenset[int]) -> None:
        self.forgotten = forgotten
        try:
            self._forgotten_file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._forgotten_file, is_durable=True) as written:
                written.write_bytes(msgspec.json.encode(sorted(forgotten)))
        except OSError as error:
            _log.warning("forgotten users", extra={"error": str(error)})

    def append(self, event: FeedbackEvent) -> bool:
        """Stores an event; whether it is new. Raises EventStoreError and EventConflictError."""
        try:
            [is_new] = self.store().append([event])
        except EventStoreError as error:
            self.events_error = str(error)
            raise
        return is_new

    def forget(self, user_id: int) -> int:
        """Deletes a user's events; the number of deleted events. Raises EventStoreError."""
        with self._forgotten_lock:
            n_deleted = self.store().delete_user(user_id)
            self._set_forgotten(self.forgotten | {user_id})
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
        return self.model is None and "model" not in self.refusals and self._copies.current_file.exists()

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
        """Waits a short time for blocking calls in progress, then closes the event store."""
        deadline = time.monotonic() + min(_CLOSE_SECONDS, self.settings.shutdown_seconds)
        for threads in (self.storing, self.reading, self.other):
            threads.close(max(0.0, deadline - time.monotonic()))
        if self._store is not None:
            self._store.close()

    def _refresh_model(self) -> None:
        """Loads the current version."""
        old, current = self.model, self._copies.current()
        if current is None:
            return
        if old is not None and (old.version, old.run_id) == (current.version, current.run_id):
            return
        started = time.perf_counter()
        with exempt_from_garbage_collection(is_first=old is None):
            self.model = self._loaded(current)
        self.metrics.model_loaded(current.version, None if old is None else old.version)
        seconds = round(time.perf_counter() - started, 3)
        _log.info("version loaded", extra={"model_version": current.version, "seconds": seconds})

    def _refresh_challenger(self) -> None:
        """Drops the old challenger before loading: it must not answer under the new challenger's name."""
        self.challenger = None
        version = self._copies.read(self._copies.challenger_file)
        if version is not None:
            with exempt_from_garbage_collection(is_first=self.model is None):
                self.challenger = self._loaded(version)

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
        opened = open_histories(self.settings.paths.histories)
        watermark = Watermark.parse(opened.manifest.feedback_through)
        self._opened_histories = LoadedHistories(histories=opened, watermark=watermark)
        _log.info("histories opened", extra={"snapshot_id": opened.manifest.snapshot_id})

    def _refresh_facts(self) -> None:
        """Opens the published facts for the loaded versions. Without any, versions use their own."""
        is_published = (self.settings.paths.facts / CURRENT).exists()
        self.facts = open_facts(self.settings.paths.facts) if is_published else None
        with throttled():
            if self.model is not None:
                self.model = with_newest_facts(self.model, self.facts)
            if self.challenger is not None:
                self.challenger = with_newest_facts(self.challenger, self.facts)
        if self.facts is not None:
            _log.info("facts opened", extra={"snapshot_id": self.facts.manifest.snapshot_id})

    def _if_changed(self, name: str, pointer: Path, load: Callable[[], None]) -> None:
        """Calls `load` if modification time or inode of `pointer` differ from the last successful load.

        A failed load is reported in `refusals` and repeated, at growing intervals: the reason may be a lack
        of memory or file handles, which passes. A new pointer is loaded at once.
        """
        try:
            status = pointer.stat()
            mark = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            mark = None
        if name in self._file_marks and self._file_marks[name] == mark:
            return
        failed = self._failed_loads.get(name)
        if failed is not None and failed.mark == mark and time.monotonic() < failed.next_attempt:
            return
        n_failures = failed.n + 1 if failed is not None and failed.mark == mark else 1
        pause = min(MAX_RETRY_SECONDS, self.settings.watch_seconds * 2**n_failures)
        # Noted before the call, so that every exception counts as a failure.
        self._failed_loads[name] = FailedLoad(mark, n_failures, time.monotonic() + pause)
        try:
            load()
        except (MovierankError, OSError, MemoryError) as error:
            reason = _reason(error)
            if reason != self.refusals.get(name):
                _log.error("load failed", extra={"part": name, "error": reason})
            self.refusals = {**self.refusals, name: reason}
            return
        self._file_marks[name] = mark
        del self._failed_loads[name]
        self.refusals = {part: reason for part, reason in self.refusals.items() if part != name}


def _read_forgotten(file: Path) -> frozenset[int]:
    """The users in `file`; empty if it is missing or damaged, since the event store has them too."""
    try:
        return frozenset(msgspec.json.decode(file.read_bytes(), type=list[int]))
    except (OSError, msgspec.DecodeError):
        return frozenset()


def _reason(error: Exception) -> str:
    """The text of an error. Those of the operating system begin with their type."""
    return str(error) if isinstance(error, MovierankError) else f"{type(error).__name__}: {error}"
