"""The documentation says what the code does."""

import re
from pathlib import Path

from movierank_core.features.document import features_document
from movierank_pipeline.alerts import ALERT_URL
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.tuning import SEARCHED
from movierank_serving.openapi import API_HANDLERS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("movierank_core", "movierank_pipeline", "movierank_serving", "movierank_cli")


def test_the_feature_catalogue_is_that_of_the_definitions() -> None:
    assert (ROOT / "docs" / "features.md").read_text("utf-8") == features_document(), (
        "run `python -m movierank_core.features.document > docs/features.md`"
    )


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


def test_every_setting_of_the_gate_of_tuning_of_alerts_and_of_what_is_kept_is_documented() -> None:
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    prefixes = ("gate_", "promotion_", "stale_", "tune_", "keep_")
    names = [name for name in Settings.model_fields if name.startswith(prefixes)]
    assert len(names) >= 9
    assert f"| `{ALERT_URL}` | none |" in document
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


def test_every_module_that_a_document_names_exists() -> None:
    """A path may be relative to its folder."""
    folders = (*PACKAGES, "benchmarks", "tests")
    known = {path.relative_to(ROOT).as_posix() for name in folders for path in (ROOT / name).rglob("*.py")}
    missing = []
    for name in ("architecture.md", "contributing.md", "why.md"):
        for path in re.findall(r"`([\w/]+\.py)`", (ROOT / "docs" / name).read_text("utf-8")):
            if not any(module == path or module.endswith(f"/{path}") for module in known):
                missing.append(f"docs/{name}: {path}")
    assert missing == []


RIDDLES = (
    r"in rests", r"beyond doubt", r"does without", r"mend(s|ed|ing)?", r"anew", r"speaks? of", r"at the most",
    r"is no (URL|watermark|number)", r"are no numbers", r"is worth", r"nobody", r"those that",
    r"the one that", r"of them",
)  # fmt: skip
"""Phrases that have a plainer standard term."""


def test_code_documents_and_page_use_plain_words() -> None:
    folders = (*PACKAGES, "benchmarks", "docs", "ui")
    files = [ROOT / "README.md", ROOT / "Makefile"]
    files += [path for name in folders for path in sorted((ROOT / name).rglob("*"))]
    riddle = re.compile(rf"\b({'|'.join(RIDDLES)})\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.suffix in {"", ".py", ".md", ".js", ".css", ".html"}
        and path.is_file()
        and "node_modules" not in path.parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if riddle.search(line)
    ]
    assert found == []
