"""How the user rated movies by the same people."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.columns import list_codes
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.kernels.sparse_rows import SparseRows
from movierank_core.retrieval.source import Arrays


class People(Block):
    """Arrays: the directors of row i are `directors[director_offsets[i]:director_offsets[i + 1]]`."""

    NAME = "people"
    FEATURES = (
        Feature(
            "director_preference",
            CROSS,
            "people_match",
            "stars",
            "Centred ratings plus one, summed over the history's movies of the same directors.",
        ),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        rows, people = list_codes(catalogue.frame["directors"])
        directors = SparseRows.from_triples(rows, people, np.ones(len(rows)), len(catalogue))
        return {"director_offsets": directors.offsets, "directors": directors.indices}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._offsets, self._directors = arrays["director_offsets"], arrays["directors"]
        self._n_directors = int(self._directors.max(initial=-1)) + 1

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        query = request.query
        director_preferences(
            request.candidates.rows,
            query.rows,
            query.centred,
            self._offsets,
            self._directors,
            self._n_directors,
            out[0],
        )


@njit(cache=True, nogil=True)
def director_preferences(rows, history, centred, offsets, directors, n_directors, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n]: 1 + centred rating, summed over the history's movies by the candidate's directors.

    A movie of the history counts once per director that both share. 0 if the candidate has no known
    director, or the history no movie by one.
    """
    # Step 1: the sum per director.
    totals = np.zeros(n_directors, np.float32)
    for k in range(len(history)):
        for entry in range(offsets[history[k]], offsets[history[k] + 1]):
            totals[directors[entry]] += np.float32(1) + centred[k]
    # Step 2: the sum over each candidate's directors.
    for candidate in range(len(rows)):
        total = np.float32(0)
        for entry in range(offsets[rows[candidate]], offsets[rows[candidate] + 1]):
            total += totals[directors[entry]]
        out[candidate] = total
