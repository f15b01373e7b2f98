"""Why a movie is where it is, in short codes that follow from the model's own attribution.

A result's contributions (one per feature, Shapley values over the trees) are summed by family; the
families that raise the score most, in order, become codes.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.matrix import GenreTaste
from movierank_core.features.movie_state import MovieState
from movierank_core.features.registry import Feature

MAX_REASONS: Final = 3
PROFILE_FAMILY: Final = "your_profile"
"""Facts of the user alone: they shift all movies of a request and explain none of them."""
BECAUSE_FAMILIES: Final = ("liked_together", "watched_together", "watched_next", "taste_match")
"""Families in which one item of the history can be named as the one that counted most."""


def families_of(features: tuple[Feature, ...]) -> tuple[list[str], NDArray[np.int64]]:
    """Family names in order of first appearance, and the family number of every feature."""
    names = list(dict.fromkeys(feature.family for feature in features))
    return names, np.array([names.index(feature.family) for feature in features], np.int64)


def sum_by_family(
    contributions: NDArray[np.float64], family_numbers: NDArray[np.int64], n_families: int
) -> NDArray[np.float64]:
    """[n_results, n_families] from contributions [n_results, n_features]."""
    sums = np.zeros((n_families, len(contributions)))
    # Not by a product of matrices, whose last bit depends on how many results there are.
    np.add.at(sums, family_numbers, contributions.T)
    return sums.T


def reason_codes(
    families: list[str],
    contributions: NDArray[np.float64],
    *,
    rows: NDArray[np.int64],
    because: list[int | None],
    taste: GenreTaste,
    state: MovieState,
    genres: list[str],
) -> list[list[str]]:
    """The codes of every result, at most three each, the strongest first.

    `rows` are the results, `contributions` [n_results, n_families] theirs, and `because` the movie of the
    history that counted most for each. Only families with a positive contribution count. A family that
    speaks of genre, era or a history item is completed with which one; where there is none (no genre that
    the history has, no history item that counted), the family gives no reason.
    """
    order = np.argsort(-contributions, axis=1, kind="stable").tolist()
    values = contributions.tolist()
    matching = _matching_genres(rows, taste, state, genres)
    years = state.release_year[rows].tolist()
    return [
        _strongest(families, order[place], values[place], because[place], matching[place], years[place])
        for place in range(len(rows))
    ]


def _strongest(
    families: list[str],
    order: list[int],
    contributions: list[float],
    because_movie_id: int | None,
    genre: str | None,
    year: float,
) -> list[str]:
    codes: list[str] = []
    for position in order:
        if contributions[position] <= 0 or len(codes) == MAX_REASONS:
            break
        code = _code(families[position], because_movie_id, genre, year)
        if code is not None and code not in codes:
            codes.append(code)
    return codes


def _code(family: str, because_movie_id: int | None, genre: str | None, year: float) -> str | None:
    if family == PROFILE_FAMILY:
        return None
    if family in BECAUSE_FAMILIES:
        return None if because_movie_id is None else f"because_you_liked:{because_movie_id}"
    if family == "genre_match":
        return None if genre is None else f"genre_match:{genre.lower().replace(' ', '_')}"
    if family == "era_match":
        return None if math.isnan(year) else f"era_match:{int(year) // 10 * 10}s"
    return family


def _matching_genres(
    rows: NDArray[np.int64], taste: GenreTaste, state: MovieState, genres: list[str]
) -> list[str | None]:
    """Each movie's genre that the history shares most: by share of the history, then by its ratings."""
    if not genres:
        return [None] * len(rows)
    shared = (state.genres[rows] > 0) & (taste.share > 0)
    best = np.where(shared, taste.appeal, -np.inf).argmax(axis=1)
    is_shared = shared[np.arange(len(rows)), best].tolist()
    return [genres[number] if there else None for number, there in zip(best.tolist(), is_shared, strict=True)]
