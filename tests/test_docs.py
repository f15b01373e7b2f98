"""The documentation says what the code does."""

import re
from pathlib import Path

from movierank_core.features.document import features_document
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.tuning import SEARCHED
from movierank_serving.openapi import API_HANDLERS

ROOT = Path(__file__).resolve().parent.parent


def test_the_feature_catalogue_is_that_of_the_definitions() -> None:
    assert (ROOT / "docs" / "features.md").read_text("utf-8") == features_document(), (
        "run `python -m movierank_core.features.document > docs/features.md`"
    )


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


def test_every_setting_of_the_gate_and_of_tuning_is_documented_with_its_default() -> None:
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    names = [name for name in Settings.model_fields if name.startswith(("gate_", "promotion_", "tune_"))]
    assert len(names) >= 5
    for name in names:
        default = Settings.model_fields[name].default
        shown = default if isinstance(default, str) else f"{default:g}"
        assert f"| `MOVIERANK_{name.upper()}` | `{shown}` |" in document


def test_every_setting_of_asking_tmdb_is_documented_with_its_default() -> None:
    document = (ROOT / "docs" / "tmdb.md").read_text("utf-8")
    names = [name for name in Settings.model_fields if name.startswith("tmdb_") and name != "tmdb_file"]
    assert len(names) >= 8
    for name in names:
        assert f"| `MOVIERANK_{name.upper()}` | `{Settings.model_fields[name].default:g}` |" in document


def test_the_bounds_of_tuning_are_documented() -> None:
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for name, (low, high, _) in SEARCHED.items():
        assert f"| `{name}` | {low:g} | {high:g} |" in document


def test_every_route_is_documented() -> None:
    document = (ROOT / "docs" / "api.md").read_text("utf-8")
    paths = {re.sub(r":\w+}", "}", path) for handler in API_HANDLERS for path in handler.paths}
    missing = [path for path in sorted(paths) if not re.search(rf"{re.escape(path)}(?![/\w])", document)]
    assert missing == []
