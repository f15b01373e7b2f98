"""Detects the MovieLens edition in a folder by its files.

Editions differ in file names, separators and encodings; the content is the same. Data sets written by this
project also have a `dataset.json` with a name and whether the ratings are simulated.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from movierank_core.errors import DataError

Format = Literal["csv", "dat", "tab"]

RATINGS_FILES: Final[dict[Format, str]] = {"csv": "ratings.csv", "dat": "ratings.dat", "tab": "u.data"}
"""Name of the ratings file in each format."""

INFO_FILE: Final = "dataset.json"

KNOWN_EDITIONS: Final = (
    "ml-latest-small",
    "ml-latest",
    "ml-32m",
    "ml-25m",
    "ml-20m",
    "ml-10m",
    "ml-1m",
    "ml-100k",
)
"""Editions that GroupLens publishes and this module reads."""


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `dataset.json`. Unknown fields are ignored, so later versions may add fields."""

    name: str
    ratings_are_simulated: bool = False
    seed: int | None = None
    """Seed of simulated ratings; null for real ratings."""


@dataclass(frozen=True)
class Edition:
    """A folder with the files of one edition."""

    folder: Path
    """Folder of the files: the given folder, or its only subfolder with ratings."""
    format: Format
    info: DatasetInfo

    @property
    def ratings_file(self) -> Path:
        return self.folder / RATINGS_FILES[self.format]


def find_edition(folder: Path) -> Edition:
    """The edition in `folder`, or in its only subfolder with ratings.

    Raises `DataError` if there is none, if several subfolders have one, or if `dataset.json` is invalid.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}",
            expected="the folder of an extracted MovieLens data set",
            remedy="extract the archive first, or download one with `movierank download ml-latest-small`",
        )
    candidates = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    found = [(place, name) for place in candidates if (name := _format_of(place)) is not None]
    if found and found[0][0] == folder:
        found = found[:1]
    if len(found) == 1:
        place, file_format = found[0]
        return Edition(place, file_format, _info_of(place, file_format))
    if found:
        names = ", ".join(place.name for place, _ in found)
        raise DataError(
            f"{folder} holds several data sets: {names}", remedy="give the folder of one data set"
        )
    present = sorted(child.name for child in folder.iterdir())
    raise DataError(
        f"{folder} has no ratings in it: it "
        + (f"holds {', '.join(present[:8])}{', …' if len(present) > 8 else ''}" if present else "is empty"),
        expected=f"one of the files {', '.join(RATINGS_FILES.values())}",
        remedy="give the folder of an extracted MovieLens data set, or download one with "
        "`movierank download ml-latest-small`",
    )


def _format_of(folder: Path) -> Format | None:
    for file_format, name in RATINGS_FILES.items():
        if (folder / name).is_file():
            return file_format
    return None


def _info_of(folder: Path, file_format: Format) -> DatasetInfo:
    path = folder / INFO_FILE
    if not path.is_file():
        return DatasetInfo(name=_name_of(folder, file_format))
    try:
        return msgspec.json.decode(path.read_bytes(), type=DatasetInfo)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error})",
            expected='an object like `{"name": "…", "ratings_are_simulated": false}` in it',
            remedy="write the data set again, or delete the file",
        ) from error


def _name_of(folder: Path, file_format: Format) -> str:
    """GroupLens's name if the files identify it, else the folder's name."""
    if file_format == "tab":
        return "ml-100k"
    if file_format == "dat":
        return "ml-1m" if (folder / "users.dat").is_file() else "ml-10m"
    readme = folder / "README.txt"
    if readme.is_file():
        head = readme.read_bytes()[:4096].decode("utf-8", errors="replace")
        named = re.search(r"This dataset \((ml-[a-z0-9-]+)\)", head)
        if named:
            return named[1]
    return folder.resolve().name
