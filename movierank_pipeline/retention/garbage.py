"""Things that may be deleted, and their deletion one by one."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from movierank_core.errors import MovierankError


class CleanUpError(MovierankError):
    """Something could not be deleted; the rest was."""


@dataclass(frozen=True)
class Garbage:
    """One thing that may be deleted."""

    what: str
    n_bytes: int
    """Its size on this machine's disks; 0 if it is elsewhere."""
    delete: Callable[[], bool]
    """Deletes it, also if an earlier call was killed. Returns False, and keeps it, if it is in use by now."""

    @property
    def megabytes(self) -> str:
        return f"{self.n_bytes / 1e6:.1f} MB"


def delete_all(found: Iterable[Garbage], deleted: Callable[[Garbage], None]) -> None:
    """Deletes one after the other, and calls `deleted` after each.

    An item that cannot be deleted does not keep the others: CleanUpError names it at the end.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    failures = []
    for item in found:
        try:
            if item.delete():
                deleted(item)
        except (OSError, MlflowException, SQLAlchemyError) as error:
            failures.append(f"{item.what} ({error})")
    if failures:
        raise CleanUpError(
            f"{len(failures)} of the old things could not be deleted: {'; '.join(failures)}",
            remedy="correct the cause, such as the owner of the files, and run `movierank gc`",
        )


def delete_folder(folder: Path) -> bool:
    """Deletes a folder with its content; one that is gone already is no error."""
    if folder.is_dir():
        shutil.rmtree(folder)
    return True


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in and below a folder; 0 if there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
