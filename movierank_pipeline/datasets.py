"""The data set that the pipeline learns from, and its folder."""

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
"""Files that the readers of MovieLens editions read. Editions have further, large files."""


def dataset_name(settings: Settings, paths: Paths) -> str:
    """Name of the data set for settings without a folder.

    The default is DOWNLOADED_BY_DEFAULT if it was downloaded, else the sample.
    """
    if settings.dataset is not None:
        return settings.dataset
    return DOWNLOADED_BY_DEFAULT if (paths.datasets / DOWNLOADED_BY_DEFAULT).is_dir() else SAMPLE


def dataset_folder(settings: Settings, paths: Paths, progress: ByteProgress | None = None) -> Path:
    """The folder with the ratings. A missing data set is downloaded, the missing sample is made.

    Raises DataError for an unknown name and for a failed download.
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
    """The file with TMDB facts: `tmdb_file`, else the file in the data set's folder, else None.

    Raises DataError if `tmdb_file` does not exist.
    """
    if settings.tmdb_file is not None:
        file = Path(settings.tmdb_file).expanduser().resolve()
        if not file.is_file():
            raise DataError(
                f"There is no TMDB file {file}",
                expected="the Kaggle CSV or a Parquet file of TMDB facts",
                remedy="correct the path, or leave out `--tmdb-file`",
            )
        return file
    file = find_edition(dataset_folder(settings, paths)).folder / TMDB_FILE
    return file if file.is_file() else None


def metadata_settings(settings: Settings, paths: Paths) -> MetadataSettings:
    """Sources of TMDB facts: the API if the environment has a key, and the file of `metadata_file`."""
    return MetadataSettings.from_environment(
        paths.home, metadata_file(settings, paths), settings.request_policy, settings.tmdb_refreshes_a_day
    )
