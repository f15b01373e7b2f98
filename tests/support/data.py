"""Real data for tests, where it is there: never part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_data(*parts: str) -> Path:
    """A path below the test data folder; skips the test, saying why, where it does not exist."""
    folder = Path(os.environ.get("MOVIERANK_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {path}: set MOVIERANK_TEST_DATA to a folder that has it")
    return path


test_data.__test__ = False  # type: ignore[attr-defined]  # A helper, whatever pytest reads into its name.
