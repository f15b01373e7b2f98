"""How often the history has movies of the same TMDB collection, such as the films of one series."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.columns import codes
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays


class Collection(Block):
    """Array: `collection`, a code from 0 per catalogue row; -1 if no collection is known."""

    NAME = "collection"
    FEATURES = (
        Feature(
            "collection_share",
            CROSS,
            "content_match",
            "share",
            "Share of the history in the movie's TMDB collection; NaN if none is known.",
        ),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        return {"collection": codes(catalogue.frame["collection"])}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._collections = arrays["collection"]

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        # Codes move up by one, so that -1 has a count too; its share is overwritten.
        history = self._collections[request.query.rows]
        counts = np.bincount(history + 1, minlength=int(self._collections.max(initial=-1)) + 2)
        of_candidates = self._collections[request.candidates.rows]
        out[0] = counts[of_candidates + 1] / max(len(history), 1)
        out[0, of_candidates < 0] = np.nan
