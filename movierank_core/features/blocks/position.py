"""Whether a movie comes early or late in the histories of its viewers."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.query import shrunken_mean
from movierank_core.retrieval.source import Arrays

POSITION_PRIOR_WEIGHT: Final = 5.0
"""Number of pseudo-events at the mean log position of all events."""


class Position(Block):
    """The usual position of a movie in a history, against the length of this history.

    Some movies are among the first that people rate, others come after hundreds. Array:
    `mean_log_position`, the mean over a movie's events of log(1 + events of the same user before it),
    shrunken by POSITION_PRIOR_WEIGHT; NaN without an event. Only events that stand count, without hidden
    movies.
    """

    NAME = "position"
    FEATURES = (
        Feature(
            "position_difference",
            CROSS,
            "watched_next",
            "log ratio",
            "Mean log position of the movie in its viewers' histories, less that of the next event here;"
            " NaN for a movie without events.",
        ),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        data = data.standing().presence()
        positions = np.log1p(np.arange(len(data)) - np.repeat(data.offsets[:-1], np.diff(data.offsets)))
        n_events = np.bincount(data.rows, minlength=len(catalogue))
        total = np.bincount(data.rows, positions, len(catalogue))
        mean = positions.mean() if len(positions) else 0.0
        shrunken = shrunken_mean(total, n_events, mean, POSITION_PRIOR_WEIGHT)
        return {"mean_log_position": np.where(n_events > 0, shrunken, np.nan).astype(np.float32)}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._mean = arrays["mean_log_position"]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        out[0] = self._mean[request.candidates.rows] - np.float32(np.log1p(request.query.n_events))
