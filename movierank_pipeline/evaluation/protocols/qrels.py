"""Reads relevance judgments in TREC's format: `user iteration movie grade`, separated by white space.

The second column is not used. Judged sets such as the ML-32M extension (Smucker and Chamani 2025) have this
format.
"""

from pathlib import Path
from typing import Final, NoReturn

import polars as pl

from movierank_core.errors import DataError

QRELS = pl.Schema({"user_id": pl.Int64, "movie_id": pl.Int64, "grade": pl.Int64, "line": pl.Int64})
"""One row per judgment, in the order of the file; `line` counts from 1."""
_FORMAT: Final = "four columns `user 0 movie grade`, separated by spaces"


def read_qrels(path: Path) -> pl.DataFrame:
    """QRELS of the file. Empty lines are skipped.

    User and movie ids are integers from 0, grades are integers, also below 0. Raises DataError if the file is
    missing or has no judgment, and for the first line that breaks a rule or judges a pair again.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}", remedy="give `--qrels` a file of judgments")
    rows: list[tuple[int, int, int, int]] = []
    line_of: dict[tuple[int, int], int] = {}
    for number, content in enumerate(path.read_bytes().splitlines(), start=1):
        if not content.strip():
            continue
        user_id, movie_id, grade = _parsed(content, number, path)
        first = line_of.setdefault((user_id, movie_id), number)
        if first != number:
            _refuse(
                number,
                path,
                f"judges user {user_id} and movie {movie_id} again, after line {first}",
                "one judgment per user and movie",
            )
        rows.append((user_id, movie_id, grade, number))
    if not rows:
        raise DataError(f"{path} has no judgment", expected=f"lines of {_FORMAT}")
    return pl.DataFrame(rows, schema=QRELS, orient="row")


def _parsed(content: bytes, number: int, path: Path) -> tuple[int, int, int]:
    try:
        cells = content.decode().split()
    except UnicodeDecodeError:
        _refuse(number, path, "is not UTF-8", _FORMAT)
    if len(cells) != 4:
        _refuse(number, path, f"has {len(cells)} columns", _FORMAT)
    found = []
    for name, cell in zip(("user", "movie", "grade"), (cells[0], cells[2], cells[3]), strict=True):
        is_signed = name == "grade" and cell[0] in "+-"
        digits = cell[1:] if is_signed else cell
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            wanted = "an integer" if name == "grade" else "an integer from 0"
            _refuse(number, path, f"has the {name} {cell!r}", f"{wanted}; {_FORMAT}")
        found.append(int(cell))
    return found[0], found[1], found[2]


def _refuse(number: int, path: Path, found: str, expected: str) -> NoReturn:
    raise DataError(f"Line {number} of {path} {found}", expected=expected, remedy="correct that line")
