"""How often the history has the language of the movie."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.block import Block
from movierank_core.features.columns import codes
from movierank_core.features.feature import CROSS, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays


class Language(Block):
    """Array: `language`, a code from 0 per catalogue row; -1 if the original language is unknown."""

    NAME = "language"
    FEATURES = (
        Feature(
            "language_share",
            CROSS,
            "language_match",
            "share",
            "Share of the history in the movie's language; NaN if the language is unknown.",
        ),
    )

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        return {"language": codes(catalogue.frame["original_language"])}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._languages = arrays["language"]
        self._n_languages = int(self._languages.max(initial=-1)) + 1

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        history = self._languages[request.query.rows]
        language_shares(self._languages[request.candidates.rows], history, self._n_languages, out[0])


@njit(cache=True, nogil=True)
def language_shares(languages, history_languages, n_languages, out):  # type: ignore[no-untyped-def]  # numba
    """Fills out [n]: per candidate language, its share of the history's movies with a known language.

    Languages are codes from 0, -1 if unknown. NaN for a candidate with an unknown language; 0 if no
    language of the history is known.
    """
    # Step 1: how often each language occurs in the history.
    counts = np.zeros(n_languages)
    n = 0
    for language in history_languages:
        if language >= 0:
            counts[language] += 1
            n += 1
    # Step 2: one look-up per candidate.
    for candidate in range(len(languages)):
        language = languages[candidate]
        out[candidate] = counts[language] / max(n, 1) if language >= 0 else np.nan
