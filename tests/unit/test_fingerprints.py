"""Fingerprints of the files of a data set: each state of a file is read once."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from movierank_core.paths import Paths
from movierank_pipeline.defs.provenance import fingerprint
from movierank_pipeline.settings import Settings

READERS = ("ratings", "movies", "links")
"""The assets that read the files."""


def test_a_file_that_several_assets_read_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,The Matrix (1999),Drama\n")
    hashed: list[str] = []

    def counting(file: Any, name: str, whole: Any = hashlib.file_digest) -> Any:
        hashed.append(Path(file.name).name)
        return whole(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    settings = Settings.model_validate({"data_dir": str(tmp_path)})
    paths = Paths(root=tmp_path, home=tmp_path)

    def fingerprints() -> list[str]:
        return [fingerprint(asset, settings, paths, {}) for asset in READERS]

    first = fingerprints()
    assert fingerprints() == first
    assert sorted(hashed) == ["movies.csv", "ratings.csv"]
    # The same size and time of modification do not hide another content.
    times = (tmp_path / "ratings.csv").stat()
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5.0,1\n")
    os.utime(tmp_path / "ratings.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprints() != first
    assert sorted(hashed) == ["movies.csv", "ratings.csv", "ratings.csv"]
