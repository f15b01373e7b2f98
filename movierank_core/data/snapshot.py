"""Published snapshots: written by the pipeline, memory-mapped by the service.

A snapshot is a folder with one `.npy` file per array and a manifest. The file CURRENT names the snapshot to
read. A snapshot is written atomically and never changed.
"""

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.atomic import atomic_write
from movierank_core.errors import MovierankError

CURRENT: Final = "CURRENT"
MANIFEST: Final = "manifest.json"
SNAPSHOTS_KEPT: Final = 2
"""Number of newest snapshots that stay after a publication."""
PUBLISH: Final = "run `movierank materialize` to publish it again"


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a snapshot: format, origin and files."""

    format_version: int
    snapshot_id: str
    created_at: str
    """ISO 8601, UTC."""
    dataset: str
    file_bytes: dict[str, int]
    """Size of the file of each array, in bytes."""
    sha256: dict[str, str] = {}
    """Hash of the file of each array; empty in a format without hashes."""


Manifest = TypeVar("Manifest", bound=SnapshotManifest)


@dataclass(frozen=True)
class SnapshotFormat(Generic[Manifest]):
    """What the snapshots of one kind hold. All errors are raised as `error`."""

    content: str
    """What is published, for messages: "histories" or "facts"."""
    version: int
    dtypes: Mapping[str, np.dtype]
    """Type by array; all arrays have one dimension."""
    manifest_type: type[Manifest]
    error: type[MovierankError]
    has_hashes: bool
    """Whether opening reads every file and compares its hash. Without, only sizes are compared."""

    def publish(self, folder: Path, arrays: Mapping[str, NDArray], **fields: Any) -> Manifest:
        """Write `arrays` as the current snapshot below `folder`; `fields` are those of the manifest.

        SNAPSHOTS_KEPT snapshots stay; older ones are deleted.
        """
        now = datetime.now(UTC)
        snapshot_id = f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
        with atomic_write(folder / snapshot_id, is_durable=True) as written:
            written.mkdir()
            files = {name: written / f"{name}.npy" for name in self.dtypes}
            for name, dtype in self.dtypes.items():
                np.save(files[name], np.ascontiguousarray(arrays[name], dtype))
            manifest = self.manifest_type(
                format_version=self.version,
                snapshot_id=snapshot_id,
                created_at=now.isoformat(timespec="seconds"),
                file_bytes={name: file.stat().st_size for name, file in files.items()},
                sha256={name: _sha256(file) for name, file in files.items()} if self.has_hashes else {},
                **fields,
            )
            (written / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        with atomic_write(folder / CURRENT) as pointer:
            pointer.write_text(snapshot_id + "\n", "ascii")
        _delete_old(folder, current=snapshot_id)
        return manifest

    def open(self, folder: Path) -> tuple[Manifest, dict[str, NDArray]]:
        """The manifest and the memory-mapped arrays of the current snapshot below `folder`.

        Raises `error` if nothing was published, or if the snapshot is damaged or of a newer format.
        """
        pointer = folder / CURRENT
        try:
            snapshot_id = pointer.read_text("ascii").strip()
        except FileNotFoundError as error:
            raise self.error(
                f"No {self.content} are published in {folder}",
                expected=f"a file {CURRENT} that names a snapshot",
                remedy="run `movierank materialize`",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.error(f"{pointer} cannot be read: {error}", remedy=PUBLISH) from error
        snapshot = folder / snapshot_id
        if not snapshot_id or "/" in snapshot_id or snapshot_id.startswith(".") or not snapshot.is_dir():
            raise self.error(
                f"{pointer} names the snapshot {snapshot_id!r}, which is not there",
                expected=f"a folder in {folder}",
                remedy=PUBLISH,
            )
        manifest = self._manifest_of(snapshot)
        return manifest, {name: self._array_of(snapshot, name, manifest) for name in self.dtypes}

    def require_lengths(
        self, manifest: Manifest, arrays: Mapping[str, NDArray], lengths: Mapping[str, int]
    ) -> None:
        """Raises `error` unless each array has as many rows as `lengths` says."""
        for name, expected in lengths.items():
            if len(arrays[name]) != expected:
                raise self.error(
                    f"{name}.npy of {self._name(manifest.snapshot_id)} has {len(arrays[name])} rows",
                    expected=f"{expected} rows",
                    remedy=PUBLISH,
                )

    def _name(self, snapshot_id: str) -> str:
        return f"the {self.content} snapshot {snapshot_id}"

    def _manifest_of(self, snapshot: Path) -> Manifest:
        path = snapshot / MANIFEST
        try:
            content = path.read_bytes()
            version = msgspec.json.decode(content, type=_Versioned).format_version
            if version > self.version:
                raise self.error(
                    f"The {self.content} snapshot {snapshot.name} has format {version}",
                    expected=f"format {self.version} or older",
                    remedy="upgrade movierank",
                )
            return msgspec.json.decode(content, type=self.manifest_type)
        except (OSError, msgspec.MsgspecError) as error:
            raise self.error(f"{path} cannot be read: {error}", remedy=PUBLISH) from error

    def _array_of(self, snapshot: Path, name: str, manifest: Manifest) -> NDArray:
        path = snapshot / f"{name}.npy"
        what = f"{path.name} of {self._name(snapshot.name)}"
        try:
            found = path.stat().st_size
        except OSError as error:
            raise self.error(
                f"The {self.content} snapshot {snapshot.name} lacks {path.name}", remedy=PUBLISH
            ) from error
        expected = manifest.file_bytes.get(name)
        if found != expected:
            raise self.error(f"{what} has {found} bytes", expected=f"{expected} bytes", remedy=PUBLISH)
        try:
            if self.has_hashes and _sha256(path) != manifest.sha256.get(name):
                raise self.error(f"{what} is not as published", remedy=PUBLISH)
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise self.error(f"{what} cannot be read: {error}", remedy=PUBLISH) from error
        if mapped.ndim != 1 or mapped.dtype != self.dtypes[name]:
            raise self.error(
                f"{what} holds {mapped.dtype}{list(mapped.shape)}",
                expected=f"an array of {self.dtypes[name]} with one dimension",
                remedy=PUBLISH,
            )
        # A plain view, because slicing a memmap takes several microseconds more.
        return mapped.view(np.ndarray)


class _Versioned(msgspec.Struct):
    format_version: int


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _delete_old(folder: Path, *, current: str) -> None:
    """Delete all but the newest SNAPSHOTS_KEPT snapshots; `current` is kept in any case."""
    snapshots = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: (path.name == current, path.name),
    )
    for path in snapshots[:-SNAPSHOTS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
