"""TMDB's votes on the day on which they were retrieved: for a past request, values from its future."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.columns import floats
from movierank_core.features.feature import TMDB_SNAPSHOT, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays


class TmdbSnapshot(Block):
    """Arrays with one float32 entry per catalogue row: both columns of the catalogue, NaN if unknown."""

    NAME = "tmdb_snapshot"
    FEATURES = (
        Feature(
            "tmdb_vote_average_snapshot",
            TMDB_SNAPSHOT,
            "highly_rated",
            "TMDB stars (0-10)",
            "TMDB's vote average when it was retrieved, after the requests of the past; NaN if unknown.",
        ),
        Feature(
            "tmdb_log_vote_count_snapshot",
            TMDB_SNAPSHOT,
            "high_popularity",
            "log(1 + votes)",
            "TMDB's number of votes when it was retrieved, after the requests of the past; NaN if unknown.",
        ),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        columns = ("tmdb_vote_average_snapshot", "tmdb_vote_count_snapshot")
        return {column: floats(catalogue.frame[column]) for column in columns}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._facts = np.stack(
            [arrays["tmdb_vote_average_snapshot"], np.log1p(arrays["tmdb_vote_count_snapshot"])]
        )

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        out[:] = self._facts[:, request.candidates.rows]
