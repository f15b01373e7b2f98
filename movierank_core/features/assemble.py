"""From one query and its candidates to the feature matrix: the one code for training and for `/rank`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.definitions import Feature
from movierank_core.features.kernels import director_preferences, era_shares, match_genres, ranks_among
from movierank_core.features.movie_state import DAY, FACTS, YEAR_SECONDS, MovieState
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.selection import descending

SESSION_SECONDS = 3600
GENRE_PRIOR_WEIGHT = 3.0
RECENT_MOVIES = 5
RECENT_DECAY = 0.7
MAX_IDLE_DAYS = 365.0


def assemble(
    query: Query, candidates: Candidates, state: MovieState, features: tuple[Feature, ...]
) -> NDArray[np.float32]:
    """[n_candidates, n_features], columns in the order of `features`.

    Movie facts are those of the state's moment, user facts those of the history before the query's
    `as_of`; nothing else is looked at. An empty history gives zeros and NaNs where there is no answer.
    """
    columns: dict[str, NDArray[np.floating] | float] = {}
    _retrieval(columns, candidates)
    _user(columns, query, state)
    _movie(columns, candidates.rows, state)
    _cross(columns, query, candidates.rows, state)
    matrix = np.empty((len(features), len(candidates.rows)), np.float32)
    for position, feature in enumerate(features):
        matrix[position] = columns[feature.name]
    return matrix.T  # One feature after another in memory, as they are made and as the trees read them.


def _retrieval(columns: dict, candidates: Candidates) -> None:
    """Every candidate is compared with the fused ones: what is added to them does not move their features."""
    n = len(candidates.rows)
    n_fused = candidates.n_fused or n
    ranks = np.log(np.minimum(np.arange(1, n + 1), n_fused + 1)).astype(np.float32)
    scores = np.array(list(candidates.scores.values()), np.float32).reshape(len(candidates.scores), n)
    log_ranks = np.empty_like(scores)
    if n:
        fused = scores[:, :n_fused]
        of_fused = np.broadcast_to(ranks[:n_fused], fused.shape)
        np.put_along_axis(log_ranks, descending(fused), of_fused, axis=1)
        if n > n_fused:
            ranks_among(fused, scores[:, n_fused:], log_ranks[:, n_fused:])
        # In double precision, or equal scores would not come out as equal to their mean.
        mean = fused.mean(axis=1, keepdims=True, dtype=np.float64)
        deviation = np.sqrt(((fused - mean) ** 2).mean(axis=1, keepdims=True))
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
        scores = (scores - mean) * scale
    for number, name in enumerate(candidates.scores):
        columns[f"{name}_z"] = scores[number]
        columns[f"{name}_log_rank"] = log_ranks[number]
    columns["fused_log_rank"] = ranks
    columns["n_sources"] = candidates.n_sources


def _user(columns: dict, query: Query, state: MovieState) -> None:
    rated = query.ratings[~np.isnan(query.ratings)]
    years = state.release_year[query.rows]
    years = years[~np.isnan(years)]
    columns["user_log_events"] = np.log1p(query.n_events)
    columns["user_mean_rating"] = query.mean_rating
    columns["user_like_share"] = query.like_share
    columns["user_rating_std"] = float(rated.std()) if len(rated) > 1 else 0.0
    columns["user_log_days_idle"] = np.log1p(min(_idle_days(query), MAX_IDLE_DAYS))
    columns["user_mean_log_events"] = _mean(state.facts[query.rows, FACTS.index("movie_log_events")])
    columns["user_mean_year"] = _mean(years)
    columns["user_year_std"] = float(years.std()) if len(years) else float("nan")
    in_session = np.searchsorted(query.timestamps, query.as_of - SESSION_SECONDS)
    columns["user_n_session"] = np.log1p(len(query) - in_session)


def _movie(columns: dict, rows: NDArray[np.int64], state: MovieState) -> None:
    facts = state.facts[rows].T
    for name, values in zip(FACTS, facts, strict=True):
        columns[name] = values


@dataclass(frozen=True, slots=True)
class GenreTaste:
    """What a history says about genres; one entry per column of `MovieState.genres`."""

    share: NDArray[np.float32]
    """Of the history's movies, those that have the genre."""
    preference: NDArray[np.float32]
    """The user's mean centred rating of movies that have it, shrunken to 0 by three ratings."""

    @property
    def appeal(self) -> NDArray[np.float32]:
        """The share, more where the user rates the genre above, less where below their mean."""
        return self.share * (1.0 + self.preference)

    @classmethod
    def of(cls, query: Query, state: MovieState) -> "GenreTaste":
        has_genre = (state.genres[query.rows] > 0).astype(np.float32)
        n = has_genre.sum(axis=0)
        return cls(n / np.float32(max(len(query), 1)), (query.centred @ has_genre) / (n + GENRE_PRIOR_WEIGHT))


def _cross(columns: dict, query: Query, rows: NDArray[np.int64], state: MovieState) -> None:
    history_genres = state.genres[query.rows]
    genre_columns = np.empty((4, len(rows)), np.float32)
    match_genres(
        state.genres,
        rows,
        state.n_genres,
        _unit(history_genres.sum(axis=0)),
        _unit(history_genres[-RECENT_MOVIES:].sum(axis=0)),
        GenreTaste.of(query, state).preference,
        genre_columns,
    )
    for position, name in enumerate(
        ("genre_affinity", "genre_recent_affinity", "genre_preference", "genre_preference_min")
    ):
        columns[name] = genre_columns[position]

    year = state.release_year[rows]
    history_years = state.release_year[query.rows]
    columns["era_share"] = np.empty(len(rows))
    era_shares(year, history_years, columns["era_share"])
    columns["era_distance"] = np.abs(year - _mean(history_years[~np.isnan(history_years)]))
    columns["popularity_distance"] = columns["movie_log_events"] - columns["user_mean_log_events"]
    columns["rating_distance"] = columns["movie_mean_rating"] - query.mean_rating
    recency = np.power(RECENT_DECAY, np.arange(len(query) - 1, -1, -1, dtype=np.float64))
    columns["era_recent_distance"] = np.abs(year - _weighted_mean(history_years, recency))
    for distance, name in (
        ("popularity_recent_distance", "movie_log_events"),
        ("rating_recent_distance", "movie_mean_rating"),
    ):
        of_history = state.facts[query.rows, FACTS.index(name)]
        columns[distance] = columns[name] - np.float32(_weighted_mean(of_history, recency))
    idle_days = _idle_days(query)
    columns["age_at_latest"] = columns["movie_age_years"] - np.float32(idle_days * DAY / YEAR_SECONDS)
    days_known = state.days_known[rows] - np.float32(idle_days)
    columns["days_known_at_latest"] = np.copysign(np.log1p(np.abs(days_known)), days_known)

    language, history_language = state.language[rows], state.language[query.rows]
    known = history_language[history_language >= 0]
    # The last entry is that of -1, which stands for an unknown language.
    shares = np.full(int(state.language.max(initial=-1)) + 2, np.nan)
    shares[:-1] = np.bincount(known, minlength=len(shares) - 1) / max(len(known), 1)
    columns["language_share"] = shares[language]
    columns["director_preference"] = np.empty(len(rows))
    director_preferences(
        rows,
        query.rows,
        query.centred,
        state.director_offsets,
        state.directors,
        columns["director_preference"],
    )


def _idle_days(query: Query) -> float:
    """Days since the latest event of the history; MAX_IDLE_DAYS for no history."""
    return (query.as_of - int(query.timestamps[-1])) / DAY if len(query) else MAX_IDLE_DAYS


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _weighted_mean(values: NDArray[np.float32], weights: NDArray[np.float64]) -> float:
    """Over the known values; NaN where there is none."""
    known = ~np.isnan(values)
    total = float(weights[known].sum())
    return float(values[known] @ weights[known]) / total if total > 0 else float("nan")


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.float32(max(float(np.sqrt((vector**2).sum())), 1e-9))
