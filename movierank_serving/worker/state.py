"""What one worker knows: the loaded model, the opened histories, the event store.

A `World` is replaced piece by piece while requests are answered: a request takes the model and the
histories once, at its start, and keeps them to its end.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from movierank_core.background import resting
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.history_snapshot import CURRENT, Histories, open_histories
from movierank_core.errors import BundleError, EventStoreError, HistoriesError
from movierank_core.events.store import EventStore, Watermark, open_event_store
from movierank_core.manifest import IMAGE_BASE_URL, Manifest
from movierank_core.recommender.degradation import LeftOut, Pace, Strict
from movierank_core.recommender.explanation import Explanation
from movierank_core.recommender.recommender import Ranking, RankOptions
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.model_sync.local_copies import (
    CurrentVersion,
    ModelCopies,
    SyncStatus,
    load_bundle,
    now,
)
from movierank_serving.settings import Settings
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.impression_log import ImpressionLog
from movierank_serving.worker.rank_queue import RankQueue

REOPEN_AFTER_SECONDS: Final = 1.0
"""How long after a failed opening of the event store requests fail at once instead of trying again."""
_FAILURES_LOGGED: Final = 100
"""Different failures that are logged at most; all of them are counted."""
_log = logging.getLogger("movierank.service")


class Ranks(Protocol):
    """What the service needs of a recommender."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def catalogue(self) -> Catalogue: ...
    def rank(
        self, history: History, *, as_of: int, k: int, options: RankOptions = ..., ladder: Strict = ...
    ) -> Ranking: ...
    def explain(
        self, history: History, *, as_of: int, row: int, options: RankOptions = ...
    ) -> Explanation: ...
    def similar(self, row: int, k: int) -> list[tuple[int, float]]: ...
    def popular(self, k: int) -> list[int]: ...


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One version, ready to answer."""

    version: str
    run_id: str
    loaded_at: str
    recommender: Ranks
    view: CatalogueView
    pace: Pace = msgspec.field(default_factory=Pace)
    """How long the parts of its rankings take in this worker."""


class LoadedHistories(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot, opened."""

    histories: Histories
    watermark: Watermark | None
    """Its place in the event store."""


class World:
    """The state of one worker; every attribute is replaced whole, never changed in place."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        load: Callable[[Path], Ranks] = load_bundle,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.model: LoadedModel | None = None
        self.model_error: str | None = None
        """Why the version to serve is not, None if it is (or there is none)."""
        self.challenger: LoadedModel | None = None
        """A version that may be asked for beside the served one."""
        self.challenger_error: str | None = None
        """Why the challenger that there is is not loaded."""
        self.histories: LoadedHistories | None = None
        self.histories_error: str | None = None
        self.sync_status: SyncStatus | None = None
        self.forgotten: frozenset[int] = frozenset()
        """Users forgotten since the snapshot, for when the event store is away."""
        self._failures_logged: set[tuple[str, str, str, str]] = set()
        self.rank_queue = RankQueue(settings.rank_queue, metrics)
        self.impressions = ImpressionLog(self.store, settings.impressions_kept, metrics)
        self.waiting_threads = ThreadPoolExecutor(8, "waiting")
        """For calls that wait for a disk or a network."""
        self._copies = ModelCopies(settings.paths.model_cache)
        self._load = load
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._store: EventStore | None = None
        self._store_lock = threading.Lock()
        self._store_refusal: tuple[float, EventStoreError] | None = None

    def refresh(self) -> None:
        """Look once for another model copy, other histories and who was forgotten; take what is new.

        What cannot be used is left, with the reason kept for `/health/ready`, and the old goes on.
        """
        if self._has_changed("model", self._copies.current_file):
            self._take_model()
        if self.settings.serve_challenger and self._has_changed("challenger", self._copies.challenger_file):
            self._take_challenger()
        pointer = self.settings.paths.histories / CURRENT
        if self._has_changed("histories", pointer) or self.histories_error is not None:
            self._take_histories()
        try:
            self.sync_status = self._copies.status()
        except BundleError as error:
            _log.warning("sync status", extra={"error": str(error)})
        try:
            after = None if self.histories is None else self.histories.watermark
            self.forgotten = frozenset(self.store().forgotten_users(after))
        except EventStoreError:
            pass  # Seen by requests and by /health/ready, which say so.

    def store(self) -> EventStore:
        """The event store; EventStoreError while it cannot be opened."""
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
        """What stands before the path of a poster and of a backdrop."""
        model = self.model
        return self.settings.image_bases(IMAGE_BASE_URL) if model is None else model.view.image_bases

    def is_loading(self) -> bool:
        """Whether there is no version yet, but one that this worker is about to have."""
        return self.model is None and self.model_error is None and self._copies.current_file.exists()

    def reads_at_once(self) -> bool:
        """Whether the event store answers reads without waiting for a network."""
        return self._store is not None and self._store.is_local

    def note_left_out(self, model: LoadedModel, left_out: list[LeftOut]) -> None:
        """Count what a ranking did without; log a failure the first time that it is seen."""
        for entry in left_out:
            if entry.error is not None:
                self.ranking_failed(model, entry.part, entry.error)
            else:
                self.metrics.left_out(entry.part, entry.why)

    def ranking_failed(self, model: LoadedModel, part: str, error: Exception) -> None:
        """Count a failed part of a ranking, and log it once for each version and reason."""
        self.metrics.left_out(part, "failure")
        failure = (model.version, part, type(error).__name__, str(error)[:200])
        if failure in self._failures_logged or len(self._failures_logged) >= _FAILURES_LOGGED:
            return
        self._failures_logged.add(failure)
        _log.error(
            "ranking failed",
            exc_info=error,
            extra={"model_version": model.version, "part": part, "error": f"{failure[2]}: {failure[3]}"},
        )

    def close(self) -> None:
        self.waiting_threads.shutdown()
        if self._store is not None:
            self._store.close()

    def _take_model(self) -> None:
        old = self.model
        current: CurrentVersion | None = None
        try:
            current = self._copies.current()
            if current is None:
                return
            if old is not None and (old.version, old.run_id) == (current.version, current.run_id):
                self.model_error = None
                return
            started = time.perf_counter()
            with _uncollected(is_first=old is None):
                loaded = self._loaded(current)
        except BundleError as error:
            self.model_error = str(error)
            _log.error(
                "version refused",
                extra={"model_version": current and current.version, "error": str(error)},
            )
            return
        self.model = loaded
        self.model_error = None
        self.metrics.model_loaded(current.version, None if old is None else old.version)
        seconds = round(time.perf_counter() - started, 3)
        _log.info("version loaded", extra={"model_version": current.version, "seconds": seconds})

    def _take_challenger(self) -> None:
        """Take the challenger there is now, or none: an old one would be compared under a new one's name."""
        self.challenger = self.challenger_error = None
        try:
            named = self._copies.named(self._copies.challenger_file)
            if named is not None:
                with _uncollected(is_first=self.model is None):
                    self.challenger = self._loaded(named)
        except BundleError as error:
            self.challenger_error = str(error)
            _log.error("challenger refused", extra={"error": str(error)})

    def _loaded(self, version: CurrentVersion) -> LoadedModel:
        """A version from its copy; BundleError if that cannot be used."""
        folder = self._copies.folder_of(version)
        if self.model is None:
            return self._loaded_from(folder, version, None)
        # Beside requests: slower, so that they are not, and one worker at a time.
        with self._copies.one_at_a_time(), resting():
            return self._loaded_from(folder, version, self.model.view)

    def _loaded_from(self, folder: Path, version: CurrentVersion, old: CatalogueView | None) -> LoadedModel:
        recommender = self._load(folder)
        return LoadedModel(
            version=version.version,
            run_id=version.run_id,
            loaded_at=now(),
            recommender=recommender,
            view=_view_of(recommender, old, self.settings),
        )

    def _take_histories(self) -> None:
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

    def _has_changed(self, name: str, path: Path) -> bool:
        """Whether a file is another one than at the last call; the first call says yes."""
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            mark = None
        if name in self._seen and self._seen[name] == mark:
            return False
        self._seen[name] = mark
        return True


class Watcher:
    """Refreshes a world every `watch_seconds` from a thread of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._world.settings.watch_seconds):
            try:
                self._world.refresh()
            except Exception:
                # The thread must outlive a defect: without it the worker would serve the old forever.
                _log.exception("refresh failed")


@contextmanager
def _uncollected(*, is_first: bool) -> Iterator[None]:
    """What is made in the block is not looked through for cycles, neither now nor later.

    A version holds a hundred thousand lists, and no cycle among them; to look through them holds every
    request up for a tenth of a second. What is garbage by now goes before, since it would stay as well; with
    the first version goes what compiling leaves, before there are requests.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
        if is_first:
            gc.collect()
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def _view_of(recommender: Ranks, old: CatalogueView | None, settings: Settings) -> CatalogueView:
    """A view of the recommender's catalogue, the old one where the catalogue is the same."""
    bases = settings.image_bases(recommender.manifest.image_base_url)
    if (
        old is not None
        and old.image_bases == bases
        and old.catalogue.frame.equals(recommender.catalogue.frame)
    ):
        return old
    return CatalogueView(recommender.catalogue, recommender.popular(len(recommender.catalogue)), bases)
