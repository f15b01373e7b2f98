"""From one query and its candidates to the feature matrix: the one code for training and for `/rank`."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.kernels import (
    days_known_at,
    deviation_of,
    director_preferences,
    era_shares,
    fill_log_ranks,
    genre_tastes,
    language_shares,
    match_genres,
    mean_of,
    ranks_among,
    standardise,
    take_facts,
)
from movierank_core.features.movie_state import DAY, FACTS, YEAR_SECONDS, MovieState
from movierank_core.features.registry import ALL_FEATURES, Feature
from movierank_core.retrieval.candidates import Candidates
from movierank_core.retrieval.query import Query

SESSION_SECONDS = 3600
RECENT_DECAY = 0.7
MAX_IDLE_DAYS = 365.0
PLACE: Final = {feature.name: place for place, feature in enumerate(ALL_FEATURES)}
"""Of each feature among all features."""
_FACT_PLACES: Final = np.array([PLACE[name] for name in FACTS])
_LOG_EVENTS, _MEAN_RATING = FACTS.index("movie_log_events"), FACTS.index("movie_mean_rating")


def assemble(
    query: Query, candidates: Candidates, state: MovieState, features: tuple[Feature, ...]
) -> NDArray[np.float32]:
    """[n_candidates, n_features], columns in the order of `features`.

    Movie facts are those of the state's moment, user facts those of the history before the query's
    `as_of`; nothing else is looked at. An empty history gives zeros and NaNs where there is no answer.
    """
    # One feature after another in memory, as they are made and as the trees read them.
    values = np.empty((len(ALL_FEATURES), len(candidates.rows)), np.float32)
    _retrieval(values, candidates)
    _movie(values, candidates.rows, state)
    _user_and_cross(values, query, candidates.rows, state)
    if features == ALL_FEATURES[: len(features)]:
        return values[: len(features)].T
    return values[[PLACE[feature.name] for feature in features]].T


def _retrieval(values: NDArray[np.float32], candidates: Candidates) -> None:
    """Every candidate is compared with the fused ones: what is added to them does not move their features."""
    n = len(candidates.rows)
    n_fused = candidates.n_fused or n
    ranks = np.log(np.minimum(np.arange(1, n + 1), n_fused + 1)).astype(np.float32)
    values[PLACE["fused_log_rank"]] = ranks
    values[PLACE["n_sources"]] = candidates.n_sources
    if not candidates.scores:
        return
    scores = np.array(list(candidates.scores.values()), np.float32)
    z, log_ranks = np.empty_like(scores), np.empty_like(scores)
    keys = np.empty((len(scores), n_fused), np.uint64)
    standardise(scores, n_fused, z, keys)
    keys.sort(axis=1)  # All different, so any sort will do; numpy's takes a few microseconds.
    fill_log_ranks(keys, ranks, log_ranks)
    if n > n_fused:
        ranks_among(scores[:, :n_fused], scores[:, n_fused:], log_ranks[:, n_fused:])
    for number, name in enumerate(candidates.scores):
        values[PLACE[f"{name}_z"]] = z[number]
        values[PLACE[f"{name}_log_rank"]] = log_ranks[number]


def _movie(values: NDArray[np.float32], rows: NDArray[np.int64], state: MovieState) -> None:
    take_facts(state.facts, rows, _FACT_PLACES, values)


@dataclass(frozen=True, slots=True)
class GenreTaste:
    """What a history says about genres; one entry per genre of `MovieState.genre_numbers`."""

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
        share, preference, _, _ = _genre_tastes(query, state)
        return cls(share, preference)


def _genre_tastes(query: Query, state: MovieState) -> NDArray[np.float32]:
    """[4, n_genres] as `genre_tastes` fills it."""
    tastes = np.empty((4, state.genres.shape[1]), np.float32)
    genre_tastes(query.rows, query.centred, state.genre_offsets, state.genre_numbers, tastes)
    return tastes


def _user_and_cross(
    values: NDArray[np.float32], query: Query, rows: NDArray[np.int64], state: MovieState
) -> None:
    history_facts = state.facts[query.rows]
    history_years = state.release_year[query.rows]
    events, ratings = history_facts[:, _LOG_EVENTS], history_facts[:, _MEAN_RATING]
    idle_days = (query.as_of - int(query.timestamps[-1])) / DAY if len(query) else MAX_IDLE_DAYS
    in_session = int(np.searchsorted(query.timestamps, query.as_of - SESSION_SECONDS))
    mean_events, mean_year = mean_of(events, 1.0), mean_of(history_years, 1.0)
    rating_std, n_rated = deviation_of(query.ratings)
    for name, fact in (
        ("user_log_events", np.log1p(query.n_events)),
        ("user_mean_rating", query.mean_rating),
        ("user_like_share", query.like_share),
        ("user_rating_std", rating_std if n_rated > 1 else 0.0),
        ("user_log_days_idle", np.log1p(min(idle_days, MAX_IDLE_DAYS))),
        ("user_mean_log_events", mean_events),
        ("user_mean_year", mean_year),
        ("user_year_std", deviation_of(history_years)[0]),
        ("user_n_session", np.log1p(len(query) - in_session)),
    ):
        values[PLACE[name]] = fact

    of_genres = np.empty((4, len(rows)), np.float32)
    match_genres(rows, state.genre_offsets, state.genre_numbers, _genre_tastes(query, state), of_genres)
    for number, name in enumerate(
        ("genre_affinity", "genre_recent_affinity", "genre_preference", "genre_preference_min")
    ):
        values[PLACE[name]] = of_genres[number]

    year = state.release_year[rows]
    era_shares(year, history_years, values[PLACE["era_share"]])
    log_events, mean_rating = values[PLACE["movie_log_events"]], values[PLACE["movie_mean_rating"]]
    for name, of_movie, of_history in (
        ("popularity_distance", log_events, mean_events),
        ("rating_distance", mean_rating, query.mean_rating),
        ("popularity_recent_distance", log_events, mean_of(events, RECENT_DECAY)),
        ("rating_recent_distance", mean_rating, mean_of(ratings, RECENT_DECAY)),
        ("era_distance", year, mean_year),
        ("era_recent_distance", year, mean_of(history_years, RECENT_DECAY)),
        ("age_at_latest", values[PLACE["movie_age_years"]], idle_days * DAY / YEAR_SECONDS),
    ):
        np.subtract(of_movie, np.float32(of_history), out=values[PLACE[name]])
    for name in ("era_distance", "era_recent_distance"):
        np.abs(values[PLACE[name]], out=values[PLACE[name]])
    days_known_at(state.days_known[rows], idle_days, values[PLACE["days_known_at_latest"]])
    language_shares(
        state.language[rows], state.language[query.rows], state.n_languages, values[PLACE["language_share"]]
    )
    director_preferences(
        rows,
        query.rows,
        query.centred,
        state.director_offsets,
        state.directors,
        state.n_directors,
        values[PLACE["director_preference"]],
    )
