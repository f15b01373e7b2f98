"""The parts that a training can leave out: groups, blocks and sources."""

from movierank_core.features.blocks.genre import Genre
from movierank_core.features.feature import CROSS
from movierank_core.features.registry import BLOCKS, feature_list
from movierank_pipeline.evaluation.ablation import feature_blocks


def test_a_model_without_a_block_lacks_its_features_alone() -> None:
    gone = set(feature_list()) - set(feature_list(("tmdb_snapshot", "block:genre")))
    assert gone == set(Genre.features())


def test_blocks_are_left_out_one_by_one_if_they_are_a_part_of_a_group() -> None:
    found = feature_blocks()
    assert {"block:genre", "block:people"} <= set(found)
    for block in BLOCKS:
        groups = {feature.group for feature in block.features()}
        rest = [feature for feature in feature_list() if feature.group in groups]
        is_part = bool(rest) and set(rest) != set(block.features())
        assert (f"block:{block.NAME}" in found) == is_part


def test_the_only_block_that_is_left_of_a_group_is_the_group() -> None:
    assert feature_blocks((CROSS,)) == []
    first, *others = feature_blocks()
    assert feature_blocks(tuple(others)) == []
    assert first not in feature_blocks((first,))
