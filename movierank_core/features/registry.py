"""The only list of features: what each means, its unit and where it comes from.

Order here is the order of the matrix columns, of the bundle's feature list and of docs/features.md.
"""

from typing import Final

import msgspec

from movierank_core.retrieval.registry import source_types


class Feature(msgspec.Struct, frozen=True):
    """One column of the feature matrix (float32; NaN means unknown, which the trees treat as such)."""

    name: str
    group: str
    """The group that `--without` takes out."""
    family: str
    """What a reason made of it speaks of."""
    unit: str
    meaning: str
    source: str = ""
    """The one candidate source that it is of; empty where it is of none, or of all."""


_SOURCE_MEANING = {
    "ease_likes": "EASE on the history's likes",
    "ease_presence": "EASE on the whole history",
    "ease_recent": "EASE on the history, the latest counting most",
    "item_neighbours": "cosine neighbours of the history, weighted by rating",
    "user_neighbours": "people who share part of the history",
    "transitions": "what tends to follow the latest movies of the history",
    "context_neighbours": "what people watch some time after the latest movies of the history",
    "next_item": "a regression of the next movie on the history so far",
    "als": "matrix factorisation with the history folded in",
    "content": "genres, people, keywords, era and language like the history's",
    "popularity": "events of all time",
    "popularity_365d": "events of the last 365 days before the state's moment",
    "popularity_30d": "events of the last 30 days before the state's moment",
}
_SOURCE_FAMILY = {
    "ease_likes": "liked_together",
    "ease_presence": "watched_together",
    "ease_recent": "watched_next",
    "item_neighbours": "watched_together",
    "user_neighbours": "watched_together",
    "transitions": "watched_next",
    "context_neighbours": "watched_next",
    "next_item": "watched_next",
    "als": "taste_match",
    "content": "content_match",
    "popularity": "high_popularity",
    "popularity_365d": "popular_lately",
    "popularity_30d": "popular_lately",
}

_RETRIEVAL = [
    feature
    for name in source_types()
    for feature in (
        Feature(
            f"{name}_z",
            "retrieval",
            _SOURCE_FAMILY[name],
            "standard deviations",
            f"Score of {_SOURCE_MEANING[name]}, as a z-score over the request's candidates.",
            name,
        ),
        Feature(
            f"{name}_log_rank",
            "retrieval",
            _SOURCE_FAMILY[name],
            "log(rank)",
            f"Logarithm of the rank (from 1) by {_SOURCE_MEANING[name]}, among the request's candidates.",
            name,
        ),
    )
] + [
    Feature(
        "fused_log_rank",
        "retrieval",
        "taste_match",
        "log(rank)",
        "Logarithm of the candidate's rank by reciprocal rank fusion of all sources.",
    ),
    Feature(
        "n_sources",
        "retrieval",
        "taste_match",
        "sources",
        "How many sources propose the candidate.",
    ),
]

_USER = [
    Feature(name, "user", "your_profile", unit, meaning)
    for name, unit, meaning in (
        ("user_log_events", "log(1 + events)", "Length of the history."),
        ("user_mean_rating", "stars", "Mean rating of the history, shrunken towards the global mean."),
        ("user_like_share", "share", "Share of ratings that are likes, shrunken towards the global share."),
        ("user_rating_std", "stars", "Standard deviation of the history's ratings; 0 below two ratings."),
        (
            "user_log_days_idle",
            "log(1 + days)",
            "Days since the last event; 365 at most, and for no history.",
        ),
        ("user_mean_log_events", "log(1 + events)", "Mean popularity of the history's movies."),
        ("user_mean_year", "year", "Mean release year of the history's movies."),
        ("user_year_std", "years", "Standard deviation of those release years."),
        ("user_n_session", "log(1 + events)", "Events of the last hour before the request."),
    )
]

_MOVIE = [
    Feature(name, group, family, unit, meaning)
    for name, group, family, unit, meaning in (
        ("movie_log_events", "movie", "high_popularity", "log(1 + events)", "Events of all time."),
        (
            "movie_log_events_365d",
            "movie",
            "popular_lately",
            "log(1 + events)",
            "Events of the last 365 days.",
        ),
        ("movie_log_events_30d", "movie", "popular_lately", "log(1 + events)", "Events of the last 30 days."),
        (
            "movie_trend",
            "movie",
            "popular_lately",
            "log ratio",
            "Events of the last 365 days against all time: log((1 + recent) / (1 + all)).",
        ),
        ("movie_mean_rating", "movie", "highly_rated", "stars", "Mean rating, shrunken by 10 ratings."),
        ("movie_like_share", "movie", "highly_rated", "share", "Share of ratings that are likes, shrunken."),
        (
            "movie_rating_std",
            "movie",
            "highly_rated",
            "stars",
            "Standard deviation of ratings; NaN below two.",
        ),
        ("movie_age_years", "movie", "era_match", "years", "Years from release to the state's moment."),
        (
            "movie_log_days_known",
            "movie",
            "fresh_release",
            "log(1 + days)",
            "Days from the movie's first event to the state's moment; NaN if it has none.",
        ),
        ("movie_n_genres", "movie", "genre_match", "genres", "Number of genres."),
        ("movie_runtime_minutes", "movie", "runtime", "minutes", "Runtime; NaN if unknown."),
    )
]

_CROSS = [
    Feature(name, "cross", family, unit, meaning)
    for name, family, unit, meaning in (
        (
            "genre_affinity",
            "genre_match",
            "cosine",
            "Cosine of the movie's genres with the genres of the history.",
        ),
        (
            "genre_preference",
            "genre_match",
            "stars",
            "Mean over the movie's genres of the user's shrunken centred rating of that genre.",
        ),
        (
            "genre_preference_min",
            "genre_match",
            "stars",
            "The least of those over the movie's genres.",
        ),
        (
            "genre_recent_affinity",
            "genre_match",
            "cosine",
            "Cosine of the movie's genres with those of the last five movies of the history.",
        ),
        (
            "era_share",
            "era_match",
            "share",
            "Share of the history released within about five years of the movie (Gaussian kernel).",
        ),
        (
            "era_distance",
            "era_match",
            "years",
            "Absolute distance between release year and the history's mean release year.",
        ),
        (
            "popularity_distance",
            "high_popularity",
            "log ratio",
            "Movie's log events minus the history's mean log events.",
        ),
        (
            "rating_distance",
            "highly_rated",
            "stars",
            "Movie's shrunken mean rating minus the user's shrunken mean rating.",
        ),
        (
            "era_recent_distance",
            "era_match",
            "years",
            "Distance between release year and the mean year of the latest movies (0.7 per step back).",
        ),
        (
            "popularity_recent_distance",
            "high_popularity",
            "log ratio",
            "Movie's log events minus the mean of the latest movies (0.7 per step back).",
        ),
        (
            "rating_recent_distance",
            "highly_rated",
            "stars",
            "Movie's shrunken mean rating minus the mean of the latest movies' (0.7 per step back).",
        ),
        (
            "age_at_latest",
            "era_match",
            "years",
            "Years from release to the latest event of the history; below 0 if that came before.",
        ),
        (
            "days_known_at_latest",
            "fresh_release",
            "±log(1 + days)",
            "Days from the movie's first event to the history's latest, below 0 if that came before.",
        ),
        (
            "language_share",
            "language_match",
            "share",
            "Share of the history in the movie's language; NaN if the language is unknown.",
        ),
        (
            "director_preference",
            "people_match",
            "stars",
            "Centred ratings plus one, summed over the history's movies of the same directors.",
        ),
    )
]

_SNAPSHOT = [
    Feature(
        "tmdb_vote_average_snapshot",
        "tmdb_snapshot",
        "highly_rated",
        "TMDB stars (0-10)",
        "TMDB's vote average when it was retrieved: today's value, not that of the request.",
    ),
    Feature(
        "tmdb_log_vote_count_snapshot",
        "tmdb_snapshot",
        "high_popularity",
        "log(1 + votes)",
        "TMDB's number of votes when it was retrieved: today's value, not that of the request.",
    ),
]

ALL_FEATURES: Final[tuple[Feature, ...]] = (*_RETRIEVAL, *_USER, *_MOVIE, *_CROSS, *_SNAPSHOT)
"""Every feature that can be assembled."""

DEFAULT_WITHOUT: Final = ("tmdb_snapshot",)
"""Groups that a model leaves out unless asked: on past requests they see the future."""

SOURCE_PREFIX: Final = "source:"
"""What stands before the name of a candidate source, where it is listed among groups."""


def feature_list(without: tuple[str, ...] = DEFAULT_WITHOUT) -> tuple[Feature, ...]:
    """The features of a model, in matrix order, less the groups and the sources (`source:als`) `without`."""
    return tuple(
        feature
        for feature in ALL_FEATURES
        if feature.group not in without and f"{SOURCE_PREFIX}{feature.source}" not in without
    )
