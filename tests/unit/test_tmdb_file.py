"""TMDB facts from the files that people have."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from movierank_core.data.schema import TMDB_MOVIES
from movierank_core.errors import DataError
from movierank_pipeline.ingest.tmdb.metadata_file import Wanted, read_metadata_file

MOVIES_DATASET = (
    "adult,belongs_to_collection,budget,genres,homepage,id,imdb_id,original_language,original_title,overview,"
    "popularity,poster_path,production_companies,production_countries,release_date,revenue,runtime,"
    "spoken_languages,status,tagline,title,video,vote_average,vote_count"
)
TMDB_MOVIES_CSV = (
    "id,title,vote_average,vote_count,status,release_date,revenue,runtime,adult,backdrop_path,budget,homepage,"
    "imdb_id,original_language,original_title,overview,popularity,poster_path,tagline,genres,"
    "production_companies,production_countries,spoken_languages,keywords"
)
KINDS = (
    "a Parquet file with tmdb_id and title, or one of Kaggle's CSV files movies_metadata.csv and "
    "TMDB_movie_dataset_v11.csv"
)


def write_csv(path: Path, header: str, rows: list[dict[str, str]], after: str = "") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header.split(","), restval="")
        writer.writeheader()
        writer.writerows(rows)
        file.write(after)
    return path


def test_movies_dataset_with_its_malformed_lines(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "movies_metadata.csv",
        MOVIES_DATASET,
        [
            {
                "id": "862",
                "imdb_id": "tt0114709",
                "title": "Toy Story",
                "original_title": "Toy Story",
                "overview": 'Woody, a "toy",\nlives in a room.',
                "genres": "[{'id': 16, 'name': 'Animation'}, {'id': 10751, 'name': 'Family'}]",
                "belongs_to_collection": "{'id': 10194, 'name': \"Andy's Toys\", 'poster_path': None}",
                "release_date": "1995-10-30",
                "runtime": "81.0",
                "popularity": "21.9",
                "vote_average": "7.7",
                "vote_count": "5415",
                "original_language": "en",
                "poster_path": "/a.jpg",
            },
            {"id": "15602", "title": "Grumpier Old Men", "vote_count": "0.0"},
            {"id": "15602", "title": "Grumpier Old Men, twice", "vote_count": "3", "vote_average": "6.0"},
            {"id": "99", "title": "Not asked for", "genres": "[]"},
        ],
        after=" - Written by Somebody,0.06,/b.jpg,[],[],1997-08-20,0,104.0,[],Released,,M,False,6.0,1\n",
    )
    facts = read_metadata_file(path, Wanted(pl.Series([862, 15602, 7]), pl.Series([], dtype=pl.String)))
    assert facts.schema == TMDB_MOVIES
    assert facts["tmdb_id"].to_list() == [862, 15602]
    toy_story = {name: value for name, value in facts.row(0, named=True).items() if value is not None}
    assert toy_story == {
        "tmdb_id": 862,
        "imdb_id": "tt0114709",
        "title": "Toy Story",
        "original_title": "Toy Story",
        "overview": 'Woody, a "toy",\nlives in a room.',
        "release_date": date(1995, 10, 30),
        "runtime_minutes": 81,
        "genres": ["Animation", "Children"],
        "original_language": "en",
        "collection": "Andy's Toys",
        "poster_path": "/a.jpg",
        "tmdb_vote_average_snapshot": 7.7,
        "tmdb_vote_count_snapshot": 5415,
        "tmdb_popularity_snapshot": 21.9,
        "metadata_source": "movies_metadata.csv",
    }
    assert facts["title"][1] == "Grumpier Old Men, twice"


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "m.csv",
        MOVIES_DATASET,
        [
            {
                "id": "5",
                "title": "X",
                "imdb_id": "0",
                "genres": "[{'id': 35, 'name': ",
                "belongs_to_collection": "False",
                "release_date": "1",
                "runtime": "0.0",
                "popularity": "Beware Of Frost Bites",
                "vote_average": "0.0",
                "vote_count": "0.0",
                "poster_path": "nan",
            }
        ],
    )
    row = read_metadata_file(path).row(0, named=True)
    assert {name: value for name, value in row.items() if value is not None} == {
        "tmdb_id": 5,
        "title": "X",
        "tmdb_vote_count_snapshot": 0,
        "metadata_source": "m.csv",
    }


def test_tmdb_movies_csv(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "TMDB_movie_dataset_v11.csv",
        TMDB_MOVIES_CSV,
        [
            {
                "id": "27205",
                "title": "Inception",
                "vote_average": "8.364",
                "vote_count": "34495",
                "release_date": "2010-07-15",
                "runtime": "148",
                "imdb_id": "tt1375666",
                "genres": "Action, Science Fiction, TV Movie",
                "keywords": "rescue, mission, dream",
                "backdrop_path": "/b.jpg",
                "popularity": "83.952",
            },
            {"id": "1", "title": "Nothing known"},
        ],
    )
    facts = read_metadata_file(path)
    unknown, inception = facts.rows(named=True)
    assert inception["genres"] == ["Action", "Sci-Fi"]
    assert inception["keywords"] == ["rescue", "mission", "dream"]
    assert inception["release_date"] == date(2010, 7, 15)
    assert inception["backdrop_path"] == "/b.jpg"
    assert inception["tmdb_vote_average_snapshot"] == 8.364
    assert inception["runtime_minutes"] == 148
    assert (unknown["genres"], unknown["keywords"], unknown["runtime_minutes"]) == (None, None, None)


def test_our_own_parquet_comes_back_as_it_was(tmp_path: Path) -> None:
    row = {
        "tmdb_id": 550,
        "imdb_id": "tt0137523",
        "title": "Fight Club",
        "genres": ["Drama"],
        "cast": ["Edward Norton"],
        "runtime_minutes": 139,
        "tmdb_vote_average_snapshot": 8.4,
        "tmdb_vote_count_snapshot": 30_000,
        "retrieved_at": datetime(2025, 1, 2, tzinfo=UTC),
        "metadata_source": "TMDB API",
    }
    frame = pl.DataFrame([row], schema=TMDB_MOVIES)
    frame.write_parquet(tmp_path / "tmdb_movies.parquet")
    assert read_metadata_file(tmp_path / "tmdb_movies.parquet").equals(frame)


def test_parquet_with_the_api_names(tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    pl.DataFrame(
        {"tmdb_id": [5], "title": ["X"], "popularity": [1.5], "vote_count": [3], "adult": [False]}
    ).write_parquet(path)
    row = read_metadata_file(path).row(0, named=True)
    assert (row["tmdb_popularity_snapshot"], row["tmdb_vote_count_snapshot"]) == (1.5, 3)
    assert row["metadata_source"] == "facts.parquet"


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "tmdb.csv"
    path.touch()
    with pytest.raises(DataError) as caught:
        read_metadata_file(path)
    assert str(caught.value) == f"{path} is empty. Expected: {KINDS}. Remedy: get the file again."


def test_file_of_no_known_kind(tmp_path: Path) -> None:
    path = tmp_path / "tmdb.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError) as caught:
        read_metadata_file(path)
    assert str(caught.value) == (
        f"{path} lacks the columns ['genres', 'id', 'release_date', 'title']. Expected: {KINDS}. "
        "Remedy: give one of these."
    )


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_metadata_file(tmp_path / "x.csv")
    assert str(caught.value) == (
        f"There is no TMDB metadata file {tmp_path / 'x.csv'}. Expected: {KINDS}. "
        "Remedy: correct the path, or leave out `--tmdb-file`"
    )


def test_parquet_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"title": ["X"]}).write_parquet(path)
    with pytest.raises(
        DataError, match=r"x\.parquet lacks the columns \['tmdb_id'\]\. Expected: a Parquet file"
    ):
        read_metadata_file(path)


@pytest.mark.parametrize("name", ["cut.parquet", "cut.csv", "latin1.csv"])
def test_damaged_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "cut.parquet":
        pl.DataFrame({"tmdb_id": [1], "title": ["X"]}).write_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
    else:
        title = '"A title that never en' if name == "cut.csv" else "Léon"
        path.write_bytes(f"id,title,genres,release_date\n1,{title}".encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_metadata_file(path)
    assert str(caught.value).startswith(f"{path} cannot be read (")
    assert str(caught.value).endswith(
        f"). Expected: {KINDS}. Remedy: get the file again, it may be cut short or damaged."
    )
