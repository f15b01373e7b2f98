"""Extracts zip archives from the network; no file can be written outside the target folder."""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.byte_progress import ByteProgress

_MAX_FILES: Final = 10_000
_MAX_BYTES: Final = 8 * 2**30
_MAX_RATIO: Final = 100
"""Maximum extracted bytes per byte of archive (a limit against zip bombs); MovieLens stays below 6."""
_CHUNK_BYTES: Final = 2**20

_REMEDY: Final = "delete it and download it again; should it happen again, do not trust its source"


def extract_safely(
    archive: Path,
    folder: Path,
    progress: ByteProgress | None = None,
    max_bytes: int = _MAX_BYTES,
) -> None:
    """Extracts all files of `archive` into `folder`, which must not exist. A failure deletes the folder.

    Raises `DataError` for a damaged or incomplete archive, a path outside the folder, a link, a device, a
    duplicate name, encryption, and content above `max_bytes` or a hundred times the archive's size.
    """
    with ExitStack() as undo:
        folder.mkdir(parents=True)
        undo.callback(shutil.rmtree, folder)
        try:
            with disk_errors(folder), zipfile.ZipFile(archive) as content:
                members = content.infolist()
                limit = min(max_bytes, max(_MAX_RATIO * archive.stat().st_size, 2**20))
                _check(archive, members, limit)
                _write(content, members, folder, limit, archive, progress)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DataError(
                f"{archive} is not a whole zip archive ({error})", expected="a zip archive", remedy=_REMEDY
            ) from error
        undo.pop_all()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Converts the OSError of a full disk into a `DataError` with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"The disk that holds {folder} is full", remedy="make room, or choose another folder"
        ) from error


def _check(archive: Path, members: list[zipfile.ZipInfo], limit: int) -> None:
    """Raises `DataError` for the first invalid member, before any file is written."""
    if len(members) > _MAX_FILES:
        raise DataError(
            f"{archive} holds {len(members)} files", expected=f"at most {_MAX_FILES}", remedy=_REMEDY
        )
    names: set[PurePosixPath] = set()
    for member in members:
        name = PurePosixPath(member.filename)
        if (
            name.is_absolute()
            or ".." in name.parts
            or "\\" in member.filename
            or PureWindowsPath(member.filename).drive
        ):
            raise DataError(
                f"{archive} holds the path {member.filename!r}, which leaves the folder it is extracted to",
                expected="paths below that folder",
                remedy=_REMEDY,
            )
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(
                f"{archive} holds {member.filename!r}, which is a link or a device",
                expected="files and folders",
                remedy=_REMEDY,
            )
        if name in names:
            raise DataError(
                f"{archive} holds {member.filename!r} twice", expected="each file once", remedy=_REMEDY
            )
        if member.flag_bits & 1:
            raise DataError(f"{archive} is encrypted", expected="an archive without password", remedy=_REMEDY)
        names.add(name)
    _check_size(archive, sum(member.file_size for member in members), limit)


def _check_size(archive: Path, n_bytes: int, limit: int) -> None:
    if n_bytes > limit:
        raise DataError(
            f"{archive} would extract to {n_bytes:,} bytes", expected=f"at most {limit:,}", remedy=_REMEDY
        )


def _write(
    content: zipfile.ZipFile,
    members: list[zipfile.ZipInfo],
    folder: Path,
    limit: int,
    archive: Path,
    progress: ByteProgress | None,
) -> None:
    total, done = sum(member.file_size for member in members), 0
    for member in members:
        target = folder.joinpath(*PurePosixPath(member.filename).parts)
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with content.open(member) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK_BYTES):
                done += len(chunk)
                _check_size(archive, done, limit)  # Declared sizes can be wrong.
                sink.write(chunk)
                if progress is not None:
                    progress(f"extracting {archive.name}", done, total)
            sink.flush()
            os.fsync(sink.fileno())
