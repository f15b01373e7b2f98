"""The loops of `assemble`, compiled by numba.

Most of what a request costs besides retrieval and trees would be the starting of small array operations; a
compiled loop over candidates does all of theirs in one go.
"""

from typing import Final

import numpy as np
from numba import njit

GENRE_PRIOR_WEIGHT: Final = 3.0
RECENT_MOVIES: Final = 5
ERA_WIDTH_YEARS: Final = 5.0
_WIDEST: Final = 40
"""Years beyond which a film is of another era altogether: the Gaussian is below 1e-13 there."""
_NEARNESS: Final = np.exp(-0.5 * (np.arange(_WIDEST + 1) / ERA_WIDTH_YEARS) ** 2)


@njit(cache=True, nogil=True)
def standardise(scores, n_fused, out, keys):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n_sources, n] with z-scores by mean and deviation of the first `n_fused`, 0 where these do
    not vary, and keys [n_sources, n_fused] with numbers that ascend as the scores descend, ties by place: the
    bits of the score, as `selection.descending` has them, above those of the place."""
    bits = scores.view(np.uint32)
    for source in range(len(scores)):
        # In double precision, or equal scores would not come out as equal to their mean.
        mean, squares = 0.0, 0.0
        for place in range(n_fused):
            mean += scores[source, place]
        mean /= max(n_fused, 1)
        for place in range(n_fused):
            squares += (scores[source, place] - mean) ** 2
        deviation = np.sqrt(squares / max(n_fused, 1))
        scale = 1.0 / deviation if deviation > 1e-9 else 0.0
        for place in range(scores.shape[1]):
            out[source, place] = (scores[source, place] - mean) * scale
        for place in range(n_fused):
            of_score = bits[source, place] if scores[source, place] != 0 else np.uint32(0)  # -0 is 0.
            ascending = ~of_score if of_score >> np.uint32(31) else of_score | np.uint32(1 << 31)
            keys[source, place] = np.uint64(np.uint32(~ascending)) << np.uint64(32) | np.uint64(place)


@njit(cache=True, nogil=True)
def fill_log_ranks(sorted_keys, log_of_rank, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n_sources, n] for the places of `sorted_keys`, those of `standardise` in ascending order."""
    for source in range(len(sorted_keys)):
        for rank in range(sorted_keys.shape[1]):
            out[source, np.uint32(sorted_keys[source, rank])] = log_of_rank[rank]


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
def mean_of(values, decay):  # type: ignore[no-untyped-def]  # numba
    """The mean of the known values, the last counting 1 and each before it `decay` times the next; NaN where
    none is known."""
    total, weights, weight = 0.0, 0.0, 1.0
    for place in range(len(values) - 1, -1, -1):
        if not np.isnan(values[place]):
            total += weight * values[place]
            weights += weight
        weight *= decay
    return total / weights if weights > 0 else np.nan


@njit(cache=True, nogil=True)
def deviation_of(values):  # type: ignore[no-untyped-def]  # numba
    """The standard deviation of the known values, NaN where none is known, and how many are known."""
    n, mean, squares = 0, 0.0, 0.0
    for value in values:
        if not np.isnan(value):
            mean += value
            n += 1
    mean /= max(n, 1)
    for value in values:
        if not np.isnan(value):
            squares += (value - mean) ** 2
    return np.sqrt(squares / n) if n else np.nan, n


@njit(cache=True, nogil=True)
def take_facts(facts, rows, places, out):  # type: ignore[no-untyped-def]  # numba
    """Fills the lines `places` of out [n_features, n] with the facts [n_movies, n_facts] of `rows`."""
    for place in range(len(rows)):
        of_movie = facts[rows[place]]
        for fact in range(len(places)):
            out[places[fact], place] = of_movie[fact]


@njit(cache=True, nogil=True)
def genre_tastes(rows, centred, offsets, numbers, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [4, n_genres] for a history: the share of its movies that have the genre, their mean centred
    rating, shrunken to 0, and the direction of the history's and of its latest movies' genres."""
    out[:] = 0
    for place in range(len(rows)):
        start, stop = offsets[rows[place]], offsets[rows[place] + 1]
        for at in range(start, stop):
            number = numbers[at]
            out[0, number] += 1
            out[1, number] += centred[place]
            length = 1 / np.sqrt(np.float32(stop - start))
            out[2, number] += length
            if place >= len(rows) - RECENT_MOVIES:
                out[3, number] += length
    for number in range(out.shape[1]):
        out[1, number] /= out[0, number] + np.float32(GENRE_PRIOR_WEIGHT)
        out[0, number] /= max(len(rows), 1)
    for direction in out[2:]:
        length = np.sqrt((direction * direction).sum())
        direction /= max(length, np.float32(1e-9))


@njit(cache=True, nogil=True)
def match_genres(rows, offsets, numbers, tastes, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [4, n] with the cosines with both directions of `genre_tastes`, and the mean and the least
    preference. A movie without genres matches nothing: zeros."""
    for place in range(len(rows)):
        start, stop = offsets[rows[place]], offsets[rows[place] + 1]
        cosine, recent_cosine, total, least = np.float32(0), np.float32(0), np.float32(0), np.float32(np.inf)
        for at in range(start, stop):
            number = numbers[at]
            cosine += tastes[2, number]
            recent_cosine += tastes[3, number]
            total += tastes[1, number]
            least = min(least, tastes[1, number])
        n = np.float32(max(stop - start, 1))
        out[0, place] = cosine / np.sqrt(n)
        out[1, place] = recent_cosine / np.sqrt(n)
        out[2, place] = total / n
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
def days_known_at(days_known, idle_days, out):  # type: ignore[no-untyped-def]  # numba
    """Fills `out` with log(1 + days) from the first event to a moment `idle_days` before the state's; as much
    below 0 where the first event came after it."""
    for place in range(len(out)):
        days = days_known[place] - np.float32(idle_days)
        out[place] = np.copysign(np.log1p(np.abs(days)), days)


@njit(cache=True, nogil=True)
def language_shares(languages, history_languages, n_languages, out):  # type: ignore[no-untyped-def]  # numba
    """Share of the history in each candidate's language, of those movies whose language is known (numbers
    from 0); NaN for an unknown one."""
    counts = np.zeros(n_languages)
    n = 0
    for language in history_languages:
        if language >= 0:
            counts[language] += 1
            n += 1
    for place in range(len(languages)):
        out[place] = counts[languages[place]] / max(n, 1) if languages[place] >= 0 else np.nan


@njit(cache=True, nogil=True)
def director_preferences(rows, history, centred, offsets, directors, n_directors, out):  # type: ignore[no-untyped-def]  # numba
    """Per candidate, one plus the centred rating summed over the history's movies of its directors."""
    totals = np.zeros(n_directors, np.float32)
    for place in range(len(history)):
        for at in range(offsets[history[place]], offsets[history[place] + 1]):
            totals[directors[at]] += np.float32(1) + centred[place]
    for place in range(len(rows)):
        total = np.float32(0)
        for at in range(offsets[rows[place]], offsets[rows[place] + 1]):
            total += totals[directors[at]]
        out[place] = total
