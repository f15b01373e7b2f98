"""TMDB facts for the movies of a data set, from the available sources.

Order of precedence per movie: API responses (requested now if there is a key, else the cached ones), the
metadata file by TMDB id, the metadata file by title and year, nothing.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from movierank_core.data.schema import TMDB_MOVIES
from movierank_core.manifest import IMAGE_BASE_URL
from movierank_pipeline.ingest.tmdb.cache import TmdbCache
from movierank_pipeline.ingest.tmdb.client import (
    KEY_VARIABLE,
    TOKEN_VARIABLE,
    RequestPolicy,
    TmdbAccess,
    TmdbClient,
)
from movierank_pipeline.ingest.tmdb.fetch import Asked, fetch_movies, image_base
from movierank_pipeline.ingest.tmdb.metadata_file import Wanted, read_metadata_file
from movierank_pipeline.ingest.tmdb.progress import Report
from movierank_pipeline.ingest.tmdb.title_match import all_titles, match_by_title

REFRESHES_A_DAY: Final = 3_000
"""Default number of refreshed movies per day; thirty days cover the largest MovieLens edition."""
HOW_TO_GET_MORE: Final = (
    f"for posters, plots and people set {TOKEN_VARIABLE} or {KEY_VARIABLE}, or give `--tmdb-file`"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetadataSettings:
    """The configured sources."""

    cache_file: Path
    """Cache of API responses."""
    access: TmdbAccess | None = None
    """Credentials of the API; None: the API is not used."""
    metadata_file: Path | None = None
    """A file with TMDB facts, for movies without an API response."""
    policy: RequestPolicy = field(default_factory=RequestPolicy)
    refreshes_a_day: int = REFRESHES_A_DAY
    """Maximum number of movies with outdated facts that are requested per UTC day."""

    @classmethod
    def from_environment(
        cls,
        home: Path,
        metadata_file: Path | None = None,
        policy: RequestPolicy | None = None,
        refreshes_a_day: int = REFRESHES_A_DAY,
    ) -> "MetadataSettings":
        """Sources from the environment: the API if a key is set, with its cache below `home`."""
        access = TmdbAccess.from_environment()
        cache_file = home / "tmdb_cache.db"
        return cls(cache_file, access, metadata_file, policy or RequestPolicy(), refreshes_a_day)


@dataclass(frozen=True)
class Metadata:
    """Facts of the requested movies."""

    frame: pl.DataFrame
    """TMDB_MOVIES, sorted by `tmdb_id`; movies without any source are missing."""
    source: str
    """One line: number of movies per source, or how to get facts."""
    counts: dict[str, int]
    """`wanted` (TMDB ids in the links), `from_api`, `from_file`, `by_title`, `gone`, `failed`, `refreshed`,
    `erased`: numbers of movies."""
    image_base: str = IMAGE_BASE_URL
    """Base URL of images: the part before size and path."""


def read_metadata(
    movies: pl.DataFrame, links: pl.DataFrame, settings: MetadataSettings, report: Report | None = None
) -> Metadata:
    """The facts of `movies` (MOVIES) by their `links` (LINKS), each from the first source that has it.

    A movie whose request failed is missing; the next run requests it again. Raises `ConfigError` if TMDB
    refuses the key, `DataError` for a file or a cache that cannot be used.
    """
    wanted = links["tmdb_id"].drop_nulls().unique().sort()
    asked, n_gone, n_erased, base = Asked(), 0, 0, IMAGE_BASE_URL
    frame = pl.DataFrame(schema=TMDB_MOVIES)
    if settings.access is not None or settings.cache_file.is_file():
        with TmdbCache(settings.cache_file) as cache:
            n_erased = cache.erase_old(datetime.now(UTC))
            if settings.access is not None:
                asked, base = _ask_all(settings.access, cache, wanted.to_list(), settings, report)
            else:
                base = image_base(None, cache)
            now = datetime.now(UTC)
            frame = cache.frame(wanted.to_list(), now)
            n_gone = len(cache.known(now)[1].intersection(wanted))
    n_from_api = frame.height
    films = frame
    if settings.metadata_file is not None:
        rest = wanted.filter(~wanted.is_in(frame["tmdb_id"].implode()))
        without = movies.join(links.join(frame, on="tmdb_id", how="semi"), on="movie_id", how="anti")
        titles = without.select(all_titles(pl.col("title")).alias("title")).explode("title")["title"].unique()
        in_file = read_metadata_file(settings.metadata_file, Wanted(rest, titles))
        films = pl.concat([frame, in_file.join(frame, on="tmdb_id", how="anti")])
        frame = films.filter(pl.col("tmdb_id").is_in(wanted.implode()))
    n_from_file = frame.height - n_from_api
    frame, n_by_title = _with_matches(movies, links, frame, films)
    counts = {
        "wanted": len(wanted),
        "from_api": n_from_api,
        "from_file": n_from_file,
        "by_title": n_by_title,
        "gone": n_gone,
        "failed": asked.n_failed,
        "refreshed": asked.n_refreshed,
        "erased": n_erased,
    }
    metadata = Metadata(frame, _described(counts, settings, asked), counts, base)
    _log.info("TMDB facts: %s", metadata.source)
    return metadata


def stored_image_base(settings: MetadataSettings) -> str:
    """Base URL of TMDB's images from the cache, else the default. Sends no request."""
    if not settings.cache_file.is_file():
        return IMAGE_BASE_URL
    with TmdbCache(settings.cache_file) as cache:
        return image_base(None, cache)


def _ask_all(
    access: TmdbAccess,
    cache: TmdbCache,
    tmdb_ids: list[int],
    settings: MetadataSettings,
    report: Report | None,
) -> tuple[Asked, str]:
    with TmdbClient(access, settings.policy) as client:
        asked = fetch_movies(client, cache, tmdb_ids, report, refreshes_a_day=settings.refreshes_a_day)
        is_there = asked.stopped_because is None
        return asked, image_base(client if is_there else None, cache)


def _with_matches(
    movies: pl.DataFrame, links: pl.DataFrame, frame: pl.DataFrame, films: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """`frame` plus the `films` that match by title a movie without a row, and the number of matches."""
    without = movies.join(links.join(frame, on="tmdb_id", how="semi"), on="movie_id", how="anti")["movie_id"]
    matches = match_by_title(movies, links, without, films)
    chosen = pl.concat([frame, films.join(matches, on="tmdb_id", how="semi")]).unique("tmdb_id")
    by_film = matches.group_by("tmdb_id").agg(pl.col("movie_id").sort().alias("matched_movie_ids"))
    marked = chosen.drop("matched_movie_ids").join(by_film, on="tmdb_id", how="left").sort("tmdb_id")
    return marked.match_to_schema(TMDB_MOVIES), matches.height


def _described(counts: dict[str, int], settings: MetadataSettings, asked: Asked) -> str:
    parts = []
    if settings.access is not None or counts["from_api"]:
        lost = f", {counts['gone']:,} gone" + (f", {asked.n_failed:,} failed" if asked.n_failed else "")
        parts.append(f"TMDB API {counts['from_api']:,}{lost}")
    if settings.metadata_file is not None:
        parts.append(f"{settings.metadata_file.name} {counts['from_file']:,}")
    if not parts:
        return f"none; {HOW_TO_GET_MORE}"
    if counts["by_title"]:
        parts.append(f"{counts['by_title']:,} more by title and year")
    stopped = f"; stopped asking: {asked.stopped_because}" if asked.stopped_because else ""
    return f"{'; '.join(parts)} (of {counts['wanted']:,} movies){stopped}"
