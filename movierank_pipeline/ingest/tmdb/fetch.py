"""Requests many movies from the API: missing ones, then outdated ones, then failed ones."""

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from movierank_core.manifest import IMAGE_BASE_URL
from movierank_pipeline.ingest.tmdb.cache import TmdbCache
from movierank_pipeline.ingest.tmdb.client import TmdbBusyError, TmdbClient, TmdbUnavailableError
from movierank_pipeline.ingest.tmdb.progress import AskProgress, Report

_FAILURES_IN_A_ROW: Final = 10
"""Consecutive failures after which TMDB counts as unreachable."""
_FRUITLESS_ROUNDS: Final = 2
"""Maximum retry rounds without a success before this run gives up on the failed movies."""


@dataclass
class Asked:
    """Result counts of one run."""

    n_found: int = 0
    n_gone: int = 0
    n_failed: int = 0
    n_refreshed: int = 0
    """Number of found or gone movies that replaced outdated facts."""
    stopped_because: str | None = None
    """Why some movies were not requested; None if all were."""


def fetch_movies(
    client: TmdbClient,
    cache: TmdbCache,
    tmdb_ids: Sequence[int],
    report: Report | None = None,
    *,
    refreshes_a_day: int,
) -> Asked:
    """Requests movies without a response, then movies with outdated facts, and stores each response.

    Movies that failed in an earlier run come last. Outdated facts are refreshed oldest first, at most
    `refreshes_a_day` per UTC day. Failed movies are retried at the end, as long as a round has a success.
    After many consecutive failures all threads wait for TMDB; this run gives up if no request has succeeded
    before, or after `patience_seconds`. The remaining movies are requested by the next run.

    Raises `ConfigError` if TMDB refuses the key; responses received so far stay stored.
    """
    now = datetime.now(UTC)
    found, gone = cache.known(now)
    failed = cache.failed()
    missing = [tmdb_id for tmdb_id in dict.fromkeys(tmdb_ids) if tmdb_id not in found and tmdb_id not in gone]
    wanted = set(tmdb_ids)
    budget = max(0, refreshes_a_day - cache.n_refreshed(now))
    old = [tmdb_id for tmdb_id in cache.to_refresh(now) if tmdb_id in wanted][:budget]
    return _Asking(client, cache, set(old), report).run(sorted([*missing, *old], key=failed.__contains__))


class _Asking:
    """State of one run."""

    def __init__(self, client: TmdbClient, cache: TmdbCache, old: set[int], report: Report | None) -> None:
        self._client, self._cache, self._old, self._report = client, cache, old, report
        self._asked, self._failed, self._total = Asked(), set[int](), 0
        self._last_success: float | None = None

    def run(self, tmdb_ids: list[int]) -> Asked:
        self._total = len(tmdb_ids)
        n_threads = self._client.policy.connections
        with ThreadPoolExecutor(n_threads, "tmdb") as pool:
            try:
                self._round(pool, tmdb_ids, is_first=True)
                n_fruitless = 0
                while (
                    self._failed and self._asked.stopped_because is None and n_fruitless < _FRUITLESS_ROUNDS
                ):
                    before = len(self._failed)
                    self._round(pool, sorted(self._failed), is_first=False)
                    n_fruitless = n_fruitless + 1 if len(self._failed) == before else 0
            except BaseException:
                self._client.stop()  # Otherwise the workers would finish all their attempts first.
                raise
        self._asked.n_failed = len(self._failed)
        return self._asked

    def _round(self, pool: ThreadPoolExecutor, tmdb_ids: list[int], *, is_first: bool) -> None:
        """Requests each movie, with the attempts that the policy allows."""
        upcoming = iter(tmdb_ids)
        pending: dict[Future[bool], int] = {}
        failures_in_a_row = 0
        while self._asked.stopped_because is None:
            while len(pending) < 2 * self._client.policy.connections:
                tmdb_id = next(upcoming, None)
                if tmdb_id is None:
                    break
                pending[pool.submit(self._ask_for, tmdb_id)] = tmdb_id
            if not pending:
                break
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                tmdb_id = pending.pop(future)
                try:
                    self._count(tmdb_id, future.result())
                    failures_in_a_row = 0
                except TmdbBusyError as error:
                    self._fail(tmdb_id)
                    self._asked.stopped_because = str(error)
                except TmdbUnavailableError as error:
                    self._fail(tmdb_id)
                    failures_in_a_row += 1
                    if failures_in_a_row % _FAILURES_IN_A_ROW == 0:
                        self._out_of_reach(f"{failures_in_a_row} movies in a row failed ({error})", is_first)
                if self._report is not None:
                    n_failed = len(self._failed)
                    self._report(AskProgress(self._total, self._asked.n_found, self._asked.n_gone, n_failed))
        if pending:
            self._client.stop()
            for future, tmdb_id in pending.items():
                if not future.cancel():
                    try:
                        self._count(tmdb_id, future.result())
                    except TmdbUnavailableError:
                        self._fail(tmdb_id)

    def _ask_for(self, tmdb_id: int) -> bool:
        """Requests one movie and stores the response; returns whether TMDB has it. Runs in the thread
        pool."""
        facts = self._client.movie(tmdb_id)
        self._cache.put(tmdb_id, facts, datetime.now(UTC))
        if tmdb_id in self._old:
            self._cache.count_refresh(datetime.now(UTC))
        return facts is not None

    def _count(self, tmdb_id: int, is_found: bool) -> None:
        self._failed.discard(tmdb_id)
        self._asked.n_found += is_found
        self._asked.n_gone += not is_found
        self._asked.n_refreshed += tmdb_id in self._old
        self._last_success = time.monotonic()

    def _fail(self, tmdb_id: int) -> None:
        self._failed.add(tmdb_id)
        self._cache.put_failure(tmdb_id, datetime.now(UTC))

    def _out_of_reach(self, reason: str, is_first: bool) -> None:
        """Waits until TMDB is reachable again, or gives up this run."""
        policy = self._client.policy
        if self._last_success is None or time.monotonic() - self._last_success > policy.patience_seconds:
            self._asked.stopped_because = reason
        elif is_first:
            self._client.hold(policy.longest_pause_seconds)


def image_base(client: TmdbClient | None, cache: TmdbCache) -> str:
    """Base URL of TMDB's images: the stored value, else TMDB's current value (then stored), else the default.

    Raises `ConfigError` if TMDB refuses the key.
    """
    now = datetime.now(UTC)
    base = cache.image_base(now)
    if base is None and client is not None:
        try:
            base = client.image_base()
            cache.put_image_base(base, now)
        except TmdbUnavailableError:
            pass
    return base or IMAGE_BASE_URL
