"""Business rules: which movies a request may show.

`eligible_rows` is the one rule for rankings, training rows and evaluation; `broken_rules` names the parts of
it that a movie breaks.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.retrieval.query import Query


class Filters(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Every field is optional; None does not restrict. A movie with an unknown value fails its filter."""

    genres_any: Annotated[
        list[str] | None, Meta(description="The movie has at least one of these genres; case is ignored.")
    ] = None
    genres_all: Annotated[list[str] | None, Meta(description="The movie has all of these genres.")] = None
    genres_none: Annotated[list[str] | None, Meta(description="The movie has none of these genres.")] = None
    year_min: Annotated[int | None, Meta(description="Minimum release year.")] = None
    year_max: Annotated[int | None, Meta(description="Maximum release year.")] = None
    runtime_min: Annotated[int | None, Meta(description="Minimum runtime, in minutes.")] = None
    runtime_max: Annotated[int | None, Meta(description="Maximum runtime, in minutes.")] = None
    languages: Annotated[
        list[str] | None, Meta(description="ISO 639-1 codes of the original language; one must match.")
    ] = None
    min_votes: Annotated[
        int | None, Meta(description="Minimum number of events (ratings and feedback) of the movie.")
    ] = None
    max_votes: Annotated[
        int | None,
        Meta(description="Maximum number of events of the movie, to find little-known movies."),
    ] = None
    exclude_movie_ids: Annotated[list[int] | None, Meta(description="These movies are left out.")] = None


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
    A movie that is released after the request's moment is eligible only if it has an event. `n_events` has
    one entry per catalogue row: the events before the moment of the fit.
    """
    mask = exists_at(query.as_of, catalogue, n_events)
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
    """Each rule of `eligible_rows` that excludes the row by itself.

    `hidden`, `seen`, `unreleased`, `filters.<field>`; empty exactly if the row is eligible. A hidden movie is
    not called seen as well.
    """
    rules = []
    if row in query.hidden:
        rules.append("hidden")
    elif exclude_seen and row in query.excluded:
        rules.append("seen")
    if not exists_at(query.as_of, catalogue, n_events)[row]:
        rules.append("unreleased")
    for name, value in ({} if filters is None else msgspec.structs.asdict(filters)).items():
        if value is not None and not admitted(Filters(**{name: value}), catalogue, n_events)[row]:
            rules.append(f"filters.{name}")
    return rules


def exists_at(as_of: int, catalogue: Catalogue, n_events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Per catalogue row, whether the movie is released before `as_of` (seconds since 1970) or has an event.

    Release dates may be wrong, and an event proves that a movie exists. An unknown date counts as released.
    """
    if catalogue.last_release < as_of:
        return np.ones(len(catalogue), np.bool_)
    return (catalogue.released_at < as_of) | (n_events > 0)


def admitted(filters: Filters, catalogue: Catalogue, n_events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Per catalogue row, whether it passes every filter. Reads `Catalogue.facets`, never the table."""
    facets = catalogue.facets
    mask = np.ones(len(catalogue), np.bool_)
    if filters.genres_any is not None:
        mask &= facets.has_genres_of(filters.genres_any)[0]
    if filters.genres_all is not None:
        mask &= facets.has_genres_of(filters.genres_all)[1]
    if filters.genres_none is not None:
        mask &= facets.has_genres & ~facets.has_genres_of(filters.genres_none)[0]
    if filters.languages is not None:
        mask &= facets.is_in_language(filters.languages)
    for values, low, high in (
        (facets.release_years, filters.year_min, filters.year_max),
        (facets.runtime_minutes, filters.runtime_min, filters.runtime_max),
        (n_events, filters.min_votes, filters.max_votes),
    ):
        # A comparison with NaN, the unknown value, is false.
        if low is not None:
            mask &= values >= low
        if high is not None:
            mask &= values <= high
    if filters.exclude_movie_ids:
        rows = catalogue.rows_of(filters.exclude_movie_ids)
        mask[rows[rows >= 0]] = False
    return mask
