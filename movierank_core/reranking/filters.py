"""Business rules: which movies a request admits."""

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue


class Filters(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Every field is optional; None does not restrict. A movie that lacks a fact fails a filter on it."""

    genres_any: list[str] | None = None
    """At least one of these (upper or lower case)."""
    genres_all: list[str] | None = None
    """All of these."""
    genres_none: list[str] | None = None
    """None of these."""
    year_min: int | None = None
    year_max: int | None = None
    runtime_min: int | None = None
    """Minutes."""
    runtime_max: int | None = None
    """Minutes."""
    languages: list[str] | None = None
    """ISO 639-1 codes of the original language."""
    min_votes: int | None = None
    """Events (ratings and feedback) that the movie has, at least."""
    max_votes: int | None = None
    """And at most: what few know, found by what it is like."""
    exclude_movie_ids: list[int] | None = None


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
