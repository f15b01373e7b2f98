"""Reason codes: the families of features that raise a movie's score most.

The contributions of a result (one Shapley value per feature) are summed by family. `/rank` and `/explain` use
the same values, so the codes always agree with the contributions.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.blocks.genre import GenreTaste
from movierank_core.features.feature import Feature
from movierank_core.features.movie_state import MovieState
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source

MAX_REASONS: Final = 3
"""Maximum codes per result."""
PROFILE_FAMILY: Final = "your_profile"
"""Facts about the user alone: they shift all movies of a request alike, so they give no reason."""
BECAUSE_FAMILIES: Final = ("liked_together", "watched_together", "watched_next")
"""Families of item-to-item sources whose reason names a movie of the history."""
_BECAUSE: Final = "because_you_liked:"


class Because(NamedTuple):
    """The history item behind a family's contribution to one result."""

    family: str
    movie_id: int


def families_of(features: tuple[Feature, ...]) -> tuple[list[str], NDArray[np.int64]]:
    """Family names in order of first appearance, and per feature the index of its family."""
    names = list(dict.fromkeys(feature.family for feature in features))
    return names, np.array([names.index(feature.family) for feature in features], np.int64)


def sum_by_family(
    contributions: NDArray[np.float64], family_of: NDArray[np.int64], n_families: int
) -> NDArray[np.float64]:
    """[n_results, n_families] from contributions [n_results, n_features]."""
    sums = np.zeros((n_families, len(contributions)))
    # Not a product of matrices: its last bit depends on the number of results.
    np.add.at(sums, family_of, contributions.T)
    return sums.T


class BecauseSource(NamedTuple):
    """A source that may name a history item, with its features."""

    source: Source
    features: NDArray[np.int64]
    """Feature columns that belong to this source alone."""


def because_sources(sources: Mapping[str, Source], features: tuple[Feature, ...]) -> list[BecauseSource]:
    """The sources of `BECAUSE_FAMILIES` that have features in the model."""
    found = []
    for name, source in sources.items():
        columns = [column for column, feature in enumerate(features) if feature.source == name]
        if columns and source.family in BECAUSE_FAMILIES:
            found.append(BecauseSource(source, np.array(columns, np.int64)))
    return found


def because_items(
    sources: list[BecauseSource],
    query: Query,
    rows: NDArray[np.int64],
    movie_ids: NDArray[np.int64],
    per_feature: NDArray[np.float64],
    families: list[str],
    per_family: NDArray[np.float64],
) -> list[Because | None]:
    """For each result, the liked history item behind the leading family of `BECAUSE_FAMILIES`.

    The sources of that family are tried by the descending sum of their features' contributions. Only positive
    contributions count. Among the liked movies of the history, the item with the largest share of the
    source's score is named. None if no source of the family can name one.

    `rows` are the catalogue rows of the results; `per_feature` is [n_results, n_features] and `per_family`
    [n_results, n_families].
    """
    found: list[Because | None] = [None] * len(rows)
    if not sources or not query.is_liked.any():
        return found
    # 1. [n_results, n_sources]: the contributions of each source, and those of its family.
    own = np.stack([per_feature[:, source.features].sum(axis=1) for source in sources], axis=1)
    of_family = per_family[:, [families.index(source.source.family) for source in sources]]
    # 2. The sources of the leading family, by their own contribution; the others are never asked.
    is_usable = (own > 0) & (of_family > 0)
    is_usable &= of_family == np.where(is_usable, of_family, -np.inf).max(axis=1, keepdims=True)
    preference = np.lexsort((-own, ~is_usable), axis=1).tolist()
    n_usable = is_usable.sum(axis=1).tolist()
    # 3. Ask every result's first source, then the second source of the results still open, and so on.
    attempt = 0
    still_open = [i for i in range(len(rows)) if n_usable[i] > 0]
    while still_open:
        asked: dict[int, list[int]] = {}
        for i in still_open:
            asked.setdefault(preference[i][attempt], []).append(i)
        for index, results in asked.items():
            source = sources[index].source
            items = source.attribute(query, rows[results], np.full(len(results), -1, np.int64))
            for i, item in zip(results, items.tolist(), strict=True):
                if item >= 0:
                    found[i] = Because(source.family, int(movie_ids[query.rows[item]]))
        attempt += 1
        still_open = [i for i in still_open if found[i] is None and attempt < n_usable[i]]
    return found


def reason_codes(
    families: list[str],
    contributions: NDArray[np.float64],
    *,
    rows: NDArray[np.int64],
    because: list[Because | None],
    taste: GenreTaste,
    state: MovieState,
    genres: list[str],
) -> list[list[str]]:
    """The codes of every result, at most three each, the strongest first.

    `rows` are the catalogue rows of the results and `contributions` [n_results, n_families]. Only families
    with a positive contribution give a reason. The code of a genre, an era or a history item names it. A
    family without one (no genre in common with the history, no release year, no history item) gives none.
    """
    order = np.argsort(-contributions, axis=1, kind="stable").tolist()
    values = contributions.tolist()
    matching = _matching_genres(rows, taste, state, genres)
    years = state.release_year[rows].tolist()
    return [
        _strongest(families, order[i], values[i], because[i], matching[i], years[i]) for i in range(len(rows))
    ]


def _strongest(
    families: list[str],
    order: list[int],
    contributions: list[float],
    because: Because | None,
    genre: str | None,
    year: float,
) -> list[str]:
    codes: list[str] = []
    for family in order:
        if contributions[family] <= 0 or len(codes) == MAX_REASONS:
            break
        code = _code(families[family], because, genre, year)
        if code is not None:
            codes.append(code)
    return codes


def _code(family: str, because: Because | None, genre: str | None, year: float) -> str | None:
    if family == PROFILE_FAMILY:
        return None
    if family in BECAUSE_FAMILIES:
        if because is None or because.family != family:
            return None
        return f"{_BECAUSE}{because.movie_id}"
    if family == "genre_match":
        return None if genre is None else f"genre_match:{genre.lower().replace(' ', '_')}"
    if family == "era_match":
        return None if math.isnan(year) else f"era_match:{int(year) // 10 * 10}s"
    return family


def without_movies(codes: list[str]) -> list[str]:
    """The codes that name no movie of the history, in their order."""
    return [code for code in codes if not code.startswith(_BECAUSE)]


def _matching_genres(
    rows: NDArray[np.int64], taste: GenreTaste, state: MovieState, genres: list[str]
) -> list[str | None]:
    """Per movie, its genre that the history shares most: by share of the history, then by its ratings."""
    if not genres:
        return [None] * len(rows)
    shared = (state.genres[rows] > 0) & (taste.share > 0)
    best = np.where(shared, taste.appeal, -np.inf).argmax(axis=1)
    is_shared = shared[np.arange(len(rows)), best].tolist()
    return [genres[genre] if there else None for genre, there in zip(best.tolist(), is_shared, strict=True)]
