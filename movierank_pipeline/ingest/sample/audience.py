"""A simulated audience: who rates which film, when, and with how many stars.

**Taste.** Films and users are vectors of `_N_FACTORS` numbers; their product, scaled to a standard deviation
of 1, is the affinity. A film's vector sums those of its genres, its era, its director, its language, a
*theme* (a group that metadata does not show) and its own. A user's vector is the sum of a community's vector
and their own.

**Exposure.** A film's attention is its votes (to the power `_VOTES_EXPONENT`), a slow trend and a few waves
over the months; some films join the catalogue late, on a wave. Users arrive over six years, a little more
each year, and rate in sessions: many films in the first, within seconds to minutes of each other. The next
film is drawn by attention times exp(`_CHOOSINESS` · affinity); within a session it is often drawn from films
related to the last one (same shelf of a theme, same director) instead. A user rates a film at most once.

**Rating.** The user's mean plus their scale times a weighted sum of affinity, the film's quality and noise,
rounded to half stars; some users give whole stars only.

All randomness comes from one generator, so a seed determines the result. The parameters were chosen by hand
to resemble a small MovieLens set; they were not fitted to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

START: Final = datetime(2020, 1, 1, tzinfo=UTC)
END: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Ratings lie in [START, END): fixed, so that a seed gives the same data on any day."""

_N_FACTORS: Final = 10
_N_COMMUNITIES: Final = 10
_N_MONTHS: Final = 72
_SHELF: Final = 12
"""Number of films of a theme on one shelf."""
_N_SAME_DIRECTOR: Final = 4

_VOTES_EXPONENT: Final = 1.2
_CHOOSINESS: Final = 1.5
_N_CONSIDERED: Final = 24
"""Number of films drawn by attention; taste chooses one of these."""
_FOLLOW_ON: Final = 0.4
"""Probability that a film after the first of a session is related to the previous one."""

_MAX_RATINGS_PER_USER: Final = 600
_SINGLE_RATING_SHARE: Final = 0.03

_CHUNK_CELLS: Final = 2**24
"""Maximum number of user-film cells in memory at once."""


@dataclass(frozen=True)
class Films:
    """What the audience knows of each film; all arrays have one entry per film."""

    genre_matrix: Floats
    """Films by genres: 1 for a film's genres, else 0."""
    year: Floats
    person: Ints
    """Director code from 0; -1 for unknown."""
    language: Ints
    """Language code; 0 for English and unknown."""
    votes: Floats
    """Number of votes, a measure of fame; positive."""
    quality: Floats
    """Mean vote, standardised."""

    def __len__(self) -> int:
        return len(self.year)


@dataclass(frozen=True)
class SimulatedRatings:
    """One entry per rating, sorted by user and time; users are numbered from 0."""

    user: Ints
    film: Ints
    rating: NDArray[np.float32]
    timestamp: Ints
    """Seconds since 1970, UTC."""


def max_ratings_per_user(n_films: int) -> int:
    """Maximum number of ratings per user: at most half of all films."""
    return max(1, min(_MAX_RATINGS_PER_USER, n_films // 2))


def simulate(
    films: Films,
    n_users: int,
    n_ratings: int,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedRatings:
    """Simulates exactly `n_ratings` ratings; `progress` is called with ratings done and in total.

    Requires `n_users <= n_ratings <= n_users * max_ratings_per_user(len(films))`.
    """
    vectors, related = _film_factors(films, rng)
    attention = _attention(films, rng)
    tastes = _user_factors(n_users, rng)
    lengths = _lengths(n_users, n_ratings, max_ratings_per_user(len(films)), rng)
    user = np.repeat(np.arange(n_users), lengths)
    timestamp, opens_session = _schedule(user, lengths, rng)
    month = np.minimum(
        (timestamp - int(START.timestamp())) * _N_MONTHS // int((END - START).total_seconds()), _N_MONTHS - 1
    )
    film = np.empty(n_ratings, np.int64)
    affinity = np.empty(n_ratings)
    first = np.cumsum(lengths) - lengths
    by_length = np.argsort(-lengths, kind="stable")
    chunk = max(1, _CHUNK_CELLS // len(films))
    for begin in range(0, n_users, chunk):
        users = by_length[begin : begin + chunk]
        # Round: the last bits of a matrix product differ between machines.
        affinities = np.round(tastes[users] @ vectors.T, 3)
        _choose(users, first, lengths, affinities, attention, related, month, opens_session, film, rng)
        rows = np.repeat(np.arange(len(users)), lengths[users])
        cells = np.concatenate([np.arange(first[u], first[u] + lengths[u]) for u in users])
        affinity[cells] = affinities[rows, film[cells]]
        if progress is not None:
            progress(int(lengths[by_length[: begin + chunk]].sum()), n_ratings)
    rating = _rate(user, affinity, films.quality[film], n_users, rng)
    return SimulatedRatings(user, film, rating, timestamp)


def _film_factors(films: Films, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """(film vectors, related films per film, filled up with -1)."""
    n = len(films)

    def vectors(count: int) -> Floats:
        return rng.standard_normal((count, _N_FACTORS))

    n_genres = np.maximum(films.genre_matrix.sum(axis=1, keepdims=True), 1.0)
    genres = films.genre_matrix / np.sqrt(n_genres) @ vectors(films.genre_matrix.shape[1])
    knots = np.linspace(0.0, 1.0, 9)
    place = (films.year - films.year.min()) / max(1.0, float(np.ptp(films.year)))
    era = np.stack([np.interp(place, knots, knot) for knot in vectors(len(knots)).T], axis=1)
    person = np.where(
        films.person[:, None] >= 0, vectors(int(films.person.max(initial=0)) + 1)[films.person], 0
    )
    foreign = vectors(int(films.language.max(initial=0)) + 2)
    language = np.where(films.language[:, None] > 0, foreign[0] + 0.5 * foreign[1 + films.language], 0)
    themes = vectors(min(300, max(6, n // 40)))
    theme = np.argmax(0.35 * (genres + era) @ themes.T + rng.gumbel(size=(n, len(themes))), axis=1)
    total = 0.9 * genres + 0.4 * era + 0.4 * person + 0.4 * language + 0.7 * themes[theme] + 0.35 * vectors(n)
    total -= total.mean(axis=0)
    return total / total.std(axis=0), _related(films, theme, place, rng)


def _related(films: Films, theme: Ints, place: Floats, rng: np.random.Generator) -> Ints:
    n = len(films)
    related = np.full((n, _SHELF + _N_SAME_DIRECTOR), -1, np.int64)
    order = np.lexsort((place + 0.1 * rng.standard_normal(n), theme))
    shelf = np.arange(n) // _SHELF
    for offset in range(_SHELF):
        mate = shelf * _SHELF + offset
        exists = mate < n
        related[order[exists], offset] = order[mate[exists]]
    order = np.argsort(films.person, kind="stable")
    for step in range(1, _N_SAME_DIRECTOR + 1):
        mate = np.roll(order, -step)
        same = (films.person[order] == films.person[mate]) & (films.person[order] >= 0)
        related[order[same], _SHELF + step - 1] = mate[same]
    return related


def _attention(films: Films, rng: np.random.Generator) -> Floats:
    """[n_months, n_films]: the weight of a film in exposure; 0 before the film joined the catalogue."""
    n = len(films)
    month = np.arange(_N_MONTHS)[:, None]
    level = _VOTES_EXPONENT * np.log(films.votes) + 0.8 * rng.standard_normal(n) * (month / _N_MONTHS - 0.5)
    for _ in range(2):
        peak, width = rng.uniform(0, _N_MONTHS, n), rng.uniform(3.0, 10.0, n)
        level += rng.exponential(0.6, n) * np.exp(-0.5 * ((month - peak) / width) ** 2)
    joined = np.where(rng.random(n) < 0.12, rng.integers(1, _N_MONTHS, n), 0)
    age = month - joined
    level += np.where((joined > 0) & (age >= 0), 1.5 * np.exp(-np.maximum(age, 0) / 4.0), 0.0)
    return np.where(age >= 0, np.exp(level), 0.0)


def _user_factors(n_users: int, rng: np.random.Generator) -> Floats:
    communities = rng.standard_normal((_N_COMMUNITIES, _N_FACTORS))
    share = rng.dirichlet(np.full(_N_COMMUNITIES, 4.0))
    own = rng.standard_normal((n_users, _N_FACTORS))
    tastes = 0.8 * communities[rng.choice(_N_COMMUNITIES, n_users, p=share)] + 0.6 * own
    return tastes / np.linalg.norm(tastes, axis=1, keepdims=True)


def _lengths(n_users: int, n_ratings: int, longest: int, rng: np.random.Generator) -> Ints:
    """Number of ratings per user, `n_ratings` in total; a small share of users has exactly one."""
    wish = rng.lognormal(0.0, 0.95, n_users)
    wish[rng.random(n_users) < _SINGLE_RATING_SHARE] = 0.0
    low, high = 0.0, 1e9
    for _ in range(80):  # Bisection for the largest scale that does not exceed `n_ratings`.
        scale = (low + high) / 2
        if np.clip((wish * scale).astype(np.int64), 1, longest).sum() <= n_ratings:
            low = scale
        else:
            high = scale
    lengths = np.clip((wish * low).astype(np.int64), 1, longest)
    while missing := n_ratings - int(lengths.sum()):
        room = np.flatnonzero((lengths < longest) & (wish > 0))
        if not len(room):
            room = np.flatnonzero(lengths < longest)
        lengths[rng.permutation(room)[:missing]] += 1
    return lengths


def _schedule(user: Ints, lengths: Ints, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """(timestamp, whether it opens a session) of each rating; timestamps never decrease within a user."""
    n_users, n = len(lengths), len(user)
    begin, end = START.timestamp(), END.timestamp()
    step = np.arange(n) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    arrival = begin + (end - begin - 86_400.0) * rng.random(n_users) ** 0.85
    stay = np.minimum(rng.exponential(1.6 * 365.25 * 86_400, n_users), end - 7_200.0 - arrival)
    first_session = rng.geometric(1 / 18, n_users) + 4
    opens = (step == 0) | ((step >= first_session[user]) & (rng.random(n) < 1 / 7))
    session = np.cumsum(opens) - 1
    owner = user[opens]
    start = arrival[owner] + np.where(step[opens] == 0, 0.0, stay[owner] * rng.random(len(owner)))
    start = start[np.lexsort((start, owner))]
    gaps = np.where(opens, 0.0, np.maximum(2.0, rng.lognormal(np.log(18.0), 0.8, n)))
    elapsed = np.cumsum(gaps)
    within = elapsed - elapsed[opens][session]
    timestamp = np.minimum(start[session] + within, end - 1.0).astype(np.int64)
    # Sessions may overlap: sorting the times of a user keeps them from decreasing.
    return timestamp[np.lexsort((timestamp, user))], opens


def _choose(
    users: Ints,
    first: Ints,
    lengths: Ints,
    affinities: Floats,
    attention: Floats,
    related: Ints,
    month: Ints,
    opens_session: NDArray[np.bool_],
    film: Ints,
    rng: np.random.Generator,
) -> None:
    """Fills `film` for `users` (longest history first), one step for all users at a time.

    The argmax of weight / Exp(1) is a draw with probability proportional to weight (exponential race).
    """
    n_films = affinities.shape[1]
    appeal = np.exp(_CHOOSINESS * affinities).astype(np.float32)
    cumulative = np.cumsum(attention, axis=1)
    # The months' cumulative weights in one ascending array: one search serves all months.
    ladder = (cumulative / cumulative[:, -1:] + np.arange(len(attention))[:, None]).ravel()
    n_steps = lengths[users]
    last = np.zeros(len(users), np.int64)
    for step in range(int(n_steps[0])):
        n = int(np.searchsorted(-n_steps, -step, side="left"))  # Users with a rating at this step.
        rows = np.arange(n)[:, None]
        cells = first[users[:n]] + step
        now = month[cells]
        rungs = np.searchsorted(ladder, now[:, None] + rng.random((n, _N_CONSIDERED)), side="right")
        considered = np.minimum(rungs - now[:, None] * n_films, n_films - 1)
        weight = appeal[rows, considered]
        if step:
            follows = ~opens_session[cells] & (rng.random(n) < _FOLLOW_ON)
            mates = related[last[:n]]
            near = np.where(mates >= 0, appeal[rows, mates] * np.sqrt(attention[now[:, None], mates]), 0.0)
            follows &= near.any(axis=1)
            considered = np.hstack([considered, mates])
            weight = np.hstack(
                [np.where(follows[:, None], 0.0, weight), np.where(follows[:, None], near, 0.0)]
            )
        pick = np.argmax(weight / _exponential(weight.shape, rng), axis=1)
        chosen = considered[rows[:, 0], pick]
        # If all considered films are rated already, draw from the whole catalogue.
        for row in np.flatnonzero(weight[rows[:, 0], pick] == 0.0):
            every = appeal[row] * np.maximum(attention[now[row]], 1e-9)
            chosen[row] = np.argmax(every / _exponential(every.shape, rng))
        appeal[rows[:, 0], chosen] = 0.0
        film[cells] = last[:n] = chosen


def _exponential(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    return np.maximum(rng.standard_exponential(shape, np.float32), np.float32(1e-30))


def _rate(
    user: Ints, affinity: Floats, quality: Floats, n_users: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    mean = rng.normal(3.05, 0.35, n_users)
    scale = rng.lognormal(np.log(0.95), 0.2, n_users)
    is_whole = rng.random(n_users) < 0.3
    enjoyment = 0.65 * affinity + 0.4 * quality + 0.6 * rng.standard_normal(len(user))
    exact = mean[user] + scale[user] * enjoyment
    halves = np.where(is_whole[user], 2.0 * np.round(exact), np.round(2.0 * exact))
    return (np.clip(halves, 1.0, 10.0) / 2.0).astype(np.float32)
