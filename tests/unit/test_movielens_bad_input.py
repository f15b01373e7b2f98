"""What the readers say of files that cannot be used: each test asserts the whole message."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.reader import (
    read_dataset,
    read_links,
    read_movies,
    read_ratings,
    read_ratings_csv,
)

HEADER = "userId,movieId,rating,timestamp\n"
NOW = datetime(2020, 1, 1, tzinfo=UTC)
GET_IT_AGAIN = "Remedy: the file was probably not copied or downloaded to its end: get it again."
CORRECT = "Remedy: correct that line, and any other like it."
FOUR_COLUMNS = "the 4 columns `userId,movieId,rating,timestamp` in each line."
DOWNLOAD = "or download one with `movierank download ml-latest-small`"


def ratings_error(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_ratings_csv(path, now=NOW)
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ratings.csv"


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path / "nowhere")
    assert str(caught.value) == (
        f"There is no folder {tmp_path / 'nowhere'}. "
        "Expected: the folder of an extracted MovieLens data set. "
        f"Remedy: extract the archive first, {DOWNLOAD}"
    )


def test_folder_without_ratings(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").touch()
    with pytest.raises(DataError) as caught:
        read_ratings(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has no ratings in it: it holds movies.csv. Expected: one of the files ratings.csv, "
        f"ratings.dat, u.data. Remedy: give the folder of an extracted MovieLens data set, {DOWNLOAD}"
    )


def test_folder_with_several_data_sets(tmp_path: Path) -> None:
    for name in ("ml-1m", "ml-100k"):
        (tmp_path / name).mkdir()
    (tmp_path / "ml-1m" / "ratings.dat").touch()
    (tmp_path / "ml-100k" / "u.data").touch()
    with pytest.raises(DataError) as caught:
        read_ratings(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds several data sets: ml-100k, ml-1m. Remedy: give the folder of one data set."
    )


def test_missing_file(path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_ratings_csv(path)
    assert str(caught.value) == (
        f"There is no file {path}. Remedy: give the folder of an extracted MovieLens data set, {DOWNLOAD}"
    )


def test_missing_movies(path: Path) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    with pytest.raises(DataError) as caught:
        read_movies(path.parent)
    assert str(caught.value) == (
        f"There is no file {path.with_name('movies.csv')}. "
        f"Remedy: give the folder of an extracted MovieLens data set, {DOWNLOAD}"
    )


@pytest.mark.parametrize(("name", "read"), [("movies.csv", read_movies), ("links.csv", read_links)])
def test_empty_file_beside_the_ratings(path: Path, name: str, read: Callable[[Path], object]) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    path.with_name("movies.csv").write_text("movieId,title,genres\n1,A (1990),Drama\n")
    path.with_name(name).write_text("")
    with pytest.raises(DataError) as caught:
        read(path.parent)
    assert str(caught.value) == f"{path.with_name(name)} is empty. {GET_IT_AGAIN}"


def test_empty_file(path: Path) -> None:
    assert ratings_error(path, "") == f"{path} is empty. {GET_IT_AGAIN}"


def test_header_alone(path: Path) -> None:
    assert ratings_error(path, HEADER) == (
        "The ratings file holds no ratings, only its header. Expected: at least one rating."
    )


@pytest.mark.parametrize("last", ["2,15", "2,15,3.0"])
def test_last_line_cut_short(path: Path, last: str) -> None:
    assert ratings_error(path, f"{HEADER}1,10,4.0,1260759100\n{last}") == (
        f"The last line of {path}, `{last}`, is cut short. Expected: {FOUR_COLUMNS} {GET_IT_AGAIN}"
    )


def test_last_line_cut_within_a_cell(path: Path) -> None:
    assert ratings_error(path, HEADER + "1,10,4.0,1260759100\n2,15,3.0,") == (
        f"Line 3 of {path} has the timestamp ``, which is not a whole number. Expected: whole seconds since "
        f"1970-01-01 UTC, up to now. {CORRECT}"
    )


def test_last_timestamp_cut_short_is_still_a_number_but_shorter(path: Path) -> None:
    assert ratings_error(path, HEADER + "1,10,4.0,1260759100\n2,15,3.0,12607") == (
        f"The last line of {path}, `2,15,3.0,12607`, is cut short. "
        f"Expected: a timestamp as long as the one above it. {GET_IT_AGAIN}"
    )


def test_line_with_too_few_columns_in_the_middle(path: Path) -> None:
    assert ratings_error(path, HEADER + "1,10,4.0,100\n2,15\n1,11,4.0,100\n") == (
        f"Line 3 of {path}, `2,15`, has 2 columns. Expected: {FOUR_COLUMNS} {CORRECT}"
    )


def test_line_with_too_many_columns(path: Path) -> None:
    assert ratings_error(path, HEADER + "1,10,4.0,100,9\n") == (
        f"Line 2 of {path}, `1,10,4.0,100,9`, has 5 columns. Expected: {FOUR_COLUMNS} {CORRECT}"
    )


def test_missing_and_unknown_columns(path: Path) -> None:
    assert ratings_error(path, "userId,movieId,stars,timestamp\n1,2,3,4\n") == (
        f"{path} lacks the columns ['rating'] and has the unknown columns ['stars']. Expected: "
        "`userId,movieId,rating,timestamp` as the first line. "
        "Remedy: use the file as MovieLens publishes it, or rename its columns."
    )


def test_column_that_nobody_knows(path: Path) -> None:
    assert ratings_error(path, "userId,movieId,rating,timestamp,mood\n1,2,3,4,5\n") == (
        f"{path} has the unknown columns ['mood']. Expected: `userId,movieId,rating,timestamp` as the first "
        "line. Remedy: use the file as MovieLens publishes it, or rename its columns."
    )


def test_column_given_twice(path: Path) -> None:
    assert ratings_error(path, "userId,movieId,rating,timestamp,rating\n1,2,3,4,5\n").startswith(
        f"{path} has a column twice. Expected: "
    )


@pytest.mark.parametrize("rating", ["0.0", "5.5", "-1", "inf", "NaN"])
def test_rating_out_of_range_names_the_first_line(path: Path, rating: str) -> None:
    content = f"{HEADER}1,10,4.0,100\n1,11,{rating},100\n1,12,7.0,100\n"
    assert ratings_error(path, content) == (
        f"Line 3 of {path} has the rating `{rating}`, which is out of range. "
        f"Expected: a number from 0.5 to 5. {CORRECT}"
    )


@pytest.mark.parametrize("rating", ["good", "", "4 5"])
def test_rating_that_is_not_a_number(path: Path, rating: str) -> None:
    assert ratings_error(path, f"{HEADER}1,10,{rating},100\n") == (
        f"Line 2 of {path} has the rating `{rating}`, which is not a number. "
        f"Expected: a number from 0.5 to 5. {CORRECT}"
    )


@pytest.mark.parametrize(
    ("timestamp", "what"),
    [
        ("1577923201", "which is in the future"),  # a day and a second after NOW
        ("1260759144000", "which is in the future"),  # milliseconds
        ("-1", "which is negative"),
        ("yesterday", "which is not a whole number"),
        ("2009-12-14 02:52:24", "which is not a whole number"),
        ("100.5", "which is not a whole number"),
    ],
)
def test_bad_timestamp(path: Path, timestamp: str, what: str) -> None:
    assert ratings_error(path, f"{HEADER}1,10,4.0,100\n1,11,4.0,{timestamp}\n") == (
        f"Line 3 of {path} has the timestamp `{timestamp}`, {what}. "
        f"Expected: whole seconds since 1970-01-01 UTC, up to now. {CORRECT}"
    )


@pytest.mark.parametrize(("movie_id", "what"), [("-5", "negative"), ("1.0", "not a whole number")])
def test_bad_id(path: Path, movie_id: str, what: str) -> None:
    assert ratings_error(path, f"{HEADER}1,{movie_id},4.0,100\n") == (
        f"Line 2 of {path} has the movieId `{movie_id}`, which is {what}. "
        f"Expected: a whole number from 0. {CORRECT}"
    )


def test_utf_16_is_named_as_not_utf_8(path: Path) -> None:
    assert ratings_error(path, (HEADER + "1,10,4.0,100\n").encode("utf-16")) == (
        f"Line 1 of {path} is not UTF-8: it holds the byte 0xff. Expected: text encoded as UTF-8. "
        "Remedy: convert the file (for example `iconv -f latin1 -t utf-8`), or get it again."
    )


def test_latin_1_title_in_a_utf_8_edition(path: Path) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    movies = path.with_name("movies.csv")
    movies.write_bytes(
        "movieId,title,genres\n1,Toy Story (1995),Comedy\n2,Léon (1994),Drama\n".encode("latin-1")
    )
    with pytest.raises(DataError) as caught:
        read_movies(path.parent)
    assert str(caught.value) == (
        f"Line 3 of {movies} is not UTF-8: it holds the byte 0xe9. Expected: text encoded as UTF-8. "
        "Remedy: convert the file (for example `iconv -f latin1 -t utf-8`), or get it again."
    )


@pytest.mark.parametrize(
    ("movies", "message"),
    [
        (
            '1,"Toy Story (19',
            "A quotation mark opened on line 2 of {} is never closed. Expected: quotation marks in pairs, "
            "around whole cells. " + GET_IT_AGAIN,
        ),
        (
            "1,Toy Story (19",
            "The last line of {}, `1,Toy Story (19`, is cut short. Expected: the 3 columns "
            "`movieId,title,genres` in each line. " + GET_IT_AGAIN,
        ),
        ("1,,Comedy\n", "{} has no title for the movie 1. Expected: a title for each movie."),
        ("1,A,x\n1,B,x\n", "{} lists the movie 1 more than once. Expected: one line per movie."),
    ],
)
def test_bad_movies(path: Path, movies: str, message: str) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    movies_path = path.with_name("movies.csv")
    movies_path.write_text("movieId,title,genres\n" + movies)
    with pytest.raises(DataError) as caught:
        read_movies(path.parent)
    assert str(caught.value) == message.format(movies_path)


def test_bad_link(path: Path) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    path.with_name("movies.csv").write_text("movieId,title,genres\n1,A (1990),Drama\n")
    links = path.with_name("links.csv")
    links.write_text("movieId,imdbId,tmdbId\n1,tt0114709,862\n")
    with pytest.raises(DataError) as caught:
        read_links(path.parent)
    assert str(caught.value) == (
        f"Line 2 of {links} has the imdbId `tt0114709`, which is not a whole number. "
        f"Expected: a whole number from 0, or nothing. {CORRECT}"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1::10::4::100\n1::11::9::100\n", "Line 2 of {} has the rating `9`, which is out of range."),
        ("1::10::4::100\n1::11::4", "The last line of {}, `1::11::4`, is cut short."),
        ("1::10::4::100\n1::11::4:\n", "The last line of {}, `1::11::4:`, is cut short."),
        (
            "1::10::4::978300760\n1::11::4::9783",
            "The last line of {}, `1::11::4::9783`, is cut short.",
        ),
        ("1::10::4::100::5\n", "Line 1 of {}, `1::10::4::100::5`, has 5 columns."),
        ("1::x::4::100\n", "Line 1 of {} has the movieId `x`, which is not a whole number."),
    ],
)
def test_double_colon_edition_is_checked_alike(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_ratings(tmp_path, now=NOW)
    assert str(caught.value).startswith(message.format(path) + " Expected: ")


def test_damaged_dataset_json(path: Path) -> None:
    path.write_text(HEADER + "1,1,1,1\n")
    info = path.with_name("dataset.json")
    info.write_text('{"name": 5}')
    with pytest.raises(DataError) as caught:
        read_ratings(path.parent)
    assert str(caught.value) == (
        f"{info} cannot be read (Expected `str`, got `int` - at `$.name`). "
        'Expected: an object like `{"name": "…", "ratings_are_simulated": false}` in it. '
        "Remedy: write the data set again, or delete the file."
    )
