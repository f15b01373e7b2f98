"""The history alone: how long, how generous, how recent, how mainstream."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.block import Block
from movierank_core.features.feature import USER, Feature
from movierank_core.features.request import MAX_IDLE_DAYS, FeatureRequest, deviation_of

SESSION_SECONDS: Final = 3600
"""Maximum age of an event of the present session, in seconds before the request."""


class User(Block):
    """One value per feature for all candidates of a request; fits no array."""

    NAME = "user"
    FEATURES = tuple(
        Feature(name, USER, "your_profile", unit, meaning)
        for name, unit, meaning in (
            ("user_log_events", "log(1 + events)", "Length of the history."),
            ("user_mean_rating", "stars", "Mean rating of the history, shrunken towards the global mean."),
            (
                "user_like_share",
                "share",
                "Share of ratings that are likes, shrunken towards the global share.",
            ),
            (
                "user_rating_std",
                "stars",
                "Standard deviation of the history's ratings; 0 below two ratings.",
            ),
            (
                "user_log_days_idle",
                "log(1 + days)",
                "Days since the last event, at most 365; 365 for an empty history.",
            ),
            (
                "user_mean_log_events",
                "log(1 + events)",
                "Mean popularity of the history's movies; NaN for an empty history.",
            ),
            ("user_mean_year", "year", "Mean release year of the history's movies; NaN if none is known."),
            ("user_year_std", "years", "Standard deviation of those release years; NaN if none is known."),
            ("user_n_session", "log(1 + events)", "Events of the last hour before the request."),
        )
    )

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        query = request.query
        rating_std, n_rated = deviation_of(query.ratings)
        session_start = int(np.searchsorted(query.timestamps, query.as_of - SESSION_SECONDS))
        values = (
            np.log1p(query.n_events),
            query.mean_rating,
            query.like_share,
            rating_std if n_rated > 1 else 0.0,
            np.log1p(min(request.idle_days, MAX_IDLE_DAYS)),
            request.mean_log_events,
            request.mean_year,
            deviation_of(request.history_years)[0],
            np.log1p(len(query) - session_start),
        )
        out[:] = np.array(values)[:, None]
