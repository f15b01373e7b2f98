"""The published facts of movies: written by the pipeline beside the histories, mapped by the service.

A snapshot is a folder with one `.npy` file per array. The file CURRENT names the snapshot to read. A snapshot
is written atomically and never changed. It holds counts and means per movie, no data about any person.
"""

import hashlib
import secrets
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.atomic import atomic_write
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history_snapshot import CURRENT, MANIFEST, PUBLISH, SNAPSHOTS_KEPT
from movierank_core.data.interactions import InteractionArrays
from movierank_core.data.schema import CATALOGUE
from movierank_core.errors import FactsError
from movierank_core.features.movie_facts import WINDOW_DAYS, FactsOverTime, MovieFacts, count_name
from movierank_core.retrieval.source import Arrays

FORMAT_VERSION: Final = 1

_TYPES: Final[dict[str, np.dtype]] = {
    "movie_ids": np.dtype(np.int64),
    **{count_name(days): np.dtype(np.float32) for days in (*WINDOW_DAYS, np.inf)},
    "mean_rating": np.dtype(np.float32),
    "like_share": np.dtype(np.float32),
    "rating_std": np.dtype(np.float32),
    "first_event": np.dtype(np.float64),
    "globals": np.dtype(np.float64),
}
"""Type by array. `globals` has two entries, the others one per movie."""


class FactsManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a snapshot: format, origin, sizes and hashes."""

    format_version: int
    snapshot_id: str
    created_at: str
    """ISO 8601, UTC."""
    as_of: int
    """Exclusive upper bound of the counted events, in seconds since 1970."""
    dataset: str
    n_movies: int
    files: dict[str, str]
    """SHA-256 of the file of each array."""


@dataclass(frozen=True)
class PublishedFacts:
    """One open snapshot; it works on after the files are deleted."""

    manifest: FactsManifest
    movie_ids: NDArray[np.int64]
    """Ascending."""
    arrays: Arrays

    def of(self, catalogue: Catalogue) -> MovieFacts:
        """The facts by row of `catalogue`. A movie that the snapshot lacks has no event."""
        columns = np.searchsorted(self.movie_ids, catalogue.movie_ids)
        columns = np.minimum(columns, max(len(self.movie_ids) - 1, 0))
        is_there = np.zeros(len(catalogue), np.bool_)
        if len(self.movie_ids):
            is_there = self.movie_ids[columns] == catalogue.movie_ids
        mean_of_all, share_of_all = self.arrays["globals"].tolist()
        absent = {"mean_rating": mean_of_all, "like_share": share_of_all}
        absent |= dict.fromkeys(("rating_std", "first_event"), np.nan)
        arrays: Arrays = {"globals": np.array([mean_of_all, share_of_all])}
        for name, array in self.arrays.items():
            if name != "globals":
                arrays[name] = np.full(len(catalogue), absent.get(name, 0.0), array.dtype)
                arrays[name][is_there] = array[columns[is_there]]
        return MovieFacts(self.manifest.as_of, arrays)


def publish_facts(interactions: pl.DataFrame, folder: Path, *, dataset: str) -> FactsManifest:
    """Publish the facts of INTERACTIONS, one second after the last event, as the current snapshot.

    `folder` is the parent of all snapshots. SNAPSHOTS_KEPT snapshots stay; older ones are deleted.
    """
    data = InteractionArrays.from_frame(interactions, Catalogue(pl.DataFrame(schema=CATALOGUE)))
    # Rows of the movies that have an event, since no catalogue is needed.
    movie_ids, rows = np.unique(data.movie_ids, return_inverse=True)
    data = replace(data, rows=rows.astype(np.int32))
    facts = FactsOverTime.of(data, len(movie_ids)).at(int(data.timestamps.max(initial=-1)) + 1)
    arrays = {"movie_ids": movie_ids, **facts.arrays}
    snapshot_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
    with atomic_write(folder / snapshot_id, is_durable=True) as written:
        written.mkdir()
        for name, dtype in _TYPES.items():
            np.save(written / f"{name}.npy", np.ascontiguousarray(arrays[name], dtype))
        manifest = FactsManifest(
            format_version=FORMAT_VERSION,
            snapshot_id=snapshot_id,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            as_of=facts.as_of,
            dataset=dataset,
            n_movies=len(movie_ids),
            files={name: _sha256(written / f"{name}.npy") for name in _TYPES},
        )
        (written / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    with atomic_write(folder / CURRENT) as pointer:
        pointer.write_text(snapshot_id + "\n", "ascii")
    snapshots = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: (path.name == snapshot_id, path.name),
    )
    for path in snapshots[:-SNAPSHOTS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    return manifest


def open_facts(folder: Path) -> PublishedFacts:
    """The current snapshot below `folder`, memory-mapped, with verified hashes.

    Raises FactsError if nothing was published, or if the snapshot is damaged or of a newer format.
    """
    pointer = folder / CURRENT
    try:
        snapshot = folder / pointer.read_text("ascii").strip()
        content = (snapshot / MANIFEST).read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).format_version
        if version > FORMAT_VERSION:
            raise FactsError(
                f"The facts snapshot {snapshot.name} has format {version}",
                expected=f"format {FORMAT_VERSION} or older",
                remedy="upgrade movierank",
            )
        manifest = msgspec.json.decode(content, type=FactsManifest)
        arrays = {name: _open_array(snapshot, name, manifest) for name in _TYPES}
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise FactsError(f"The facts in {folder} cannot be read: {error}", remedy=PUBLISH) from error
    return PublishedFacts(manifest, arrays.pop("movie_ids"), arrays)


class _Versioned(msgspec.Struct):
    format_version: int


def _open_array(snapshot: Path, name: str, manifest: FactsManifest) -> NDArray:
    """Raises OSError, ValueError or FactsError for a file that is not as published."""
    path = snapshot / f"{name}.npy"
    if _sha256(path) != manifest.files.get(name):
        raise FactsError(
            f"{path.name} of the facts snapshot {snapshot.name} is not as published", remedy=PUBLISH
        )
    array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    expected = (2 if name == "globals" else manifest.n_movies,)
    if array.dtype != _TYPES[name] or array.shape != expected:
        raise FactsError(
            f"{path.name} of the facts snapshot {snapshot.name} holds {array.dtype}{list(array.shape)}",
            expected=f"{_TYPES[name]}{list(expected)}",
            remedy=PUBLISH,
        )
    return array


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
