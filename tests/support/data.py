"""Real data for tests, which is not part of the repository."""

import os
from pathlib import Path

from tests.support.missing import skip_without

ROOT = Path(__file__).resolve().parents[2]


def test_data(*parts: str) -> Path:
    """A path below the test data folder; skips the test where it does not exist."""
    folder = Path(os.environ.get("MOVIERANK_TEST_DATA", ROOT.parent / "shared" / "data"))
    path = folder.joinpath(*parts)
    if not path.exists():
        skip_without("test data", "set MOVIERANK_TEST_DATA to a folder with MovieLens data sets")
    return path


test_data.__test__ = False  # type: ignore[attr-defined]  # A helper, whatever pytest reads into its name.
