"""Claims that hold for any ratings file."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.reader import Ratings, read_ratings, read_ratings_csv

ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.sampled_from([0.5, 1.0, 3.5, 5.0]), st.integers(0, 6)),
    min_size=1,
    max_size=30,
)


def read(lines: list[str], separator: str) -> Ratings:
    with tempfile.TemporaryDirectory() as folder:
        if separator == ",":
            path = Path(folder, "ratings.csv")
            path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
            return read_ratings_csv(path)
        Path(folder, "ratings.dat" if separator == "::" else "u.data").write_text("\n".join(lines) + "\n")
        return read_ratings(Path(folder))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, separator=st.sampled_from([",", "::", "\t"]))
def test_reading_equals_a_plain_loop(rows: list[tuple[int, int, float, int]], separator: str) -> None:
    ratings = read([separator.join(map(str, row)) for row in rows], separator)
    last: dict[tuple[int, int], tuple[int, int, float, int]] = {}
    for row in sorted(rows, key=lambda row: (row[0], row[3])):
        last.pop((row[0], row[1]), None)
        last[row[0], row[1]] = row
    expected = list(last.values())
    got = ratings.frame.with_columns(pl.col("timestamp").dt.epoch("s")).rows()
    assert got == expected
    assert ratings.n_duplicates == len(rows) - len(expected)


CELLS = st.sampled_from(["1", "3.5", "0.5", "6", "-1", "", "x", " 2", "1e0", "9999999999", '"3"', "NaN"])


@settings(max_examples=200, deadline=None)
@given(
    cells=st.lists(CELLS, min_size=3, max_size=5).filter(any), separator=st.sampled_from([",", "::", "\t"])
)
def test_a_bad_line_is_refused_by_number_and_a_good_one_is_read(cells: list[str], separator: str) -> None:
    """The fast reader and the slow search for the fault agree on what is a fault."""
    line = separator.join(cells)
    try:
        ratings = read(
            ["7,7,4,5".replace(",", separator), line, "8,8,4,5".replace(",", separator)], separator
        )
    except DataError as error:
        message = str(error)
        assert f"ine {3 if separator == ',' else 2} of " in message  # Not every line fails.
    else:
        user_id, movie_id, rating, timestamp = next(
            row for row in ratings.frame.rows() if row[:2] not in [(7, 7), (8, 8)]
        )
        assert [user_id, movie_id, rating] == [float(cell.strip(' "')) for cell in cells[:3]]
        assert timestamp.timestamp() == int(cells[3].strip(' "'))
