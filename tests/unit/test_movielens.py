"""What the readers make of every MovieLens edition."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from movierank_core.data.schema import LINKS, MOVIES, RATINGS
from movierank_pipeline.ingest.movielens.reader import (
    read_dataset,
    read_links,
    read_movies,
    read_movies_csv,
    read_ratings,
    read_ratings_csv,
)
from tests.support.data import test_data

RATINGS_CSV = "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n1,10,4.0,1260759100\n"
MOVIES_CSV = (
    "movieId,title,genres\n"
    "10,GoldenEye (1995),Action|Adventure|Thriller\n"
    '31,"American President, The (1995)",Comedy|Drama|Romance\n'
    "40,Something Untold,(no genres listed)\n"
)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


@pytest.fixture
def csv_folder(tmp_path: Path) -> Path:
    return write(
        tmp_path / "ml-latest-small",
        {
            "ratings.csv": RATINGS_CSV,
            "movies.csv": MOVIES_CSV,
            "links.csv": "movieId,imdbId,tmdbId\n31,0112346,9087\n10,0113189,\n",
        },
    )


def test_csv_edition_is_read_into_the_four_tables(csv_folder: Path) -> None:
    dataset = read_dataset(csv_folder)
    assert dataset.name == "ml-latest-small"
    assert dataset.ratings_are_simulated is False
    assert dataset.ratings.schema == RATINGS
    assert dataset.ratings.rows() == [(1, 10, 4.0, at(1260759100)), (1, 31, 2.5, at(1260759144))]
    assert dataset.movies.schema == MOVIES
    assert dataset.movies.rows() == [
        (10, "GoldenEye", 1995, ["Action", "Adventure", "Thriller"]),
        (31, "The American President", 1995, ["Comedy", "Drama", "Romance"]),
        (40, "Something Untold", None, []),
    ]
    assert dataset.links.schema == LINKS
    assert dataset.links.rows() == [(10, "tt0113189", None), (31, "tt0112346", 9087), (40, None, None)]


def test_files_in_the_only_subfolder_are_found(csv_folder: Path) -> None:
    assert read_dataset(csv_folder.parent).ratings.equals(read_dataset(csv_folder).ratings)


def test_columns_may_come_in_another_order_and_after_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(
        "\ufefftimestamp,rating,movieId,userId\r\n1260759144,2.5,31,1\r\n\r\n", encoding="utf-8", newline=""
    )
    assert read_ratings_csv(path).frame.rows() == [(1, 31, 2.5, at(1260759144))]


def test_a_file_without_a_last_line_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(RATINGS_CSV.rstrip("\n"))
    assert read_ratings_csv(path).frame.height == 2


def test_links_may_be_absent(tmp_path: Path) -> None:
    folder = write(tmp_path, {"ratings.csv": RATINGS_CSV, "movies.csv": MOVIES_CSV})
    assert read_links(folder).rows() == [(10, None, None), (31, None, None), (40, None, None)]
    assert read_links(folder).schema == LINKS


def test_zero_ids_and_eight_digit_imdb_ids(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "ratings.csv": RATINGS_CSV,
            "movies.csv": MOVIES_CSV,
            "links.csv": "movieId,imdbId,tmdbId\n10,10872600,0\n31,5,1\n",
        },
    )
    assert read_links(folder).rows() == [(10, "tt10872600", None), (31, "tt0000005", 1), (40, None, None)]


def test_ml_1m_is_latin_1_with_double_colons(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "ml-1m",
        {
            "ratings.dat": "1::1193::5::978300760\n1::661::3::978302109\n",
            "movies.dat": "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
            "1193::Cité: the Film, La (1995)::Drama\n",
            "users.dat": "1::F::1::10::48067\n",
        },
        "latin-1",
    )
    dataset = read_dataset(folder)
    assert dataset.name == "ml-1m"
    assert dataset.ratings.rows() == [(1, 1193, 5.0, at(978300760)), (1, 661, 3.0, at(978302109))]
    assert dataset.movies.rows() == [
        (661, "James and the Giant Peach", 1996, ["Animation", "Children", "Musical"]),
        (1193, "La Cité: the Film", 1995, ["Drama"]),
    ]
    assert dataset.links.null_count().rows() == [(0, 2, 2)]


def test_ml_10m_is_utf_8_with_half_stars(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "ml-10M100K",
        {
            "ratings.dat": "1::122::4.5::838985046\n",
            "movies.dat": "122::Cité des enfants perdus, La (1995)::Adventure|Sci-Fi\n",
        },
    )
    dataset = read_dataset(folder)
    assert dataset.name == "ml-10m"
    assert dataset.ratings.rows() == [(1, 122, 4.5, at(838985046))]
    assert dataset.movies["title"].to_list() == ["La Cité des enfants perdus"]


def test_ml_100k_has_tabs_and_genre_flags(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "ml-100k",
        {
            "u.data": "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
            "u.genre": "unknown|0\nAction|1\nChildren's|2\nSci-Fi|3\n\n",
            "u.item": "242|Kolya (1996)|24-Jan-1997||http://us.imdb.com/M/title-exact?Kolya%20(1996)|0|0|1|1\n"
            "267|unknown||||1|0|0|0\n"
            "302|Vie est belle, La (1987) (V)|01-Jan-1987||http://x|0|1|0|0\n",
        },
        "latin-1",
    )
    dataset = read_dataset(folder)
    assert dataset.name == "ml-100k"
    assert dataset.ratings.rows() == [(186, 302, 3.0, at(891717742)), (196, 242, 3.0, at(881250949))]
    assert dataset.movies.rows() == [
        (242, "Kolya", 1996, ["Children", "Sci-Fi"]),
        (267, "unknown", None, []),
        (302, "La Vie est belle", 1987, ["Action"]),
    ]


def test_ratings_of_the_same_second_keep_their_order_of_appearance(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n2,7,3,100\n2,5,3,100\n2,6,3,99\n1,9,3,500\n2,1,3,100\n")
    assert read_ratings_csv(path).frame["movie_id"].to_list() == [9, 6, 7, 5, 1]


def test_of_duplicates_the_last_in_time_wins_and_the_others_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(
        "userId,movieId,rating,timestamp\n1,7,1,300\n1,7,2,200\n1,8,3,100\n1,7,4,300\n2,7,5,100\n"
    )
    ratings = read_ratings_csv(path)
    assert ratings.n_duplicates == 2
    assert ratings.frame.select("user_id", "movie_id", "rating").rows() == [
        (1, 8, 3.0),
        (1, 7, 4.0),
        (2, 7, 5.0),
    ]


def test_timestamps_may_be_a_mere_order(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,3,4,0\n1,2,4,1\n1,1,4,2\n")
    assert read_ratings_csv(path).frame["movie_id"].to_list() == [3, 2, 1]


def test_dataset_json_names_the_set_and_says_that_it_is_simulated(csv_folder: Path) -> None:
    write(
        csv_folder, {"dataset.json": '{"name": "sample", "ratings_are_simulated": true, "seed": 7, "x": 1}'}
    )
    dataset = read_dataset(csv_folder)
    assert (dataset.name, dataset.ratings_are_simulated, dataset.seed) == ("sample", True, 7)


def test_readme_names_a_csv_edition_in_a_renamed_folder(csv_folder: Path) -> None:
    write(csv_folder, {"README.txt": "Summary\n=======\n\nThis dataset (ml-25m) describes 5-star rating\n"})
    assert read_dataset(csv_folder.rename(csv_folder.parent / "mine")).name == "ml-25m"


def test_another_csv_folder_is_named_after_itself(csv_folder: Path) -> None:
    assert read_dataset(csv_folder.rename(csv_folder.parent / "mine")).name == "mine"


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("After the Rain (Ame agaru) (1999) ", "After the Rain (Ame agaru)", 1999),
        ("2012 (2009)", "2012", 2009),
        ("Garden of Afflictions 2017", "Garden of Afflictions 2017", None),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("Bel Ami (La (x)) (1983))", "Bel Ami (La (x))", 1983),
        ("(2010)", "(2010)", 2010),
        ("Usual Suspects, The (1995)", "The Usual Suspects", 1995),
        ("Walk in the Clouds, A (1995)", "A Walk in the Clouds", 1995),
        ("Enfer, L' (1994)", "L'Enfer", 1994),
        ("Nibelungen: Siegfried, Die (1924)", "Die Nibelungen: Siegfried", 1924),
        ("Die, Mommie, Die (2003)", "Die, Mommie, Die", 2003),
        ("Monsters, Inc. (2001)", "Monsters, Inc.", 2001),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly", 1966),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            "The City of Lost Children (La Cité des enfants perdus)",
            1995,
        ),
        ("Human Centipede II (Full Sequence), The (2011)", "The Human Centipede II (Full Sequence)", 2011),
        ("Madam (a.k.a. Assassins, The) (1985)", "Madam (a.k.a. The Assassins)", 1985),
        ("Babies (Bébé(s)) (2010)", "Babies (Bébé(s))", 2010),
        ("Land Before Time III (1995) (V)", "Land Before Time III", 1995),
    ],
)
def test_title_and_year_are_parted(tmp_path: Path, raw: str, title: str, year: int | None) -> None:
    folder = write(
        tmp_path, {"ratings.csv": RATINGS_CSV, "movies.csv": f'movieId,title,genres\n1,"{raw}",Drama\n'}
    )
    assert read_movies(folder).select("title", "release_year").rows() == [(title, year)]


def test_published_movies_of_ml_32m_are_read_alone() -> None:
    movies = read_movies_csv(test_data("ml-32m", "movies.csv"))
    assert movies.schema == MOVIES
    assert movies.height == 87_585
    assert movies["release_year"].null_count() == 615
    assert movies["release_year"].min() == 1874
    assert not movies["title"].str.contains(r", (The|A|An)$").any()


def test_published_ml_latest_small_is_read_whole() -> None:
    folder = test_data("ml-latest-small")
    dataset = read_dataset(folder)
    assert (dataset.ratings.height, dataset.movies.height) == (100_836, 9_742)
    assert dataset.ratings["user_id"].n_unique() == 610
    assert dataset.n_duplicate_ratings == 0
    assert dataset.links["tmdb_id"].null_count() == 8
    assert dataset.movies["release_year"].null_count() == 12
    assert read_ratings(folder).frame.equals(dataset.ratings)
    assert dataset.ratings.equals(dataset.ratings.sort("user_id", "timestamp", maintain_order=True))
