"""The embedded sample, its audience, and the folders they are written to."""

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from movierank_core.data.schema import LINKS, MOVIES, RATINGS, TMDB_MOVIES
from movierank_core.errors import ConfigError, DataError
from movierank_pipeline.ingest.movielens.reader import Dataset, read_dataset
from movierank_pipeline.ingest.sample.dataset import sample_films, synthesize, write_dataset
from movierank_pipeline.ingest.sample.make_sample import choose, write
from tests.support.data import test_data


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return synthesize()


def test_films_are_real_known_and_of_every_kind() -> None:
    films = sample_films()
    assert films.schema == TMDB_MOVIES
    assert 1_000 <= films.height <= 1_500
    assert films["tmdb_id"].is_unique().all()
    assert films["tmdb_id"].is_sorted()
    fight_club = films.row(by_predicate=pl.col("tmdb_id") == 550, named=True)
    assert fight_club["title"] == "Fight Club"
    assert fight_club["imdb_id"] == "tt0137523"
    assert fight_club["release_date"] == date(1999, 10, 15)
    assert fight_club["runtime_minutes"] == 139
    assert fight_club["directors"] == ["David Fincher"]
    for column in ("imdb_id", "title", "release_date", "poster_path", "tmdb_vote_average_snapshot"):
        assert films[column].null_count() == 0, column
    assert films["runtime_minutes"].null_count() < 10
    assert not films["runtime_minutes"].is_in([0, 95, 96]).any()
    assert films["imdb_id"].str.contains(r"^tt\d{7,8}$").all()
    decades = films.group_by(films["release_date"].dt.year() // 10 * 10).len()
    assert set(decades["release_date"]) == set(range(1910, 2020, 10))
    assert films.filter(pl.col("original_language") != "en").height >= 100
    genres = films["genres"].explode().value_counts()
    assert genres.height == 18
    assert genres["count"].min() >= 30


def test_sample_file_holds_facts_and_no_sentences() -> None:
    content = (
        files("movierank_pipeline.ingest.sample").joinpath("sample_movies.tsv").read_text(encoding="utf-8")
    )
    assert len(content.encode()) < 300_000
    assert "not endorsed or certified by TMDB" in content
    assert sample_films()["overview"].null_count() == sample_films().height


def test_sample_file_is_what_its_script_makes(tmp_path: Path) -> None:
    metadata = test_data("tmdb", "movies_metadata.parquet")
    write(choose(pl.read_parquet(metadata)), tmp_path / "films.tsv")
    embedded = files("movierank_pipeline.ingest.sample").joinpath("sample_movies.tsv").read_bytes()
    assert (tmp_path / "films.tsv").read_bytes() == embedded


def test_sample_has_the_promised_size_and_shape(sample: Dataset) -> None:
    ratings = sample.ratings
    assert sample.ratings_are_simulated
    assert (sample.name, sample.seed) == ("sample", 1)
    assert ratings.schema == RATINGS
    assert sample.movies.schema == MOVIES
    assert sample.links.schema == LINKS
    assert ratings.height == 110_000
    assert ratings["user_id"].unique().to_list() == list(range(1, 2_001))
    assert not ratings.select("user_id", "movie_id").is_duplicated().any()
    assert ratings.equals(ratings.sort("user_id", "timestamp", maintain_order=True))
    assert set(ratings["movie_id"]) <= set(sample.movies["movie_id"])
    assert set(ratings["rating"].unique()) == {half / 2 for half in range(1, 11)}
    assert 3.3 < float(ratings.select(pl.col("rating").mean()).item()) < 3.9


def test_sample_spans_six_years_that_are_over(sample: Dataset) -> None:
    first, last = sample.ratings.select(pl.col("timestamp").min().alias("a"), pl.col("timestamp").max()).row(
        0
    )
    assert datetime(2020, 1, 1, tzinfo=UTC) <= first < datetime(2020, 2, 1, tzinfo=UTC)
    assert datetime(2025, 12, 1, tzinfo=UTC) < last < datetime(2026, 1, 1, tzinfo=UTC)


def test_some_users_have_one_rating_and_some_have_hundreds(sample: Dataset) -> None:
    lengths = sample.ratings.group_by("user_id").len()["len"]
    assert (lengths == 1).sum() >= 20
    assert (lengths >= 300).sum() >= 10
    assert 20 <= float(lengths.median()) <= 60  # type: ignore[arg-type]


def test_ratings_come_in_sessions_of_films_minutes_apart(sample: Dataset) -> None:
    gaps = sample.ratings.select(
        gap=pl.col("timestamp").diff().over("user_id").dt.total_seconds()
    ).drop_nulls()
    assert gaps.filter(pl.col("gap") < 300).height > 0.7 * gaps.height
    assert gaps.filter(pl.col("gap") > 86_400).height > 0.05 * gaps.height


def test_attention_to_films_drifts(sample: Dataset) -> None:
    halves = sample.ratings.with_columns(is_late=pl.col("timestamp") >= datetime(2023, 7, 1, tzinfo=UTC))
    by_movie = (
        halves.group_by("movie_id").agg(pl.len(), pl.col("is_late").mean()).filter(pl.col("len") >= 100)
    )
    assert by_movie["is_late"].quantile(0.95) - by_movie["is_late"].quantile(0.05) > 0.4  # type: ignore[operator]


def test_the_same_seed_gives_the_same_set_and_another_seed_another() -> None:
    one, same, other = (synthesize(200, 4_000, seed) for seed in (5, 5, 6))
    assert one.ratings.equals(same.ratings)
    assert not one.ratings.equals(other.ratings)


def ndcg_at_10(scores: NDArray[np.float64], seen: NDArray[np.bool_], liked: NDArray[np.bool_]) -> float:
    """Mean over users who go on to like something that they had not seen."""
    liked = liked & ~seen
    asked = liked.any(axis=1)
    top = np.argsort(np.where(seen, np.inf, -scores), axis=1, kind="stable")[asked, :10]
    discounts = 1 / np.log2(np.arange(2, 12))
    gain = np.take_along_axis(liked[asked], top, axis=1) @ discounts
    best = np.cumsum(discounts)[np.minimum(liked[asked].sum(axis=1), 10) - 1]
    return float((gain / best).mean())


@pytest.mark.parametrize("seed", [1, 2])
def test_taste_beats_popularity_by_a_factor_of_one_and_a_half(seed: int) -> None:
    """Before the 80 % quantile of time to after it: EASE (L2 200) on likes against the most rated films."""
    dataset = synthesize(seed=seed)
    split = dataset.ratings["timestamp"].quantile(0.8)
    assert isinstance(split, datetime)
    movie_ids = np.sort(dataset.movies["movie_id"].to_numpy())

    def matrix(*conditions: pl.Expr) -> NDArray[np.bool_]:
        rows = dataset.ratings.filter(*conditions)
        cells = np.zeros((2_001, len(movie_ids)), np.bool_)
        cells[rows["user_id"].to_numpy(), np.searchsorted(movie_ids, rows["movie_id"].to_numpy())] = True
        return cells

    before, is_like = pl.col("timestamp") < split, pl.col("rating") >= 4
    seen, likes, liked_later = matrix(before), matrix(before, is_like), matrix(~before, is_like)
    returning = seen.any(axis=1)
    seen, likes, liked_later = seen[returning], likes[returning].astype(np.float64), liked_later[returning]

    precision = np.linalg.inv(likes.T @ likes + 200 * np.eye(len(movie_ids)))
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0)
    ease = ndcg_at_10(likes @ weights, seen, liked_later)
    lately = matrix(before, pl.col("timestamp") >= split - timedelta(days=90))
    for popularity in (seen.sum(axis=0), lately.sum(axis=0)):
        popular = ndcg_at_10(np.tile(popularity, (len(seen), 1)).astype(np.float64), seen, liked_later)
        assert ease > 1.5 * popular > 0


def test_written_sample_is_read_back(sample: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    write_dataset(sample, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.json",
        "links.csv",
        "movies.csv",
        "ratings.csv",
        "tmdb_movies.parquet",
    ]
    read = read_dataset(folder)
    assert (read.name, read.ratings_are_simulated, read.seed, read.n_duplicate_ratings) == (
        "sample",
        True,
        1,
        0,
    )
    assert read.ratings.equals(sample.ratings)
    assert read.movies.equals(sample.movies)
    assert read.links.equals(sample.links)
    assert pl.read_parquet(folder / "tmdb_movies.parquet").equals(sample_films())
    assert read.links.row(by_predicate=pl.col("movie_id") == 550) == (550, "tt0137523", 550)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_written_set_replaces_an_earlier_one_but_nothing_else(tmp_path: Path) -> None:
    write_dataset(synthesize(50, 500, seed=1), tmp_path / "set")
    write_dataset(synthesize(50, 600, seed=2), tmp_path / "set")
    assert read_dataset(tmp_path / "set").ratings.height == 600
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ratings.csv").write_text("precious")
    with pytest.raises(DataError) as caught:
        write_dataset(synthesize(50, 500), tmp_path / "mine")
    assert str(caught.value) == (
        f"{tmp_path / 'mine'} holds files that movierank did not write. Expected: a new or empty folder. "
        "Remedy: choose another folder."
    )
    assert (tmp_path / "mine" / "ratings.csv").read_text() == "precious"


def test_films_beyond_the_real_ones_say_that_they_are_synthetic() -> None:
    real = sample_films().height
    dataset = synthesize(100, 2_000, n_movies=real + 300, name="bigger")
    invented = dataset.movies.filter(~pl.col("movie_id").is_in(sample_films()["tmdb_id"].implode()))
    assert dataset.movies.height == real + 300
    assert invented.height == 300
    assert invented["title"].str.contains(r"^Synthetic Film \d+$").all()
    assert dataset.links.filter(pl.col("movie_id").is_in(invented["movie_id"].implode())).null_count().row(
        0
    ) == (
        0,
        300,
        300,
    )
    assert dataset.tmdb_movies is not None
    assert dataset.tmdb_movies.height == real


def test_fewer_films_are_the_best_known_ones() -> None:
    dataset = synthesize(50, 500, n_movies=100)
    known = sample_films().top_k(100, by="tmdb_vote_count_snapshot")["tmdb_id"]
    assert set(dataset.movies["movie_id"]) == set(known)
    assert dataset.tmdb_movies is not None
    assert set(dataset.tmdb_movies["tmdb_id"]) == set(known)


def test_films_of_another_catalogue() -> None:
    movies = pl.DataFrame(
        {
            "movie_id": [9, 3, 5, 7],
            "title": ["A", "B", "C", "D"],
            "release_year": [1990, None, 2001, 2020],
            "genres": [["Drama"], [], ["Comedy", "Drama"], ["War"]],
        },
        schema=MOVIES,
    )
    dataset = synthesize(30, 40, movies=movies)
    assert dataset.movies.equals(movies.sort("movie_id"))
    assert set(dataset.ratings["movie_id"]) <= {3, 5, 7, 9}
    assert dataset.ratings.height == 40
    assert dataset.links.null_count().row(0) == (0, 4, 4)


@pytest.mark.parametrize("n_ratings", [9, 501])
def test_more_or_fewer_ratings_than_can_be(n_ratings: int) -> None:
    with pytest.raises(ConfigError) as caught:
        synthesize(10, n_ratings, n_movies=100)
    assert str(caught.value) == (
        f"{n_ratings} ratings do not fit 10 users and 100 movies. "
        "Expected: from 10 (one per user) to 500 (a user rates at most 50). "
        "Remedy: change the number of ratings, users or movies."
    )


@pytest.mark.parametrize(
    ("n_users", "n_movies", "message"),
    [
        (0, 100, "0 users cannot rate anything. Expected: at least 1 user."),
        (10, 1, "A catalogue of 1 movies is too small. Expected: at least 2 movies."),
    ],
)
def test_no_users_or_movies(n_users: int, n_movies: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        synthesize(n_users, 10, n_movies=n_movies)
    assert str(caught.value) == message


def test_every_possible_number_of_ratings_is_met_exactly() -> None:
    for n_ratings in (10, 11, 137, 499, 500):
        assert synthesize(10, n_ratings, n_movies=100).ratings.height == n_ratings


def test_progress_hears_of_all_ratings() -> None:
    heard: list[tuple[int, int]] = []
    synthesize(50, 700, progress=lambda *step: heard.append(step))
    assert heard[-1] == (700, 700)
