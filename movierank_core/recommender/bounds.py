"""Bounds of the arrays of a loaded state: compiled loops use them as indices without a check of their own."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.background import throttle
from movierank_core.features.movie_facts import WINDOW_DAYS, count_name
from movierank_core.retrieval.source import Arrays

PER_MOVIE: Final = (
    "n_events",
    *(count_name(days) for days in WINDOW_DAYS),
    "mean_rating",
    "like_share",
    "rating_std",
    "age_years",
    "days_known",
    "first_event",
    "release_year",
    "runtime_minutes",
    "genres",
    "n_genres",
    "language",
    "tmdb_vote_average_snapshot",
    "tmdb_vote_count_snapshot",
    "mean_log_position",
)
"""Arrays of movie states with one entry per catalogue row."""
SPARSE_ROWS: Final = ("", "far_")
"""Prefixes of the three arrays of sparse rows."""
_CHUNK: Final = 1 << 18
"""Maximum entries that are read between two pauses of a throttled thread."""


def check_source(name: str, arrays: Arrays, n_movies: int) -> None:
    """Raises ValueError for a source whose index arrays reach beyond the catalogue or one another.

    Arrays that no source of this package uses as indices are not read.
    """
    n_columns = n_movies
    if "movies" in arrays:
        movies = arrays["movies"]
        _require_within(f"{name}.movies", movies, 0, n_movies)
        if not bool((np.diff(movies) > 0).all()):
            raise ValueError(f"{name}.movies does not ascend")
        n_columns = len(movies)
    if "counts" in arrays and len(arrays["counts"]) != n_movies:
        raise ValueError(
            f"{name}.counts has {len(arrays['counts'])} entries, the catalogue {n_movies} movies"
        )
    if "factors" in arrays and len(arrays["factors"]) != n_columns:
        raise ValueError(f"{name}.factors has {len(arrays['factors'])} rows for {n_columns} movies")
    for key, n in (("log_hazard", n_columns), ("log_share", n_columns), ("log_base", n_movies)):
        if key in arrays and len(arrays[key]) != n:
            raise ValueError(f"{name}.{key} has {len(arrays[key])} entries for {n} movies")
    for prefix in SPARSE_ROWS:
        if f"{prefix}offsets" in arrays:
            offsets, indices, values = (
                arrays[f"{prefix}{part}"] for part in ("offsets", "indices", "values")
            )
            _require_offsets(f"{name}.{prefix}offsets", offsets, n_movies, len(indices))
            if len(values) != len(indices):
                raise ValueError(f"{name} has {len(values)} {prefix}values for {len(indices)} indices")
            _require_within(f"{name}.{prefix}indices", indices, 0, n_columns)


def check_movies(arrays: Arrays, n_movies: int) -> None:
    """Raises ValueError for movie states of another catalogue, or with offsets beyond their arrays."""
    for name in PER_MOVIE:
        if name in arrays and len(arrays[name]) != n_movies:
            raise ValueError(f"movies.{name} has {len(arrays[name])} entries for {n_movies} movies")
    if "director_offsets" in arrays:
        n_directors = len(arrays["directors"])
        _require_offsets("movies.director_offsets", arrays["director_offsets"], n_movies, n_directors)
        _require_within("movies.directors", arrays["directors"], 0, np.iinfo(np.int32).max)
    if "language" in arrays:
        _require_within("movies.language", arrays["language"], -1, np.iinfo(np.int32).max)


def _require_offsets(name: str, offsets: NDArray[np.integer], n_rows: int, n_entries: int) -> None:
    if len(offsets) != n_rows + 1 or offsets[0] != 0 or offsets[-1] != n_entries:
        raise ValueError(f"{name} does not divide {n_entries} entries among {n_rows} rows")
    if not bool((np.diff(offsets) >= 0).all()):
        raise ValueError(f"{name} descends")


def _require_within(name: str, indices: NDArray[np.integer], low: int, end: int) -> None:
    """Raises ValueError unless low <= index < end for each of `indices`."""
    for start in range(0, len(indices), _CHUNK):
        throttle()
        part = indices[start : start + _CHUNK]
        if part.min() < low or part.max() >= end:
            raise ValueError(
                f"{name} holds indices from {part.min()} to {part.max()}, beyond {low} to {end - 1}"
            )
