"""Which ratings the pipeline learns from, and where they lie."""

from pathlib import Path
from typing import Final

from movierank_core.errors import DataError
from movierank_core.paths import Paths
from movierank_pipeline.ingest.movielens.byte_progress import ByteProgress
from movierank_pipeline.ingest.movielens.download import fetch_dataset
from movierank_pipeline.ingest.movielens.editions import INFO_FILE, RATINGS_FILES, find_edition
from movierank_pipeline.ingest.sample.dataset import TMDB_FILE, synthesize, write_dataset
from movierank_pipeline.ingest.tmdb.metadata import MetadataSettings
from movierank_pipeline.settings import Settings

SAMPLE: Final = "sample"
DOWNLOADED_BY_DEFAULT: Final = "ml-latest-small"
DATASET_FILES: Final = {
    *RATINGS_FILES.values(),
    *("movies.csv", "links.csv", "movies.dat", "users.dat", "u.item", "u.genre"),
    *("README.txt", INFO_FILE),
}
"""What the readers of MovieLens editions look at; editions hold large files besides."""


def dataset_name(settings: Settings, paths: Paths) -> str:
    """The data set that `settings` mean where they name no folder."""
    if settings.dataset is not None:
        return settings.dataset
    return DOWNLOADED_BY_DEFAULT if (paths.datasets / DOWNLOADED_BY_DEFAULT).is_dir() else SAMPLE


def dataset_folder(settings: Settings, paths: Paths, progress: ByteProgress | None = None) -> Path:
    """The folder with the ratings, downloaded or made first where it is not there yet.

    Raises DataError for a folder or a name that does not exist, and for a download that fails.
    """
    if settings.data_dir is not None:
        return Path(settings.data_dir).expanduser().resolve()
    name = dataset_name(settings, paths)
    if name != SAMPLE:
        return fetch_dataset(name, paths.datasets, progress=progress)
    folder = paths.datasets / SAMPLE
    if not (folder / INFO_FILE).is_file():
        write_dataset(synthesize(), folder)
    return folder


def metadata_file(settings: Settings, paths: Paths) -> Path | None:
    """The file with TMDB facts: the one that was set, else the one that came with the data set.

    Raises DataError if a file was set that does not exist.
    """
    if settings.tmdb_file is not None:
        file = Path(settings.tmdb_file).expanduser().resolve()
        if not file.is_file():
            raise DataError(
                f"There is no TMDB file {file}",
                expected="the Kaggle CSV or a Parquet file of TMDB facts",
                remedy="correct the path, or leave `--tmdb-file` out to do without",
            )
        return file
    file = find_edition(dataset_folder(settings, paths)).folder / TMDB_FILE
    return file if file.is_file() else None


def metadata_settings(settings: Settings, paths: Paths) -> MetadataSettings:
    """Where TMDB facts come from: the API if the environment has a key, and the file of `metadata_file`."""
    return MetadataSettings.from_environment(
        paths.home, metadata_file(settings, paths), settings.request_policy, settings.tmdb_refreshes_a_day
    )
