"""Files and folders that appear whole or not at all: the only place that writes and then renames.

A writer fills a temporary folder beside the target, `.<name>.<token>.movierank-partial`, with a token of its
own, and holds a lock on it. The operating system releases the lock when the process ends, however it ends,
so the next write in the same folder knows which temporary folders a killed process left, and deletes them.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = ".movierank-partial"


@contextmanager
def atomic_write(target: Path, *, is_durable: bool = False) -> Iterator[Path]:
    """A path that does not exist yet, to be filled with a file or a folder that then becomes `target`.

    An error in the block leaves `target` as it was and deletes what was written. With `is_durable` every
    file is flushed to the disk before it takes its name. Of two writers at once, the last to end wins.
    A file is replaced in one step. While a folder is replaced, there is none for a moment. The parent
    folder is made where it is missing. Other paths beside the yielded one may be used as scratch space.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    delete_leftovers(target.parent)
    with _temporary_folder(target) as temporary:
        written = temporary / target.name
        yield written
        if is_durable:
            _flush(written)
        _move(written, target, temporary)


def leftovers(folder: Path) -> list[Path]:
    """The temporary folders in `folder` whose writers have ended."""
    found = []
    for path in sorted(folder.glob(f".*{SUFFIX}")):
        with suppress(OSError):  # Its writer is running, or another process deletes it.
            os.close(_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
            found.append(path)
    return found


def delete_leftovers(folder: Path) -> None:
    """Delete the temporary folders in `folder` whose writers have ended; those of running ones stay."""
    for path in folder.glob(f".*{SUFFIX}"):
        try:
            lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # Its writer is running, or another process deletes it.
            continue
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


@contextmanager
def _temporary_folder(target: Path) -> Iterator[Path]:
    while True:
        folder = target.with_name(f".{target.name}.{secrets.token_hex(8)}{SUFFIX}")
        folder.mkdir()
        try:
            lock = _lock(folder, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue
        if folder.is_dir():
            break
        # Deleted by another process between its making and its locking.
        os.close(lock)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path, operation: int) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, operation)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _flush(written: Path) -> None:
    for path in [written, *written.rglob("*")] if written.is_dir() else [written]:
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _move(written: Path, target: Path, temporary: Path) -> None:
    while True:
        replaced = temporary / f"replaced.{secrets.token_hex(8)}"
        if written.is_dir() and target.is_dir():
            # A folder cannot be renamed to one that is not empty.
            try:
                os.replace(target, replaced)
            except FileNotFoundError:
                continue  # Another writer has just moved it.
        try:
            os.replace(written, target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue  # Another writer was faster; its folder is replaced as well.
            if replaced.exists():
                os.replace(replaced, target)
            raise
        return
