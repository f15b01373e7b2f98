"""`movierank benchmark`: any train and test file, to reproduce published tables."""

from pathlib import Path
from typing import cast

import click
import polars as pl

from movierank_cli.console import StepLines
from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.schema import FEEDBACK, LINKS, MOVIES, TMDB_MOVIES
from movierank_pipeline.evaluation.benchmark import Benchmark, run_benchmark
from movierank_pipeline.evaluation.measures.debiased import PREFIX
from movierank_pipeline.evaluation.measures.summary import summary_lines
from movierank_pipeline.evaluation.protocols.given_split import Relevance
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_pipeline.ingest.movielens.reader import read_links_csv, read_movies_csv, read_ratings_csv

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--train", required=True, type=_FILE, help="Ratings to fit on, in the columns of MovieLens.")
@click.option("--test", required=True, type=_FILE, help="Ratings to find, in the same columns.")
@click.option(
    "--movies", type=_FILE, help="movieId,title,genres. Movies without a train row join the catalogue too."
)
@click.option("--links", type=_FILE, help="movieId,imdbId,tmdbId.")
@click.option(
    "--relevance",
    type=click.Choice(["all", "liked"]),
    default="all",
    show_default=True,
    help="Relevant test rows: all, or only those rated at least 4.",
)
@click.option("--k", default=10, show_default=True, type=click.IntRange(1, 100), help="Ranks that count.")
@click.option("--seed", default=1, show_default=True, help="Seed of every random choice.")
@click.option("--shuffled", "with_shuffled", is_flag=True, help="Also rank once more for shuffled histories.")
@click.option("--json", "json_path", type=_FILE, help="Write the report to this file.")
def benchmark(
    train: Path,
    test: Path,
    movies: Path | None,
    links: Path | None,
    relevance: str,
    k: int,
    seed: int,
    with_shuffled: bool,
    json_path: Path | None,
) -> None:
    """Fit on one file of ratings and rank for the users of another.

    Each user of the test file makes one request, with all their train rows as history. Lists come from the
    full catalogue without those rows.
    """
    lines = StepLines()
    train_ratings, test_ratings = read_ratings_csv(train).frame, read_ratings_csv(test).frame
    catalogue = Catalogue(
        build_catalogue(
            _movies_of(train_ratings, movies),
            pl.DataFrame(schema=LINKS) if links is None else read_links_csv(links),
            pl.DataFrame(schema=TMDB_MOVIES),
        )
    )
    interactions = build_interactions(train_ratings, pl.DataFrame(schema=FEEDBACK))
    with lines.working("benchmark") as progress:
        found = run_benchmark(
            interactions,
            test_ratings,
            catalogue,
            relevance=cast(Relevance, relevance),
            k=k,
            config=ModelConfig(seed=seed),
            progress=progress,
            with_shuffled=with_shuffled,
        )
    _print(found, k)
    if json_path is not None:
        json_path.write_bytes(found.to_json())


def _movies_of(train: pl.DataFrame, movies: Path | None) -> pl.DataFrame:
    """MOVIES of the movies file and of all train rows. Movies that only train rows have get a placeholder
    title."""
    described = pl.DataFrame(schema=MOVIES) if movies is None else read_movies_csv(movies)
    others = train.select("movie_id").unique().join(described, on="movie_id", how="anti").sort("movie_id")
    nameless = others.select(
        "movie_id",
        pl.format("Movie {}", "movie_id").alias("title"),
        pl.lit(None, pl.Int32).alias("release_year"),
        pl.lit([], pl.List(pl.String)).alias("genres"),
    )
    return pl.concat([described, nameless])


def _print(found: Benchmark, k: int) -> None:
    columns = [
        f"ndcg@{k}",
        f"{PREFIX}ndcg@{k}",
        f"precision@{k}",
        f"recall@{k}",
        f"map@{k}",
        "mrr",
        "recall@100",
        f"coverage@{k}",
    ]
    widths = [max(14, len(column) + 2) for column in columns]
    titles = (f"{column:>{width}}" for column, width in zip(columns, widths, strict=True))
    click.echo(f"{'system':<18}" + "".join(titles))
    for name, figures in found.report.systems.items():
        cells = (f"{figures[column].mean:>{width}.4f}" for column, width in zip(columns, widths, strict=True))
        click.echo(f"{name:<18}" + "".join(cells))
    click.echo(
        f"{found.report.n_users} users{found.report.sample_text}, {found.holdout} hold-out; "
        f"fitted in {found.fit_seconds:.0f} s, ranked in {found.rank_seconds:.0f} s, "
        f"peak memory {found.peak_memory_mb:.0f} MB"
    )
    for line in summary_lines(found.report):
        click.echo(line)
