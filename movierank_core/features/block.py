"""The contract of a feature block."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.feature import Feature
from movierank_core.features.request import FeatureRequest
from movierank_core.retrieval.source import Arrays


class Block(ABC):
    """Features that are computed together, with everything about them in one file.

    `fit` makes the arrays that a bundle keeps, the constructor prepares them once per loaded model, and
    `fill` computes the features of one request. Many threads share one instance, so `fill` changes nothing
    but `out`. To add a feature that needs no new array, extend the block where it fits. A feature with a new
    array gets a block of its own, so that bundles without the array still load: write a subclass in
    `features/blocks/` and add it to `BLOCKS` in `features/registry.py`.
    """

    NAME: ClassVar[str]
    FEATURES: ClassVar[tuple[Feature, ...]] = ()
    """Definitions, in the order of the rows of `out`."""
    READS_FACTS: ClassVar[bool] = False
    """Whether the constructor reads arrays of `MovieFacts`; newer facts then prepare the block again."""

    @classmethod
    def features(cls) -> tuple[Feature, ...]:
        """The definitions; a block whose features depend on another registry overrides this."""
        return cls.FEATURES

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Arrays:
        """Arrays by name, different from those of other blocks, from events strictly before `as_of`.

        `data` holds all events then, replaced ones included. `as_of` is in seconds since 1970. The default
        is no array: the block reads arrays of other blocks, or none.
        """
        return {}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027  # Optional to override.
        """Prepares the fitted arrays of all blocks; KeyError if one that this block needs is missing."""

    @abstractmethod
    def fill(self, out: NDArray[np.float32], request: FeatureRequest) -> None:
        """Writes every entry of `out`, [n_features, n_candidates]; NaN means unknown.

        Row i holds feature i of `features()`, column k candidate k of the request. An empty history and a
        movie with unknown facts give finite defaults or NaN, as the definitions say; infinity never.
        """
