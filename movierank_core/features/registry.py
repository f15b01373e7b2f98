"""The one list of feature blocks, and everything that derives from it: features, their order, the layout.

The order of blocks, and of features within a block, is the order of matrix columns and of docs/features.md.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movierank_core.features.block import Block
from movierank_core.features.blocks.distance import Distance
from movierank_core.features.blocks.genre import Genre
from movierank_core.features.blocks.language import Language
from movierank_core.features.blocks.movie import Movie
from movierank_core.features.blocks.people import People
from movierank_core.features.blocks.position import Position
from movierank_core.features.blocks.sources import Sources
from movierank_core.features.blocks.tmdb_snapshot import TmdbSnapshot
from movierank_core.features.blocks.user import User
from movierank_core.features.feature import BLOCK_PREFIX, DEFAULT_WITHOUT, SOURCE_PREFIX, Feature

BLOCKS: Final[tuple[type[Block], ...]] = (
    Sources,
    User,
    Movie,
    Genre,
    Distance,
    Language,
    People,
    TmdbSnapshot,
    Position,
)
"""Every feature block. A new block is one more line here."""


class Layout(NamedTuple):
    """Where the blocks write the features of one model."""

    parts: tuple[tuple[type[Block], int, int], ...]
    """The blocks that compute at least one of the features, each with the start and stop of its rows."""
    n_rows: int
    """Number of rows that these blocks fill."""
    rows: NDArray[np.int64] | None
    """Per feature its row; None if the features are all rows in order."""


def all_features() -> tuple[Feature, ...]:
    """Every feature that can be computed, in matrix order."""
    return tuple(feature for block in BLOCKS for feature in block.features())


def feature_list(
    without: tuple[str, ...] = DEFAULT_WITHOUT, sources: Collection[str] | None = None
) -> tuple[Feature, ...]:
    """The features of a model in matrix order, less the parts in `without`.

    A part is a group, a block (`block:genre`) or a source (`source:als`). `sources` are the names of the
    sources that the model has; None stands for every registered one.
    """
    return tuple(
        feature
        for block in BLOCKS
        for feature in block.features()
        if f"{BLOCK_PREFIX}{block.NAME}" not in without
        and feature.group not in without
        and f"{SOURCE_PREFIX}{feature.source}" not in without
        and (not feature.source or sources is None or feature.source in sources)
    )


def layout_of(features: tuple[Feature, ...]) -> Layout:
    """The layout for a model with these features; KeyError for a feature that no block computes."""
    wanted = {feature.name for feature in features}
    parts: list[tuple[type[Block], int, int]] = []
    names: list[str] = []
    for block in BLOCKS:
        of_block = block.features()
        if any(feature.name in wanted for feature in of_block):
            parts.append((block, len(names), len(names) + len(of_block)))
            names += [feature.name for feature in of_block]
    row_of = {name: row for row, name in enumerate(names)}
    rows = np.array([row_of[feature.name] for feature in features], np.int64)
    is_all = np.array_equal(rows, np.arange(len(names)))
    return Layout(tuple(parts), len(names), None if is_all else rows)
