"""Every name of a family that a feature or a reason code uses is in the registry, with its words."""

from string import Formatter

import pytest

from movierank_core.features.families import FAMILIES, Family
from movierank_core.features.registry import all_features
from movierank_core.recommender.reasons import BECAUSE_FAMILIES, PROFILE_FAMILY
from movierank_core.recommender.results import COLD_ITEM_REASONS, FAMILY_OF_FUSED

PARAMETERS = {"genre_match": {"genre"}, "era_match": {"decade"}, "because_you_liked": {"title"}}


@pytest.mark.parametrize("feature", all_features(), ids=lambda feature: feature.name)
def test_the_family_of_every_feature_is_registered_with_a_label(feature) -> None:
    assert FAMILIES[feature.family].label


def test_families_that_the_recommender_names_itself_are_registered() -> None:
    contributions = {"base", PROFILE_FAMILY, *BECAUSE_FAMILIES, *FAMILY_OF_FUSED.values()}
    reasons = {"newcomer", "popular_lately", "because_you_liked", *COLD_ITEM_REASONS}
    assert all(FAMILIES[name].label for name in contributions)
    assert all(FAMILIES[name].reason for name in reasons)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_has_words_and_a_reason_only_the_parameters_that_its_code_has(family: Family) -> None:
    assert family.label or family.reason
    fields = {name for _, name, _, _ in Formatter().parse(family.reason) if name}
    assert fields == PARAMETERS.get(family.name, set())
