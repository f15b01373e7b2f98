"""A trained version whose films have other titles, as if the data had had them."""

import hashlib
import json
from pathlib import Path

import polars as pl

from movierank_core.manifest import MANIFEST
from movierank_serving.model_sync.local_copies import ModelCopies
from tests.support.trained_service import Service
from tests.support.waiting import wait_for

CATALOGUE = "catalogue.parquet"


def serve_with_titles(service: Service, titles: dict[int, str]) -> None:
    """Starts `service` on its version with `titles` by movie id; the copy passes every check."""
    service.start()
    copies = ModelCopies(Path(service.environment["MOVIERANK_HOME"]) / "model_cache")
    wait_for(lambda: copies.current() is not None, "a copy of the version")
    service.kill()
    current = copies.current()
    assert current is not None
    folder = copies.folder_of(current)
    frame = pl.read_parquet(folder / CATALOGUE)
    assert set(titles) <= set(frame["movie_id"].to_list())
    changed = pl.col("movie_id").replace_strict(titles, default=None, return_dtype=pl.String)
    frame.with_columns(title=pl.coalesce(changed, "title")).write_parquet(folder / CATALOGUE)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    manifest["files"][CATALOGUE] = hashlib.sha256((folder / CATALOGUE).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    service.start()
