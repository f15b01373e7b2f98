"""`movierank download` and `movierank synth`."""

from pathlib import Path

import click

from movierank_cli.console import StepLines
from movierank_core.errors import DataError
from movierank_core.paths import Paths
from movierank_pipeline.ingest.movielens.byte_progress import byte_progress_bar
from movierank_pipeline.ingest.movielens.download import fetch_dataset
from movierank_pipeline.ingest.movielens.editions import KNOWN_EDITIONS
from movierank_pipeline.ingest.movielens.reader import read_films
from movierank_pipeline.ingest.sample.dataset import DEFAULT_RATINGS, DEFAULT_USERS, synthesize, write_dataset


@click.command()
@click.argument("name", type=click.Choice(KNOWN_EDITIONS))
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), help="Target folder; default: the project's data sets."
)
def download(name: str, folder: Path | None) -> None:
    """Download a MovieLens edition.

    Downloads from GroupLens and checks the published md5. An interrupted download resumes.
    """
    with byte_progress_bar() as progress:
        place = fetch_dataset(name, folder or Paths.from_environment().datasets, progress=progress)
    click.echo(place)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--users", default=DEFAULT_USERS, show_default=True, type=click.IntRange(1), help="Users.")
@click.option(
    "--ratings", default=DEFAULT_RATINGS, show_default=True, type=click.IntRange(1), help="Ratings."
)
@click.option("--movies", "n_movies", type=click.IntRange(2), help="Films; default: those of the sample.")
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path),
    help="A folder with `movies.csv`, or a MovieLens folder; its films replace those of the sample.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same ratings.")
def synth(
    folder: Path, users: int, ratings: int, n_movies: int | None, catalogue: Path | None, seed: int
) -> None:
    """Write a set of simulated ratings of any size.

    Writes MovieLens files with a note that the ratings are simulated. The films are real; if `--movies` asks
    for more films than the catalogue has, the additional films are invented.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty", remedy="choose an empty folder, or one that does not exist")
    lines = StepLines()
    with lines.working("simulating") as say:
        dataset = synthesize(
            users,
            ratings,
            seed,
            n_movies=n_movies,
            movies=None if catalogue is None else read_films(catalogue),
            name=folder.resolve().name,
            progress=lambda done, total: say(f"{done:,} of {total:,} users"),
        )
    with lines.working("writing"):
        write_dataset(dataset, folder)
    click.echo(folder)
