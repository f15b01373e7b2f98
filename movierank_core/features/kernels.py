"""The loops of `assemble` over candidates, compiled by numba."""

from typing import Final

import numpy as np
from numba import njit

ERA_WIDTH_YEARS: Final = 5.0
_WIDEST: Final = 40
"""Years beyond which a film is of another era altogether: the Gaussian is below 1e-13 there."""
_NEARNESS: Final = np.exp(-0.5 * (np.arange(_WIDEST + 1) / ERA_WIDTH_YEARS) ** 2)


@njit(cache=True, nogil=True)
def ranks_among(scores, added, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n_sources, n_added] with the log of the rank that each added score would have among `scores`
    [n_sources, n], from 1; equal scores come before it."""
    for source in range(len(scores)):
        for place in range(added.shape[1]):
            n_before = 0
            for score in scores[source]:
                n_before += score >= added[source, place]
            out[source, place] = np.log(n_before + 1.0)


@njit(cache=True, nogil=True)
def match_genres(genres, rows, n_genres, taste, recent_taste, preferences, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [4, n] with the cosines with both tastes, and the mean and the least preference.

    `genres` are the unit rows of `MovieState.genres`; a movie without genres matches nothing: zeros.
    """
    for place in range(len(rows)):
        of_movie = genres[rows[place]]
        cosine, recent_cosine, total, least = np.float32(0), np.float32(0), np.float32(0), np.float32(np.inf)
        for genre in range(len(taste)):
            if of_movie[genre] > 0:
                cosine += of_movie[genre] * taste[genre]
                recent_cosine += of_movie[genre] * recent_taste[genre]
                total += preferences[genre]
                least = min(least, preferences[genre])
        out[0, place] = cosine
        out[1, place] = recent_cosine
        out[2, place] = total / max(n_genres[rows[place]], np.float32(1))
        out[3, place] = least if least < np.inf else np.float32(0)


@njit(cache=True, nogil=True)
def era_shares(years, history_years, out):  # type: ignore[no-untyped-def]  # numba
    """Share of the history per candidate year, weighted by a Gaussian of the distance in whole years.

    NaN for an unknown year; 0 where no year of the history is known.
    """
    known = history_years[~np.isnan(history_years)].astype(np.int64)
    n = len(known)
    first = (known.min() if n else 0) - _WIDEST
    share = np.zeros((known.max() if n else 0) + _WIDEST + 1 - first)
    counts = np.zeros(len(share))
    for year in known:
        counts[year - first] += 1.0
    for at in range(_WIDEST, len(share) - _WIDEST):
        if counts[at] > 0:
            for distance in range(-_WIDEST, _WIDEST + 1):
                share[at + distance] += counts[at] * _NEARNESS[abs(distance)]
    for place in range(len(years)):
        if np.isnan(years[place]):
            out[place] = np.nan
        else:
            at = int(years[place]) - first
            out[place] = share[at] / max(n, 1) if 0 <= at < len(share) else 0.0


@njit(cache=True, nogil=True)
def director_preferences(rows, history, centred, offsets, directors, out):  # type: ignore[no-untyped-def]  # numba
    """Per candidate, one plus the centred rating summed over the history's movies of its directors."""
    n = 0
    for row in history:
        n += offsets[row + 1] - offsets[row]
    numbers, weights = np.empty(n, np.int64), np.empty(n)
    n = 0
    for place in range(len(history)):
        for number in directors[offsets[history[place]] : offsets[history[place] + 1]]:
            numbers[n], weights[n] = number, 1.0 + centred[place]
            n += 1
    order = np.argsort(numbers, kind="mergesort")
    numbers = numbers[order]
    for place in range(len(rows)):
        total = 0.0
        for number in directors[offsets[rows[place]] : offsets[rows[place] + 1]]:
            at = np.searchsorted(numbers, number)
            while at < n and numbers[at] == number:
                total += weights[order[at]]
                at += 1
        out[place] = total
