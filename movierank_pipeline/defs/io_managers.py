"""Where assets are kept between steps: tables as Parquet, fitted things as folders.

Both write beside the final place and then rename, so that a kill or a full disk leaves the old asset or
none, never half of one.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from movierank_core.errors import DataError
from movierank_core.paths import Paths


class ParquetIOManager(dg.UPathIOManager):
    """One Parquet file per asset, for `pl.DataFrame`."""

    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: pl.DataFrame, path: UPath) -> None:
        write_whole(Path(path.path), obj.write_parquet)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pl.DataFrame:
        place = _require_written(path)
        try:
            return pl.read_parquet(place)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(place, error) from error


class FolderIOManager(dg.UPathIOManager):
    """One folder per asset, for types with `save(folder)` and `load(folder)`.

    The type to load is the one that the reading asset annotates its input with.
    """

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        write_whole(Path(path.path), obj.save)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        place = _require_written(path)
        try:
            return context.dagster_type.typing_type.load(place)
        except (OSError, ValueError, KeyError, TypeError, EOFError, pl.exceptions.PolarsError) as error:
            raise _unreadable(place, error) from error


class ParquetStorage(dg.ConfigurableIOManagerFactory):
    """Parquet files below the assets folder of `MOVIERANK_HOME`."""

    def create_io_manager(self, context: dg.InitResourceContext) -> ParquetIOManager:
        return ParquetIOManager(UPath(Paths.from_environment().assets))


class FolderStorage(dg.ConfigurableIOManagerFactory):
    """Folders below the assets folder of `MOVIERANK_HOME`."""

    def create_io_manager(self, context: dg.InitResourceContext) -> FolderIOManager:
        return FolderIOManager(UPath(Paths.from_environment().assets))


def write_whole(place: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a sibling of `place` (a file or a folder), then puts that in its place.

    What an earlier kill left beside `place` is removed first. While a folder is exchanged there is, for a
    moment, none; a reader then says that the asset is missing.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    replaced = place.with_name(f".{place.name}.replaced")
    for leftover in (partial, replaced):
        _remove(leftover)
    try:
        write(partial)
        for file in partial.rglob("*") if partial.is_dir() else (partial,):
            if file.is_file():
                _flush(file)
        if place.is_dir():
            place.rename(replaced)
        os.replace(partial, place)
    except BaseException:
        _remove(partial)
        raise
    _remove(replaced)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _require_written(path: UPath) -> Path:
    place = Path(path.path)
    if not place.exists():
        raise DataError(
            f"The asset {place.stem} is not there: {place} does not exist",
            remedy=f"materialise {place.stem} first: `movierank materialize --select {place.stem}`",
        )
    return place


def _unreadable(place: Path, error: Exception) -> DataError:
    return DataError(
        f"The asset {place.stem} in {place} cannot be read: {error}",
        expected="what its last materialisation wrote",
        remedy=f"materialise it again: `movierank materialize --select {place.stem}`",
    )
