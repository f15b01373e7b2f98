"""Unfinished files and folders of killed processes below `MOVIERANK_HOME`."""

from functools import partial
from pathlib import Path
from typing import Final

from movierank_core.atomic import delete_leftovers, leftovers
from movierank_core.paths import Paths
from movierank_pipeline.release.build_bundle import BUNDLE_PREFIX
from movierank_pipeline.release.log_run import VERSION_PREFIX
from movierank_pipeline.retention.garbage import Garbage, delete_folder, size_of

_TEMPORARY: Final = (f"{BUNDLE_PREFIX}*", f"{VERSION_PREFIX}*")
"""Folders of a run that a kill leaves in the home: packed and downloaded bundles."""


def find_leftovers(paths: Paths) -> list[Garbage]:
    """What killed writers and runs have left. No run may be in progress, since its folders look the same.

    The folder of the service's copies is left to the service, which deletes its leftovers itself.
    """
    found = []
    for folder in (paths.home, paths.assets, paths.histories, paths.facts, paths.datasets):
        if parts := leftovers(folder):
            found.append(
                Garbage(
                    f"unfinished files in {folder}",
                    sum(map(size_of, parts)),
                    partial(_delete_leftovers, folder),
                )
            )
    for pattern in _TEMPORARY:
        for path in sorted(paths.home.glob(pattern)):
            found.append(Garbage(f"the folder {path}", size_of(path), partial(delete_folder, path)))
    return found


def _delete_leftovers(folder: Path) -> bool:
    delete_leftovers(folder)
    return True
