"""How each candidate source scores, ranks and describes a candidate of the request."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from movierank_core.features.block import Block
from movierank_core.features.feature import RETRIEVAL, Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval import registry
from movierank_core.retrieval.source import Source

FUSED: Final = (
    Feature(
        "fused_log_rank",
        RETRIEVAL,
        "taste_match",
        "log(rank)",
        "Logarithm of the candidate's rank by reciprocal rank fusion of all sources.",
    ),
    Feature("n_sources", RETRIEVAL, "taste_match", "sources", "How many sources propose the candidate."),
)
"""Features of all sources together."""


class Sources(Block):
    """Two features per registered source, two of the fused list, and the details that sources give.

    Scores are compared with the fused candidates alone. A candidate that comes after them, at a reserved
    rank or added by an explanation, does not change the features of the others.
    """

    NAME = "sources"

    @classmethod
    def features(cls) -> tuple[Feature, ...]:
        return _features_of(registry.SOURCES)

    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        candidates = request.candidates
        n = len(candidates.rows)
        n_fused = candidates.n_fused or n
        log_ranks = np.log(np.minimum(np.arange(1, n + 1), n_fused + 1)).astype(np.float32)
        first_features = _first_features(registry.SOURCES)
        if len(candidates.scores) < len(first_features):
            out[:] = np.nan  # A source that the model has not gives no value.
        of_all = 2 * len(first_features)
        out[of_all] = log_ranks
        out[of_all + 1] = candidates.n_sources
        if not candidates.scores:
            return
        scores = np.array(list(candidates.scores.values()), np.float32)
        features = np.array([first_features[name] for name in candidates.scores])
        keys = np.empty((len(scores), n_fused), np.uint64)
        standardise(scores, n_fused, features, out, keys)
        keys.sort(axis=1)  # All keys differ, so the sort need not be stable.
        fill_log_ranks(keys, log_ranks, features, out)
        if n > n_fused:
            fill_added_log_ranks(scores, n_fused, features, out)
        for name, first in _first_details(registry.SOURCES).items():
            if name in candidates.details:
                of_source = candidates.details[name]
                out[first : first + len(of_source)] = of_source


@lru_cache(maxsize=8)
def _features_of(sources: tuple[type[Source], ...]) -> tuple[Feature, ...]:
    of_sources = [
        feature
        for source in sources
        for feature in (
            Feature(
                f"{source.name}_z",
                RETRIEVAL,
                source.family,
                "standard deviations",
                f"Score of {source.meaning}, as a z-score over the request's candidates.",
                source.name,
            ),
            Feature(
                f"{source.name}_log_rank",
                RETRIEVAL,
                source.family,
                "log(rank)",
                f"Logarithm of the rank (from 1) by {source.meaning}, among the request's candidates.",
                source.name,
            ),
        )
    ]
    details = [
        Feature(
            f"{source.name}_{detail.name}", RETRIEVAL, source.family, detail.unit, detail.meaning, source.name
        )
        for source in sources
        for detail in source.details
    ]
    return (*of_sources, *FUSED, *details)


@lru_cache(maxsize=8)
def _first_details(sources: tuple[type[Source], ...]) -> Mapping[str, int]:
    """By source with details the index of its first one in the block."""
    first, indices = 2 * len(sources) + len(FUSED), {}
    for source in sources:
        if source.details:
            indices[source.name] = first
            first += len(source.details)
    return indices


@lru_cache(maxsize=8)
def _first_features(sources: tuple[type[Source], ...]) -> Mapping[str, int]:
    """By source the index of its z-score in the block; its log-rank follows."""
    return {source.name: 2 * number for number, source in enumerate(sources)}


@njit(cache=True, nogil=True)
def standardise(scores, n_fused, features, out, keys):  # type: ignore[no-untyped-def]  # numba
    """Writes z-scores of `scores` [n_sources, n] to the rows `features` of `out`, and sort keys to `keys`.

    Mean and deviation are those of the first `n_fused` candidates; a source whose scores do not vary there
    gets 0. `keys` is [n_sources, n_fused]: ascending keys are descending scores, equal scores by candidate.
    """
    bits = scores.view(np.uint32)
    for source in range(len(scores)):
        # Step 1: mean and deviation, in double precision: in single precision, equal scores may differ from
        # their own mean.
        mean, squares = 0.0, 0.0
        for candidate in range(n_fused):
            mean += scores[source, candidate]
        mean /= max(n_fused, 1)
        for candidate in range(n_fused):
            squares += (scores[source, candidate] - mean) ** 2
        deviation = np.sqrt(squares / max(n_fused, 1))
        # Step 2: z-scores of all candidates.
        scale = 1.0 / deviation if deviation > 1e-9 else 0.0
        for candidate in range(scores.shape[1]):
            out[features[source], candidate] = (scores[source, candidate] - mean) * scale
        # Step 3: keys. Flipping all bits of a negative float, or the sign bit of another, makes unsigned
        # integers that sort as the floats do. Their complement descends; the candidate breaks ties.
        for candidate in range(n_fused):
            score_bits = bits[source, candidate] if scores[source, candidate] != 0 else np.uint32(0)  # No -0.
            ascending = ~score_bits if score_bits >> np.uint32(31) else score_bits | np.uint32(1 << 31)
            keys[source, candidate] = np.uint64(np.uint32(~ascending)) << np.uint64(32) | np.uint64(candidate)


@njit(cache=True, nogil=True)
def fill_log_ranks(sorted_keys, log_ranks, features, out):  # type: ignore[no-untyped-def]  # numba
    """Writes the log-ranks of the fused candidates, from the keys of `standardise` in ascending order.

    `log_ranks[r]` is the value for rank r + 1. It goes to the row after the z-score's.
    """
    for source in range(len(sorted_keys)):
        for rank in range(sorted_keys.shape[1]):
            candidate = np.uint32(sorted_keys[source, rank])
            out[features[source] + 1, candidate] = log_ranks[rank]


@njit(cache=True, nogil=True)
def fill_added_log_ranks(scores, n_fused, features, out):  # type: ignore[no-untyped-def]  # numba
    """Writes the log-ranks of candidates after the first `n_fused`: each as if it alone joined the fused.

    Fused candidates with an equal score come first.
    """
    for source in range(len(scores)):
        for candidate in range(n_fused, scores.shape[1]):
            n_before = 0
            for fused in range(n_fused):
                n_before += scores[source, fused] >= scores[source, candidate]
            out[features[source] + 1, candidate] = np.log(n_before + 1.0)
