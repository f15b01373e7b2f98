"""From one query and its candidates to the feature matrix: the one code for training and for `/rank`."""

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.definitions import Feature
from movierank_core.features.movie_state import DAY, MovieState
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query

SESSION_SECONDS = 3600
ERA_WIDTH_YEARS = 5.0
GENRE_PRIOR_WEIGHT = 3.0
RECENT_MOVIES = 5
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
    matrix = np.empty((len(candidates.rows), len(features)), np.float32)
    for position, feature in enumerate(features):
        matrix[:, position] = columns[feature.name]
    return matrix


def _retrieval(columns: dict, candidates: Candidates) -> None:
    n = len(candidates.rows)
    ranks = np.log(np.arange(1, n + 1, dtype=np.float64))
    for name, scores in candidates.scores.items():
        deviation = float(scores.std()) if n else 0.0
        columns[f"{name}_z"] = (scores - scores.mean()) / deviation if deviation > 1e-9 else 0.0
        log_rank = np.empty(n)
        log_rank[np.argsort(-scores, kind="stable")] = ranks
        columns[f"{name}_log_rank"] = log_rank
    columns["fused_log_rank"] = ranks
    columns["n_sources"] = candidates.n_sources


def _user(columns: dict, query: Query, state: MovieState) -> None:
    rated = query.ratings[~np.isnan(query.ratings)]
    years = state.release_year[query.rows]
    years = years[~np.isnan(years)]
    idle_days = (query.as_of - int(query.timestamps[-1])) / DAY if len(query) else MAX_IDLE_DAYS
    columns["user_log_events"] = np.log1p(len(query))
    columns["user_mean_rating"] = query.mean_rating
    columns["user_like_share"] = query.like_share
    columns["user_rating_std"] = float(rated.std()) if len(rated) > 1 else 0.0
    columns["user_log_days_idle"] = np.log1p(min(idle_days, MAX_IDLE_DAYS))
    columns["user_mean_log_events"] = _mean(np.log1p(state.n_events[query.rows]))
    columns["user_mean_year"] = _mean(years)
    columns["user_year_std"] = float(years.std()) if len(years) else float("nan")
    in_session = np.searchsorted(query.timestamps, query.as_of - SESSION_SECONDS)
    columns["user_n_session"] = np.log1p(len(query) - in_session)


def _movie(columns: dict, rows: NDArray[np.int64], state: MovieState) -> None:
    events, recent = state.n_events[rows], state.n_events_365d[rows]
    columns["movie_log_events"] = np.log1p(events)
    columns["movie_log_events_365d"] = np.log1p(recent)
    columns["movie_log_events_30d"] = np.log1p(state.n_events_30d[rows])
    columns["movie_trend"] = np.log1p(recent) - np.log1p(events)
    columns["movie_mean_rating"] = state.mean_rating[rows]
    columns["movie_like_share"] = state.like_share[rows]
    columns["movie_rating_std"] = state.rating_std[rows]
    columns["movie_age_years"] = state.age_years[rows]
    columns["movie_log_days_known"] = np.log1p(state.days_known[rows])
    columns["movie_n_genres"] = state.n_genres[rows]
    columns["movie_runtime_minutes"] = state.runtime_minutes[rows]
    columns["tmdb_vote_average_snapshot"] = state.tmdb_vote_average_snapshot[rows]
    columns["tmdb_log_vote_count_snapshot"] = np.log1p(state.tmdb_vote_count_snapshot[rows])


def genre_preferences(query: Query, state: MovieState) -> NDArray[np.float32]:
    """Per genre, the user's mean centred rating of movies that have it, shrunken to 0 by three ratings."""
    has_genre = state.genres[query.rows] > 0
    return ((query.centred @ has_genre) / (has_genre.sum(axis=0) + GENRE_PRIOR_WEIGHT)).astype(np.float32)


def _cross(columns: dict, query: Query, rows: NDArray[np.int64], state: MovieState) -> None:
    genres = state.genres[rows]
    history_genres = state.genres[query.rows]
    columns["genre_affinity"] = genres @ _unit(history_genres.sum(axis=0))
    columns["genre_recent_affinity"] = genres @ _unit(history_genres[-RECENT_MOVIES:].sum(axis=0))
    preferences = genre_preferences(query, state)
    has_genre = genres > 0
    columns["genre_preference"] = (has_genre @ preferences) / np.maximum(state.n_genres[rows], 1)
    if has_genre.shape[1]:
        least = np.where(has_genre, preferences, np.inf).min(axis=1)
        columns["genre_preference_min"] = np.where(np.isinf(least), 0.0, least)
    else:
        columns["genre_preference_min"] = 0.0

    year = state.release_year[rows]
    history_years = state.release_year[query.rows]
    history_years = history_years[~np.isnan(history_years)]
    columns["era_share"] = _era_share(year, history_years)
    columns["era_distance"] = np.abs(year - _mean(history_years))
    columns["popularity_distance"] = np.log1p(state.n_events[rows]) - _mean(
        np.log1p(state.n_events[query.rows])
    )
    columns["rating_distance"] = state.mean_rating[rows] - query.mean_rating

    language, history_language = state.language[rows], state.language[query.rows]
    known = history_language[history_language >= 0]
    shares = np.bincount(known, minlength=int(state.language.max(initial=0)) + 1) / max(len(known), 1)
    columns["language_share"] = np.where(language >= 0, shares[np.maximum(language, 0)], np.nan)
    columns["director_preference"] = _director_preference(query, rows, state)


def _era_share(year: NDArray[np.float32], history_years: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the history per candidate year, weighted by a Gaussian of the distance in years."""
    if not len(history_years):
        return np.where(np.isnan(year), np.nan, 0.0)
    distinct, n = np.unique(history_years, return_counts=True)
    kernel = np.exp(-0.5 * ((year[:, None] - distinct) / ERA_WIDTH_YEARS) ** 2)
    return kernel @ n / len(history_years)


def _director_preference(query: Query, rows: NDArray[np.int64], state: MovieState) -> NDArray[np.float64]:
    sums: dict[int, float] = {}
    for row, centred in zip(query.rows, query.centred, strict=True):
        for director in state.directors[state.director_offsets[row] : state.director_offsets[row + 1]]:
            sums[int(director)] = sums.get(int(director), 0.0) + 1.0 + float(centred)
    out = np.zeros(len(rows))
    if sums:
        for position, row in enumerate(rows):
            for director in state.directors[state.director_offsets[row] : state.director_offsets[row + 1]]:
                out[position] += sums.get(int(director), 0.0)
    return out


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.float32(max(float(np.sqrt((vector**2).sum())), 1e-9))
