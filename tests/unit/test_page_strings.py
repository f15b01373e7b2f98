"""The page's texts: no second list of the names that the service gives in GET /model."""

import re
from pathlib import Path

from movierank_core.features.families import FAMILIES
from movierank_core.retrieval.registry import source_types

STRINGS = (Path(__file__).parents[2] / "ui" / "strings" / "en.js").read_text("utf-8")
KEYS = set(re.findall(r'^\s*"([^"]+)":', STRINGS, re.MULTILINE))


def test_no_source_is_named_by_the_page() -> None:
    assert {f"system.{name}" for name in source_types()} & KEYS == set()


def test_no_family_and_no_reason_is_named_by_the_page() -> None:
    assert {f"{kind}.{name}" for name in FAMILIES for kind in ("family", "reason")} & KEYS == set()
    assert not [key for key in KEYS if key.startswith("family.")]


def test_sentences_of_reasons_have_only_parameters_that_the_page_fills() -> None:
    parameters = {name for family in FAMILIES.values() for name in re.findall(r"\{(\w+)\}", family.reason)}
    assert parameters <= {"genre", "decade", "title"}
