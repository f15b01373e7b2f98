"""Expensive test inputs, made once for all processes and all runs of the same code.

The cache is a folder that git ignores. Its key is the code that makes an input, so an edit makes it again.
`pytest --fresh-worlds` makes everything again.
"""

import functools
import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from filelock import FileLock

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".pytest_cache" / "movierank"
MAKERS: Final = ("releases", "stores", "tiny_pipeline", "trained_service", "simulated")
"""Modules of this package that make inputs."""
TRAINING_CODE: Final = (
    *("movierank_core", "movierank_pipeline"),
    *(f"tests/support/{module}.py" for module in MAKERS),
)
"""Folders and files whose code decides the result of a training."""
N_KEPT: Final = 3
"""Maximum number of versions of one input in the cache; the least recently used ones are removed."""
_KEY_LENGTH: Final = 16


def made_once(name: str, make: Callable[[Path], None], code: tuple[str, ...] = TRAINING_CODE) -> Path:
    """The folder that `make(folder)` filled, in this run or an earlier one of the same code.

    Processes that ask at the same time wait for the first. The folder is shared: a caller that changes files
    must copy it. `make` runs again after it raised, in an empty folder.
    """
    folder = CACHE / f"{name}-{_key(code)}"
    finished = folder.with_suffix(".finished")
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
        finished.touch()
        _remove_old(name)
    return folder


def forget_everything() -> None:
    """Empties the cache."""
    shutil.rmtree(CACHE, ignore_errors=True)


def _remove_old(name: str) -> None:
    """Removes unfinished versions of an input, and all but the `N_KEPT` most recently used ones.

    The caller holds the lock of the input, so no process is making one.
    """
    pattern = f"{name}-{'?' * _KEY_LENGTH}"
    markers = CACHE.glob(f"{pattern}.finished")
    newest_first = sorted(markers, key=lambda path: path.stat().st_mtime, reverse=True)
    for marker in newest_first[N_KEPT:]:
        marker.unlink()
    for folder in CACHE.glob(pattern):
        if not folder.with_suffix(".finished").exists():
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _key(code: tuple[str, ...]) -> str:
    """A hash of the files in and below `code`, the locked libraries and the version of Python."""
    # Stores hold absolute paths, so a moved checkout needs other ones.
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    paths = [path for name in code for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    sources = sorted(path for path in paths if path.suffix in (".py", ".tsv") and path.is_file())
    for path in [ROOT / "requirements.lock", *sources]:
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_KEY_LENGTH]
