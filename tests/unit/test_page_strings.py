"""What the page says in words keeps up with what the service sends in codes."""

import re
from pathlib import Path

from movierank_core.features.registry import all_features
from movierank_core.retrieval.registry import source_types

STRINGS = (Path(__file__).parents[2] / "ui" / "strings" / "en.js").read_text("utf-8")
KEYS = set(re.findall(r'^\s*"([^"]+)":', STRINGS, re.MULTILINE))


def test_every_source_has_a_name() -> None:
    assert {f"system.{name}" for name in source_types()} <= KEYS


def test_every_family_of_features_has_a_name() -> None:
    assert {f"family.{feature.family}" for feature in all_features()} <= KEYS
