"""The documentation says what the code does."""

from pathlib import Path

from movierank_core.features.document import features_document

ROOT = Path(__file__).resolve().parent.parent


def test_the_feature_catalogue_is_that_of_the_definitions() -> None:
    assert (ROOT / "docs" / "features.md").read_text("utf-8") == features_document(), (
        "run `python -m movierank_core.features.document > docs/features.md`"
    )


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150
