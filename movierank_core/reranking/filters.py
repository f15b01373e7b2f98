"""Business rules: which movies a request may show.

`eligible_rows` is the one rule for rankings, training rows and evaluation; `broken_rules` names the parts of
it that a movie breaks.
"""

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.retrieval.query import Query


class Filters(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Filters of a request; None does not restrict. A movie whose fact is missing fails a filter on it."""

    genres_any: list[str] | None = None
    """The movie has at least one of these genres (upper or lower case)."""
    genres_all: list[str] | None = None
    """The movie has all of these genres."""
    genres_none: list[str] | None = None
    """The movie has none of these genres."""
    year_min: int | None = None
    year_max: int | None = None
    runtime_min: int | None = None
    """Minutes."""
    runtime_max: int | None = None
    """Minutes."""
    languages: list[str] | None = None
    """ISO 639-1 codes of the original language."""
    min_votes: int | None = None
    """Minimum events (ratings and feedback) of the movie."""
    max_votes: int | None = None
    """Maximum events of the movie; a low one finds little-known movies by their content."""
    exclude_movie_ids: list[int] | None = None


def eligible_rows(
    query: Query,
    catalogue: Catalogue,
    n_events: NDArray[np.float32],
    *,
    exclude_seen: bool = True,
    filters: Filters | None = None,
) -> NDArray[np.bool_]:
    """Per catalogue row, whether the request may show it.

    Hidden movies are never eligible, seen ones only without `exclude_seen`, and all must pass the filters.
    `n_events` has one entry per catalogue row.
    """
    mask = np.ones(len(catalogue), np.bool_)
    mask[query.excluded if exclude_seen else query.hidden] = False
    if filters is not None:
        mask &= admitted(filters, catalogue, n_events)
    return mask


def broken_rules(
    row: int,
    query: Query,
    catalogue: Catalogue,
    n_events: NDArray[np.float32],
    *,
    exclude_seen: bool = True,
    filters: Filters | None = None,
) -> list[str]:
    """Each rule of `eligible_rows` that excludes the row by itself: `hidden`, `seen`, `filters.<field>`.

    Empty exactly if the row is eligible. A hidden movie is not called seen as well.
    """
    rules = []
    if not eligible_rows(query, catalogue, n_events, exclude_seen=False)[row]:
        rules.append("hidden")
    elif not eligible_rows(query, catalogue, n_events, exclude_seen=exclude_seen)[row]:
        rules.append("seen")
    for name, value in ({} if filters is None else msgspec.structs.asdict(filters)).items():
        if value is not None and not admitted(Filters(**{name: value}), catalogue, n_events)[row]:
            rules.append(f"filters.{name}")
    return rules


def admitted(filters: Filters, catalogue: Catalogue, n_events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Per catalogue row, whether it passes every filter."""
    genres = pl.col("genres").list.eval(pl.element().str.to_lowercase())
    conditions: list[pl.Expr] = []
    if filters.genres_any is not None:
        conditions.append(genres.list.set_intersection(_lower(filters.genres_any)).list.len() > 0)
    if filters.genres_all is not None:
        wanted = _lower(filters.genres_all)
        conditions.append(genres.list.set_intersection(wanted).list.len() == len(set(wanted)))
    if filters.genres_none is not None:
        conditions.append(genres.list.set_intersection(_lower(filters.genres_none)).list.len() == 0)
    for column, low, high in (
        ("release_year", filters.year_min, filters.year_max),
        ("runtime_minutes", filters.runtime_min, filters.runtime_max),
    ):
        if low is not None:
            conditions.append(pl.col(column) >= low)
        if high is not None:
            conditions.append(pl.col(column) <= high)
    if filters.languages is not None:
        conditions.append(pl.col("original_language").is_in(_lower(filters.languages)))
    if filters.exclude_movie_ids is not None:
        conditions.append(~pl.col("movie_id").is_in(filters.exclude_movie_ids))
    mask = np.ones(len(catalogue), np.bool_)
    if conditions:
        passes = catalogue.frame.select(pl.all_horizontal(conditions).fill_null(False)).to_series()
        mask &= passes.to_numpy()
    if filters.min_votes is not None:
        mask &= n_events >= filters.min_votes
    if filters.max_votes is not None:
        mask &= n_events <= filters.max_votes
    return mask


def _lower(names: list[str]) -> list[str]:
    return [name.lower() for name in names]
