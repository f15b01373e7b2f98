"""A folder for numba's machine code that is named by the code of the whole package.

numba keeps the machine code of a kernel until the module of that kernel changes. A kernel that was inlined
from another module is part of that machine code, so after an edit there numba would go on with the old one.
Here every state of `movierank_core` has a folder of its own. It is chosen before numba is imported.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VARIABLE: Final = "NUMBA_CACHE_DIR"
OURS: Final = "MOVIERANK_NUMBA_CACHE"
"""Variable that repeats a folder chosen here, so that a child process does not take it for its user's."""
PREFIX: Final = "numba-"
KEPT_SECONDS: Final = 86_400
"""Minimum age of a folder of other code before it is deleted, in seconds: its process may still run."""


def choose_code_cache(package: Path) -> Path | None:
    """Let numba keep the machine code of `package` (a folder of sources) in a folder of its own.

    The folder is below the package's `__pycache__`, else below the user's cache, else in the temporary
    folder. A folder of the user's in NUMBA_CACHE_DIR is left alone. Returns the folder; None where the
    user chose one, or none of the three can be written, and numba decides. Folders of older code are deleted
    whenever a new one is made.
    """
    given = os.environ.get(VARIABLE)
    if given and given != os.environ.get(OURS):
        return None
    # Set in a parent process by older code, perhaps.
    os.environ.pop(VARIABLE, None)
    name = f"{PREFIX}{source_hash(package)}"
    for parent in _parents(package):
        folder = parent / name
        try:
            is_new = not folder.is_dir()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_usable(folder):
                continue
            if is_new:
                _delete_old(parent, current=name)
            os.utime(folder)
        except OSError:
            continue
        os.environ[VARIABLE] = os.environ[OURS] = str(folder)
        return folder
    return None


def source_hash(package: Path) -> str:
    """A hash of the paths and contents of all Python files below `package`."""
    digest = hashlib.sha256()
    for path in sorted(_sources(str(package))):
        digest.update(os.path.relpath(path, package).encode())
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:16]


def _sources(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield entry.path
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path)


def _parents(package: Path) -> Iterator[Path]:
    yield package / "__pycache__"
    # Several installations share these two, so each has a folder by its path.
    own = hashlib.sha256(str(package).encode()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield Path(cache) / "movierank" / own
    yield Path(tempfile.gettempdir()) / f"movierank-{_user()}" / own


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _is_usable(folder: Path) -> bool:
    """Whether this process can write to the folder, and no other user made it: it holds code to run."""
    is_own = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    return is_own and os.access(folder, os.W_OK | os.X_OK)


def _delete_old(parent: Path, *, current: str) -> None:
    """Delete the folders of other code, unless a process started with them lately."""
    oldest = time.time() - KEPT_SECONDS
    for path in parent.glob(f"{PREFIX}*"):
        if path.name != current and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)
