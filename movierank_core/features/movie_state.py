"""The fitted arrays of all feature blocks, and the blocks that are prepared from them."""

from functools import cached_property
from typing import NamedTuple, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.interactions import InteractionArrays
from movierank_core.errors import BundleError
from movierank_core.features import registry
from movierank_core.features.block import Block
from movierank_core.features.blocks.movie import Movie
from movierank_core.features.feature import Feature
from movierank_core.features.movie_facts import MovieFacts
from movierank_core.retrieval.source import Arrays

B = TypeVar("B", bound=Block)


class PreparedBlocks(NamedTuple):
    """The blocks of one model, ready for requests; see `registry.Layout`."""

    features: tuple[Feature, ...]
    parts: tuple[tuple[Block, int, int], ...]
    n_rows: int
    rows: NDArray[np.int64] | None


class MovieState:
    """What is known of every movie at the moment of its facts, from events strictly before it.

    Each block documents the arrays that it fits. The properties are for code outside the
    blocks. Only the caches of prepared blocks change after construction.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._prepared: dict[type[Block], Block] = {}
        self._latest: PreparedBlocks | None = None

    @classmethod
    def fit(cls, data: InteractionArrays, catalogue: Catalogue, as_of: int) -> Self:
        """The state at `as_of` (seconds since 1970) from `data`, all events strictly before it."""
        arrays: Arrays = {}
        for block in registry.BLOCKS:
            of_block = block.fit(data, catalogue, as_of)
            if taken := sorted(arrays.keys() & of_block):
                raise ValueError(f"The block {block.NAME} fits arrays that another block fits: {taken}")
            arrays |= of_block
        return cls(arrays)

    def with_facts(self, facts: MovieFacts) -> Self:
        """The same movies with other facts. Blocks that read no facts are shared, not prepared again."""
        other = type(self)({**self._arrays, **Movie.at(facts, self.release_year)})
        other._prepared = {kind: block for kind, block in self._prepared.items() if not kind.READS_FACTS}
        if self._latest is not None:
            parts = tuple(
                (other.block(type(block)), start, stop) for block, start, stop in self._latest.parts
            )
            other._latest = self._latest._replace(parts=parts)
        return other

    def arrays(self) -> Arrays:
        """All arrays by name."""
        return dict(self._arrays)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The state that `arrays` describes; a bundle made before a block existed has none of its arrays."""
        return cls(dict(arrays))

    def block(self, kind: type[B]) -> B:
        """The block, prepared at first use; BundleError if the state has no array that it needs."""
        prepared = self._prepared.get(kind)
        if prepared is None:
            try:
                # Two threads may both prepare it at first; either result will do.
                prepared = self._prepared[kind] = kind(self._arrays)
            except KeyError as error:
                raise BundleError(
                    f"The model's state has no array {error}, which the feature block {kind.NAME!r} needs",
                    expected="a state fitted with this block",
                    remedy="run `movierank materialize` to make a new version",
                ) from error
        return cast(B, prepared)

    def prepare(self, features: tuple[Feature, ...]) -> PreparedBlocks:
        """The blocks that compute the features of a model, and where each writes.

        Kept for the latest tuple of features, compared by identity: a model always passes the same one, and
        comparing 63 features would take longer than some blocks. Raises as `block` and `layout_of` do.
        """
        latest = self._latest
        if latest is None or latest.features is not features:
            layout = registry.layout_of(features)
            parts = tuple((self.block(kind), start, stop) for kind, start, stop in layout.parts)
            latest = self._latest = PreparedBlocks(features, parts, layout.n_rows, layout.rows)
        return latest

    @property
    def n_events(self) -> NDArray[np.float32]:
        """Events per catalogue row."""
        return self._arrays["n_events"]

    @cached_property
    def log_events(self) -> NDArray[np.float32]:
        """log(1 + events) per catalogue row."""
        return np.log1p(self.n_events)

    @property
    def mean_rating(self) -> NDArray[np.float32]:
        """Shrunken mean rating per catalogue row."""
        return self._arrays["mean_rating"]

    @property
    def like_share(self) -> NDArray[np.float32]:
        """Shrunken share of likes among the ratings, per catalogue row."""
        return self._arrays["like_share"]

    @property
    def days_known(self) -> NDArray[np.float32]:
        """Days from the first event to the facts' moment, per catalogue row; NaN without events."""
        return self._arrays["days_known"]

    @property
    def age_years(self) -> NDArray[np.float32]:
        """Years from the start of the release year to the moment of the fit; NaN if the year is unknown."""
        return self._arrays["age_years"]

    @property
    def release_year(self) -> NDArray[np.float32]:
        """Release year per catalogue row; NaN if unknown."""
        return self._arrays["release_year"]

    @property
    def genres(self) -> NDArray[np.float32]:
        """[n_movies, n_genres]: genre vectors of length 1, zeros for a movie without genres."""
        return self._arrays["genres"]

    @property
    def mean_rating_of_all(self) -> float:
        """Mean of all ratings; 3.5 if there are none."""
        return float(self._arrays["globals"][0])

    @property
    def like_share_of_all(self) -> float:
        """Share of likes among all ratings; 0.5 if there are none."""
        return float(self._arrays["globals"][1])
