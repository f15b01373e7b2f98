"""Dagster IO managers: assets between steps, tables as Parquet files and fitted objects as folders.

Both write through `atomic_write`: a kill or a full disk never leaves half of an asset.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from movierank_core.atomic import atomic_write
from movierank_core.errors import DataError
from movierank_core.paths import Paths


class ParquetIOManager(dg.UPathIOManager):
    """One Parquet file per asset, for `pl.DataFrame`."""

    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: pl.DataFrame, path: UPath) -> None:
        with atomic_write(Path(path.path), is_durable=True) as file:
            obj.write_parquet(file)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pl.DataFrame:
        file = _require_written(path)
        try:
            return pl.read_parquet(file)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(file, error) from error


class FolderIOManager(dg.UPathIOManager):
    """One folder per asset, for types with `save(folder)` and `load(folder)`.

    The annotation of the reading asset's input gives the type to load.
    """

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        with atomic_write(Path(path.path), is_durable=True) as folder:
            obj.save(folder)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        folder = _require_written(path)
        try:
            return context.dagster_type.typing_type.load(folder)
        except (OSError, ValueError, KeyError, TypeError, EOFError, pl.exceptions.PolarsError) as error:
            raise _unreadable(folder, error) from error


class ParquetStorage(dg.ConfigurableIOManagerFactory):
    """Parquet files below the assets folder of `MOVIERANK_HOME`."""

    def create_io_manager(self, context: dg.InitResourceContext) -> ParquetIOManager:
        return ParquetIOManager(UPath(Paths.from_environment().assets))


class FolderStorage(dg.ConfigurableIOManagerFactory):
    """Folders below the assets folder of `MOVIERANK_HOME`."""

    def create_io_manager(self, context: dg.InitResourceContext) -> FolderIOManager:
        return FolderIOManager(UPath(Paths.from_environment().assets))


def _require_written(path: UPath) -> Path:
    stored = Path(path.path)
    if not stored.exists():
        raise DataError(
            f"The asset {stored.stem} is missing: {stored} does not exist",
            remedy=f"materialise {stored.stem} first: `movierank materialize --select {stored.stem}`",
        )
    return stored


def _unreadable(stored: Path, error: Exception) -> DataError:
    return DataError(
        f"The asset {stored.stem} in {stored} cannot be read: {error}",
        expected="the files of its last materialisation",
        remedy=f"materialise it again: `movierank materialize --select {stored.stem}`",
    )
