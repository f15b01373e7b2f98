"""TMDB facts for the movies of a data set, from whichever source is there.

In this order, movie by movie: the API's answers (asked for now if there is a key, else those that are
still on disk), the metadata file, nothing.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from movierank_core.errors import ConfigError
from movierank_core.schema import TMDB_MOVIES
from movierank_pipeline.sources.tmdb_answers import MovieFacts
from movierank_pipeline.sources.tmdb_cache import TmdbCache
from movierank_pipeline.sources.tmdb_client import (
    KEY_VARIABLE,
    TOKEN_VARIABLE,
    RequestPolicy,
    TmdbAccess,
    TmdbClient,
    TmdbUnavailableError,
)
from movierank_pipeline.sources.tmdb_file import read_metadata_file

_N_THREADS: Final = 8
_FAILURES_IN_A_ROW: Final = 10
"""After which TMDB counts as out of reach for this time."""

_log = logging.getLogger(__name__)

CountProgress = Callable[[int, int], None]
"""Told, as work goes on: movies answered for, movies in all."""


@dataclass(frozen=True)
class MetadataSettings:
    """Which sources there are. `from_environment` and the arguments of `movierank` fill it."""

    cache_file: Path
    """Where answers of the API are kept."""
    access: TmdbAccess | None = None
    """How to reach the API; None: it is not asked."""
    metadata_file: Path | None = None
    """A file with TMDB facts, for movies that the API's answers leave out."""
    policy: RequestPolicy = field(default_factory=RequestPolicy)

    @classmethod
    def from_environment(cls, home: Path, metadata_file: Path | None = None) -> "MetadataSettings":
        """The API as `TMDB_ACCESS_TOKEN` or `TMDB_API_KEY` allow, its answers kept below `home`."""
        return cls(home / "tmdb_cache.db", TmdbAccess.from_environment(), metadata_file)


@dataclass
class Asked:
    """How asking the API went."""

    n_found: int = 0
    n_gone: int = 0
    n_failed: int = 0
    stopped_because: str | None = None
    """Why not every movie was asked for, None if all were."""


@dataclass(frozen=True)
class Metadata:
    """What is known of the movies asked for."""

    frame: pl.DataFrame
    """TMDB_MOVIES, by `tmdb_id`; movies that no source has are not in it."""
    source: str
    """One line: which sources gave how much, or how to get more."""
    counts: dict[str, int]
    """`wanted`, `from_api`, `from_file`, `gone`, `failed`."""


def read_metadata(
    tmdb_ids: pl.Series, settings: MetadataSettings, progress: CountProgress | None = None
) -> Metadata:
    """The facts of `tmdb_ids` (nulls and repetitions are passed over), each from its first source.

    Failures of single movies leave them out, to be asked for next time. Raises `ConfigError` when TMDB
    refuses the key, `DataError` for a file or a cache that cannot be used.
    """
    wanted = tmdb_ids.drop_nulls().unique().sort()
    asked = Asked()
    frame, n_gone = pl.DataFrame(schema=TMDB_MOVIES), 0
    if settings.access is not None or settings.cache_file.is_file():
        with TmdbCache(settings.cache_file) as cache:
            if settings.access is not None:
                with TmdbClient(settings.access, settings.policy, _N_THREADS) as client:
                    asked = ask(client, cache, wanted.to_list(), progress)
            now = datetime.now(UTC)
            frame = cache.frame(wanted.to_list(), now)
            n_gone = len(cache.known(now)[1].intersection(wanted))
    n_from_api = frame.height
    if settings.metadata_file is not None:
        rest = wanted.filter(~wanted.is_in(frame["tmdb_id"].implode()))
        frame = pl.concat([frame, read_metadata_file(settings.metadata_file, rest).frame]).sort("tmdb_id")
    counts = {
        "wanted": len(wanted),
        "from_api": n_from_api,
        "from_file": frame.height - n_from_api,
        "gone": n_gone,
        "failed": asked.n_failed,
    }
    metadata = Metadata(frame, _described(counts, settings, asked), counts)
    _log.info("TMDB facts: %s", metadata.source)
    return metadata


def _described(counts: dict[str, int], settings: MetadataSettings, asked: Asked) -> str:
    parts = []
    if settings.access is not None or counts["from_api"]:
        lost = f", {counts['gone']:,} gone" + (f", {asked.n_failed:,} failed" if asked.n_failed else "")
        parts.append(f"TMDB API {counts['from_api']:,}{lost}")
    if settings.metadata_file is not None:
        parts.append(f"{settings.metadata_file.name} {counts['from_file']:,}")
    if not parts:
        more = f"set {TOKEN_VARIABLE} or {KEY_VARIABLE}, or give `--tmdb-file`"
        return f"none; for posters, plots and people {more}"
    stopped = f"; stopped asking: {asked.stopped_because}" if asked.stopped_because else ""
    return f"{'; '.join(parts)} (of {counts['wanted']:,} movies){stopped}"


def ask(
    client: TmdbClient, cache: TmdbCache, tmdb_ids: list[int], progress: CountProgress | None = None
) -> Asked:
    """Asks for those movies whose answers are missing or too old, and keeps each answer as it arrives.

    Gives up when many in a row fail. Raises `ConfigError` when TMDB refuses the key, once the answers that
    were under way are kept.
    """
    found, gone = cache.known(datetime.now(UTC))
    queue = [tmdb_id for tmdb_id in tmdb_ids if tmdb_id not in found and tmdb_id not in gone]
    total, upcoming = len(queue), iter(queue)
    asked, failures_in_a_row, refusal = Asked(), 0, None
    pending: dict[Future[MovieFacts | None], int] = {}
    with ThreadPoolExecutor(_N_THREADS, "tmdb") as pool:
        while True:
            while refusal is None and asked.stopped_because is None and len(pending) < 2 * _N_THREADS:
                tmdb_id = next(upcoming, None)
                if tmdb_id is None:
                    break
                pending[pool.submit(client.movie, tmdb_id)] = tmdb_id
            if not pending:
                break
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                tmdb_id = pending.pop(future)
                if future.cancelled():
                    continue
                try:
                    facts = future.result()
                except TmdbUnavailableError as error:
                    asked.n_failed += 1
                    failures_in_a_row += 1
                    if failures_in_a_row >= _FAILURES_IN_A_ROW:
                        asked.stopped_because = f"{failures_in_a_row} movies in a row failed ({error})"
                except ConfigError as error:
                    refusal = error
                else:
                    failures_in_a_row = 0
                    cache.put(tmdb_id, facts, datetime.now(UTC))
                    asked.n_found += facts is not None
                    asked.n_gone += facts is None
                if progress is not None:
                    progress(asked.n_found + asked.n_gone + asked.n_failed, total)
            if refusal is not None or asked.stopped_because is not None:
                for future in pending:
                    future.cancel()
    if refusal is not None:
        raise refusal
    return asked
