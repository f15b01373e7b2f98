"""Local copies of model versions: `sync` writes them, the workers read them.

    versions/<version>-<run>/   verified bundles
    CURRENT                     names the version to serve
    CHALLENGER                  names the challenger, if the service loads one
    status.json                 result of the last check of the registry
    LOADING                     lock of the worker that loads a version while it serves another

CURRENT, CHALLENGER and status.json are replaced atomically: a reader sees the old file or the new one.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from movierank_core.atomic import atomic_write
from movierank_core.bundle import read_bundle
from movierank_core.errors import BundleError, MovierankError
from movierank_core.recommender.recommender import Recommender

_S = TypeVar("_S", bound=msgspec.Struct)


class CopiedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A model version whose bundle was copied to this machine and verified."""

    version: str
    run_id: str
    folder: str
    """Name of its folder in `versions/`."""
    aliased_at: str
    """Time at which `sync` found the alias on it, ISO 8601, UTC."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A version that carried the alias and is unusable."""

    version: str
    run_id: str
    error: str
    refused_at: str
    """ISO 8601, UTC."""


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the last check of the registry."""

    checked_at: str
    """ISO 8601, UTC."""
    registry_error: str | None
    """Why the registry gave no version; None if it gave one."""
    refused: list[Refusal]
    """Newest last."""


class ModelCopies:
    """The folder of local copies. The constructor reads and creates nothing."""

    def __init__(self, folder: Path) -> None:
        self.versions = folder / "versions"
        self.current_file = folder / "CURRENT"
        self.challenger_file = folder / "CHALLENGER"
        self.status_file = folder / "status.json"
        self._lock_file = folder / "LOADING"

    def current(self) -> CopiedVersion | None:
        """The version to serve; None if there is none yet. Raises BundleError if CURRENT is damaged."""
        return self.read(self.current_file)

    def read(self, pointer: Path) -> CopiedVersion | None:
        """The version that `pointer` (`current_file` or `challenger_file`) names; None without the file.

        Raises BundleError if the file is damaged.
        """
        return _read(pointer, CopiedVersion)

    def status(self) -> SyncStatus | None:
        """The last status of `sync`; None before its first check. Raises BundleError if it is damaged."""
        return _read(self.status_file, SyncStatus)

    def folder_of(self, version: CopiedVersion) -> Path:
        return self.versions / version.folder

    @contextmanager
    def loading_lock(self) -> Iterator[None]:
        """Holds a lock that all processes of the machine share; waits for it without a time limit."""
        with self._lock_file.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def set_current(self, version: CopiedVersion) -> None:
        self.write(self.current_file, version)

    def write(self, pointer: Path, version: CopiedVersion) -> None:
        """Makes `pointer` (`current_file` or `challenger_file`) name `version`."""
        _replace(pointer, version)

    def set_status(self, status: SyncStatus) -> None:
        _replace(self.status_file, status)


def load_bundle(folder: Path) -> Recommender:
    """The recommender of a bundle, verified. Raises BundleError for every failure."""
    try:
        return read_bundle(folder, verify=True)
    except BundleError:
        raise
    except MovierankError as error:
        raise BundleError(str(error)) from error
    except Exception as error:
        # A damaged file can raise anything in the libraries that read it, and the old version must go on.
        raise BundleError(
            f"The bundle in {folder} cannot be loaded: {type(error).__name__}: {error}",
            expected="files as written",
            remedy="run `movierank materialize` to make a new version",
        ) from error


def now() -> str:
    """The current time, ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(path: Path, kind: type[_S]) -> _S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"{path} cannot be read: {error}", remedy="delete it; the next check of the registry writes it"
        ) from error


def _replace(path: Path, content: msgspec.Struct) -> None:
    with atomic_write(path) as file:
        file.write_bytes(msgspec.json.encode(content))
