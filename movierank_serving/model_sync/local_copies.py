"""The local copies of model versions: what `sync` writes and the workers read.

    versions/<version>-<run>/   verified bundles
    CURRENT                     which of them to serve
    CHALLENGER                  which of them to hold beside it, where that is wanted
    status.json                 what `sync` found when it last looked
    LOADING                     held by the worker that loads a version beside requests

These files are replaced atomically, so a reader sees an old one or a new one and never half of one.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from movierank_core.bundle import read_bundle
from movierank_core.errors import BundleError, MovierankError
from movierank_core.recommender.recommender import Recommender

_S = TypeVar("_S", bound=msgspec.Struct)


class CurrentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to load."""

    version: str
    run_id: str
    folder: str
    """Below `versions/`."""
    aliased_at: str
    """When `sync` saw the alias on it, ISO 8601, UTC."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A version that carried the alias and cannot be served."""

    version: str
    run_id: str
    error: str
    refused_at: str


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `sync` found when it last asked the registry."""

    checked_at: str
    registry_error: str | None
    """Why the registry gave no version; None if it did."""
    refused: list[Refusal]
    """The newest last."""


class ModelCopies:
    """The folder of copies; nothing is read or made before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.versions = folder / "versions"
        self.current_file = folder / "CURRENT"
        self.challenger_file = folder / "CHALLENGER"
        self.status_file = folder / "status.json"
        self._lock_file = folder / "LOADING"

    def current(self) -> CurrentVersion | None:
        """The version to serve, None if there was none yet. BundleError if CURRENT is damaged."""
        return self.named(self.current_file)

    def named(self, pointer: Path) -> CurrentVersion | None:
        """The version that `current_file` or `challenger_file` names; BundleError if it is damaged."""
        return _read(pointer, CurrentVersion)

    def status(self) -> SyncStatus | None:
        """What `sync` last found, None if it never looked. BundleError if the file is damaged."""
        return _read(self.status_file, SyncStatus)

    def folder_of(self, version: CurrentVersion) -> Path:
        return self.versions / version.folder

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """In this block, no other process is in it."""
        with self._lock_file.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def set_current(self, version: CurrentVersion) -> None:
        self.name(self.current_file, version)

    def name(self, pointer: Path, version: CurrentVersion) -> None:
        _replace(pointer, version)

    def set_status(self, status: SyncStatus) -> None:
        _replace(self.status_file, status)


def load_bundle(folder: Path) -> Recommender:
    """The verified recommender of a bundle; BundleError, whatever is wrong with it."""
    try:
        return read_bundle(folder, verify=True)
    except BundleError:
        raise
    except MovierankError as error:
        raise BundleError(str(error)) from error
    except Exception as error:
        # A damaged file can make any library below raise anything, and the old version must go on.
        raise BundleError(
            f"The bundle in {folder} cannot be loaded: {type(error).__name__}: {error}",
            expected="files as written",
            remedy="run `movierank materialize` to make a new version",
        ) from error


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _read(path: Path, kind: type[_S]) -> _S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"{path} cannot be read: {error}", remedy="delete it; the next look at the registry writes it"
        ) from error


def _replace(path: Path, content: msgspec.Struct) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(msgspec.json.encode(content))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
