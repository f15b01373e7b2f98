"""Options that several subcommands share, and the settings that result from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from movierank_pipeline.settings import POLICIES, Settings

F = TypeVar("F", bound=Callable[..., Any])

_DATA_OPTIONS = (
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="A folder with the files of any MovieLens edition.",
    ),
    click.option("--dataset", help="A MovieLens edition to download, or `sample`."),
    click.option(
        "--tmdb-file",
        type=click.Path(path_type=Path),
        help="A TMDB metadata file (the Kaggle CSVs or Parquet).",
    ),
)


def data_options(command: F) -> F:
    """Adds `--data-dir`, `--dataset` and `--tmdb-file`; each overrides its environment variable."""
    for option in reversed(_DATA_OPTIONS):
        command = option(command)
    return command


def policy_option(command: F) -> F:
    """Adds `--policy`, which overrides `MOVIERANK_PROMOTION_POLICY`."""
    return click.option(
        "--policy",
        type=click.Choice(POLICIES),
        help="auto: a version that passes the gate serves. manual: it waits for `movierank promote`.",
    )(command)


def settings_of(
    data_dir: Path | None, dataset: str | None, tmdb_file: Path | None, **more: object
) -> Settings:
    """Settings from the given options, else from the environment, else from the defaults."""
    given = {
        "data_dir": None if data_dir is None else str(data_dir.resolve()),
        "dataset": dataset,
        "tmdb_file": None if tmdb_file is None else str(tmdb_file.resolve()),
        **more,
    }
    return Settings.from_environment(given=given)
