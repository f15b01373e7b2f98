"""How far TMDB's facts reach, and links that lead to other films."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from movierank_core.data.schema import LINKS, MOVIES, RATINGS, TMDB_MOVIES
from movierank_pipeline.artifacts import DatasetFacts, StoredRatings
from movierank_pipeline.defs.data_checks import tmdb_coverage, tmdb_mismatches
from movierank_pipeline.ingest.catalogue import build_catalogue
from movierank_pipeline.ingest.link_quality import SUSPICIOUS, coverage, suspicious_links
from movierank_pipeline.ingest.tmdb.title_match import similarity
from movierank_pipeline.settings import Settings

Pair = tuple[str, int | None, str | None, str | None, int | None]
"""Title and year of MovieLens; title, original title and year of TMDB (all null: it has no such film)."""


def tables(*pairs: Pair) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(MOVIES, CATALOGUE, TMDB_MOVIES): movie 1, 2, … linked to film 101, 102, …"""
    rows = [
        {
            "movie_id": n,
            "tmdb_id": 100 + n,
            "title": title,
            "release_year": year,
            "genres": [],
            "tmdb_title": tmdb_title,
            "original_title": original,
            "release_date": None if tmdb_year is None else date(tmdb_year, 1, 2),
            "metadata_source": "here",
        }
        for n, (title, year, tmdb_title, original, tmdb_year) in enumerate(pairs, 1)
    ]
    frame = pl.DataFrame(rows, schema_overrides={**MOVIES, **TMDB_MOVIES, "tmdb_title": pl.String})
    movies = frame.match_to_schema(MOVIES, extra_columns="ignore")
    links = frame.select("movie_id", "tmdb_id").match_to_schema(LINKS, missing_columns="insert")
    films = frame.drop_nulls("tmdb_title").drop("title").rename({"tmdb_title": "title"})
    tmdb_movies = films.match_to_schema(TMDB_MOVIES, missing_columns="insert", extra_columns="ignore")
    return movies, build_catalogue(movies, links, tmdb_movies), tmdb_movies


def ratings_of(*movie_ids: int) -> pl.DataFrame:
    return pl.DataFrame({"movie_id": movie_ids}).match_to_schema(RATINGS, missing_columns="insert")


GOOD: Pair = ("The Matrix", 1999, "The Matrix", "The Matrix", 1999)
UNKNOWN: Pair = ("Nobody Knows", 1999, None, None, None)


@pytest.mark.parametrize(
    "pair",
    [
        GOOD,
        ("The Matrix", 1999, "The Matrix", "The Matrix", 2001),
        ("The Matrix", None, "The Matrix", None, 1950),
        ("The Matrix", 1999, "The Matrix", None, None),
        ("Amélie (Fabuleux destin d'Amélie)", 2001, "X", "Fabuleux Destin d’Amelie", 2001),
        ("Star Wars: Episode IV - A New Hope", 1977, "Star Wars", None, 1977),
        ("Hitch-Hiker", 1990, "The Hitchhiker", None, 1990),
        UNKNOWN,
    ],
)  # fmt: skip
def test_film_of_the_same_title_and_about_the_same_year_is_not_in_doubt(pair: Pair) -> None:
    assert suspicious_links(*tables(pair)).is_empty()


def test_doubtful_links_come_worst_first() -> None:
    found = suspicious_links(
        *tables(
            GOOD,
            ("Romance", 1999, "Romance", "Romance", 2002),
            ("Camille Claudel", 1988, "Camille Claudel 1915", None, 2013),
            ("Confidential Report", 1955, "Mr. Arkadin", "Mr. Arkadin", 1955),
            ("Something", 1990, "Else", "Autre chose", 2010),
        )
    )
    assert found.schema == SUSPICIOUS
    assert found["movie_id"].to_list() == [5, 3, 4, 2]
    assert found["years_apart"].to_list() == [20, 25, 0, 3]
    assert found.row(2, named=True)["similarity"] < 0.2
    assert found.row(2, named=True)["tmdb_title"] == "Mr. Arkadin"


def test_similarity_of_titles() -> None:
    assert similarity(["the matrix"], ["matrix reloaded", "the matrix"]) == 1.0
    assert similarity(["star wars episode iv"], ["star wars"]) == 1.0
    assert similarity(["abcd"], ["abcf"]) == 0.75
    assert similarity(["a b c"], ["x y z"]) == pytest.approx(0.4)  # The blanks alone.
    assert similarity([], ["x"]) is None


def test_coverage_counts_movies_and_ratings() -> None:
    _, catalogue, _ = tables(GOOD, UNKNOWN, GOOD, UNKNOWN)
    assert coverage(catalogue, ratings_of(1, 1, 1, 2, 99)) == (0.5, 0.6)
    assert coverage(catalogue.head(0), ratings_of()) == (1.0, 1.0)


def check_coverage(catalogue: pl.DataFrame, ratings: pl.DataFrame, settings: Settings) -> dg.AssetCheckResult:
    stored = StoredRatings(ratings, DatasetFacts(name="tiny", ratings_are_simulated=True))
    result = tmdb_coverage(catalogue, stored, settings=settings)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TMDB_ACCESS_TOKEN", "TMDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOVIERANK_HOME", str(tmp_path))
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,The Matrix (1999),Drama\n")
    return tmp_path


def test_little_coverage_only_warns_and_says_how_much(home: Path) -> None:
    _, catalogue, tmdb_movies = tables(GOOD, UNKNOWN)
    tmdb_movies.write_parquet(home / "facts.parquet")
    settings = Settings(data_dir=str(home), tmdb_file=str(home / "facts.parquet"))
    result = check_coverage(catalogue, ratings_of(1, 2, 2, 2), settings)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["share_of_movies"].value == 0.5
    assert result.metadata["share_of_ratings"].value == 0.25
    assert str(result.metadata["by_source"].value).splitlines()[2:] == ["| here | 1 |", "| none | 1 |"]
    assert check_coverage(catalogue.head(1), ratings_of(1, 1), settings).passed


def test_without_any_source_nothing_is_wrong_and_the_way_to_more_is_said(home: Path) -> None:
    _, catalogue, _ = tables(UNKNOWN)
    result = check_coverage(catalogue, ratings_of(1), Settings(data_dir=str(home)))
    assert result.passed
    assert result.description == (
        "There is no source of TMDB facts: for posters, plots and people set TMDB_ACCESS_TOKEN or "
        "TMDB_API_KEY, or give `--tmdb-file`."
    )


def test_key_without_answers_is_a_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "0" * 32)
    _, catalogue, _ = tables(UNKNOWN)
    assert not check_coverage(catalogue, ratings_of(1), Settings(data_dir=str(home))).passed


def test_mismatches_are_counted_and_the_worst_twenty_listed() -> None:
    other: Pair = ("Something", 1990, "Else", None, 2010)
    movies, catalogue, tmdb_movies = tables(*[GOOD] * 75, *[other] * 25)
    result = tmdb_mismatches(catalogue, movies, tmdb_movies)
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (result.metadata["suspicious"].value, result.metadata["share"].value) == (25, 0.25)
    lines = str(result.metadata["worst"].value).splitlines()
    assert len(lines) == 2 + 20
    assert lines[2] == "| 76 | Something | 1990 | 176 | Else | 2010 | 20 | 0.3077 |"
    movies, catalogue, tmdb_movies = tables(*[GOOD] * 99, other)
    assert tmdb_mismatches(catalogue, movies, tmdb_movies).passed
