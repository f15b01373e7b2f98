"""Reads delimited text files fast with Polars, and line by line to locate an error.

If Polars refuses a file or a value breaks a rule, the file is read again line by line; the error names the
first invalid line. Small files that Polars cannot split are always read line by line. This module does not
know MovieLens's file names.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NoReturn

import polars as pl

from movierank_core.errors import DataError

Kind = Literal["id", "optional_id", "rating", "timestamp", "text"]

Encoding = Literal["utf8", "latin-1"]

_TYPES: Final[dict[Kind, type[pl.DataType]]] = {
    "id": pl.Int64,
    "optional_id": pl.Int64,
    "rating": pl.Float32,
    "timestamp": pl.Int64,
    "text": pl.String,
}

_CLOCK_TOLERANCE_SECONDS: Final = 86_400
"""Maximum seconds by which a timestamp may be ahead of this machine's clock."""

_GET_IT_AGAIN: Final = "the file was probably not copied or downloaded to its end: get it again"
_CORRECT: Final = "correct that line, and any other like it"


@dataclass(frozen=True)
class Column:
    """One column: its name and the rule for its cells."""

    name: str
    kind: Kind
    """`id`: an integer from 0. `optional_id`: the same, or empty. `rating`: 0.5 to 5. `timestamp`: whole
    seconds since 1970, not in the future. `text`: any text, also empty."""


@dataclass(frozen=True)
class Layout:
    """Columns, separator, header and encoding of a file."""

    columns: tuple[Column, ...]
    separator: Literal[",", "::", "\t", "|"]
    has_header: bool
    """With a header, columns come in any order; without, in the order of `columns`."""
    encoding: Encoding = "utf8"

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def example(self) -> str:
        return self.separator.join(self.names)


def read_delimited(path: Path, layout: Layout, now: datetime | None = None) -> pl.DataFrame:
    """Reads the columns of `layout`, rows in file order, without empty lines.

    Empty `optional_id` and `text` cells are null. `now` (aware; default the current time) bounds timestamps.
    Raises `DataError` if the file is missing, empty, truncated or wrongly encoded, has other columns, or has
    a cell that breaks its column's rule.
    """
    require_content(path)
    if layout.has_header:
        _check_header(path, layout)
    latest = _latest_timestamp(now)
    try:
        frame = _read_fast(path, layout)
    except pl.exceptions.PolarsError as error:
        _raise_first_fault(path, layout, latest, str(error))
    if not _obeys(frame, layout, latest):
        _raise_first_fault(path, layout, latest, "a value breaks the rules of its column")
    last = layout.columns[-1]
    if last.kind in ("text", "optional_id") and frame[last.name].has_nulls():
        # Polars fills missing columns with null, which looks like an empty cell: check line by line.
        _refuse_faults(path, layout, latest)
    if last.kind == "timestamp":
        _check_last_timestamp(path, layout)
    return frame


def read_line_by_line(path: Path, layout: Layout, now: datetime | None = None) -> pl.DataFrame:
    """The result of `read_delimited`, for small headerless files that Polars cannot split or decode."""
    require_content(path)
    rows = list(_checked_rows(path, layout, _latest_timestamp(now)))
    types = {column.name: _TYPES[column.kind] for column in layout.columns}
    text = pl.DataFrame(rows, schema=dict.fromkeys(layout.names, pl.String), orient="row")
    return text.with_columns(pl.col(name).replace("", None).cast(kind) for name, kind in types.items())


def is_utf8(path: Path) -> bool:
    """Whether the whole file is valid UTF-8. Reads it into memory."""
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _latest_timestamp(now: datetime | None) -> int:
    moment = datetime.now(UTC) if now is None else now
    return int(moment.timestamp()) + _CLOCK_TOLERANCE_SECONDS


def require_content(path: Path) -> None:
    """Raises `DataError` unless `path` is a non-empty file."""
    if not path.is_file():
        raise DataError(
            f"There is no file {path}",
            remedy="give the folder of an extracted MovieLens data set, or download one with "
            "`movierank download ml-latest-small`",
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty", remedy=_GET_IT_AGAIN)


def _not_utf8(path: Path, line: int, byte: int) -> DataError:
    return DataError(
        f"Line {line} of {path} is not UTF-8: it holds the byte 0x{byte:02x}",
        expected="text encoded as UTF-8",
        remedy="convert the file (for example `iconv -f latin1 -t utf-8`), or get it again",
    )


def _check_header(path: Path, layout: Layout) -> None:
    with path.open("rb") as file:
        first = file.readline()
    try:
        header = next(csv.reader([first.decode("utf-8-sig").strip()]), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path, 1, first[error.start]) from None
    missing = [name for name in layout.names if name not in header]
    unknown = [name for name in header if name not in layout.names]
    if missing or unknown or len(header) != len(layout.names):
        findings = [
            *([f"lacks the columns {missing}"] if missing else []),
            *([f"has the unknown columns {unknown}"] if unknown else []),
        ] or ["has a column twice"]
        raise DataError(
            f"{path} {' and '.join(findings)}",
            expected=f"`{layout.example()}` as the first line",
            remedy="use the file as MovieLens publishes it, or rename its columns",
        )


def _read_fast(path: Path, layout: Layout) -> pl.DataFrame:
    types = {column.name: _TYPES[column.kind] for column in layout.columns}
    schema: dict[str, type[pl.DataType]] = {}
    for name, kind in types.items():
        # Polars separates by one character only: read an empty column between the two colons.
        if layout.separator == "::" and schema:
            schema[f"before_{name}"] = pl.String
        schema[name] = kind
    return (
        pl.scan_csv(
            path,
            separator=layout.separator[0],
            has_header=layout.has_header,
            schema=None if layout.has_header else schema,
            schema_overrides=types,
            quote_char='"' if layout.separator == "," else None,
            glob=False,
        )
        .select(layout.names)
        .filter(~pl.all_horizontal(pl.all().is_null()))
        .collect()
    )


def _obeys(frame: pl.DataFrame, layout: Layout, latest: int) -> bool:
    rules = []
    for column in layout.columns:
        cell = pl.col(column.name)
        match column.kind:
            case "id":
                rules.append(cell.is_not_null().all() & (cell >= 0).all())
            case "optional_id":
                rules.append((cell >= 0).all())
            case "rating":
                rules.append(cell.is_not_null().all() & cell.is_between(0.5, 5.0).all())
            case "timestamp":
                rules.append(cell.is_not_null().all() & cell.is_between(0, latest).all())
    return bool(frame.select(pl.all_horizontal(rules).all()).item())


def _check_last_timestamp(path: Path, layout: Layout) -> None:
    """Detects a truncated last line: a timestamp shorter than the one above it, without a line end."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 4096), 2)
        lines = file.read().split(b"\n")
    separator = layout.separator.encode()
    if len(lines) < 2 or not lines[-1].strip() or separator not in lines[-2]:
        return
    last, before = (line.rstrip(b"\r").rsplit(separator, 1)[-1] for line in (lines[-1], lines[-2]))
    if before.isdigit() and len(before) >= 9 and len(last) < len(before):
        raise DataError(
            f"The last line of {path}, `{_shown(lines[-1].decode(errors='replace'))}`, is cut short",
            expected="a timestamp as long as the one above it",
            remedy=_GET_IT_AGAIN,
        )


def _raise_first_fault(path: Path, layout: Layout, latest: int, otherwise: str) -> NoReturn:
    """Raises for the first line at fault; says `otherwise` if there is none to be found."""
    for _ in _checked_rows(path, layout, latest):
        pass
    raise DataError(
        f"{path} cannot be read: {otherwise.splitlines()[0]}",
        expected=f"the columns `{layout.example()}` in each line",
    )


def _refuse_faults(path: Path, layout: Layout, latest: int) -> None:
    for _ in _checked_rows(path, layout, latest):
        pass


def _checked_rows(path: Path, layout: Layout, latest: int) -> Iterator[list[str]]:
    """The cells of every line, in the order of the file; `DataError` at the first line at fault."""
    rows = _rows(path, layout)
    names = next(rows)[1] if layout.has_header else layout.names
    by_name = {column.name: column.kind for column in layout.columns}
    kinds = [by_name[name] for name in names]
    for line, cells in rows:
        if len(cells) != len(names):
            shown = _shown(layout.separator.join(cells))
            if len(cells) < len(names) and next(rows, None) is None:
                found, remedy = f"The last line of {path}, `{shown}`, is cut short", _GET_IT_AGAIN
            else:
                found, remedy = f"Line {line} of {path}, `{shown}`, has {len(cells)} columns", _CORRECT
            raise DataError(
                found, expected=f"the {len(names)} columns `{layout.example()}` in each line", remedy=remedy
            )
        for name, kind, cell in zip(names, kinds, cells, strict=True):
            if fault := _fault(cell, kind, latest):
                what, expected = fault
                raise DataError(
                    f"Line {line} of {path} has the {name} `{_shown(cell)}`, {what}",
                    expected=expected,
                    remedy=_CORRECT,
                )
        yield cells


def _rows(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every non-empty line. Raises `DataError` at unbalanced quotation marks."""
    text = _lines(path, layout.encoding)
    if layout.separator != ",":
        for line, row in enumerate(text, start=1):
            cells = row.rstrip("\r\n").split(layout.separator)
            if any(cells):
                yield line, cells
        return
    reader = csv.reader(text, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        if "expected after" in str(error):
            found = f"Line {start} of {path} has text after a closing quotation mark"
        else:
            found = f"A quotation mark opened on line {start} of {path} is never closed"
        raise DataError(
            found, expected="quotation marks in pairs, around whole cells", remedy=_GET_IT_AGAIN
        ) from None


def _lines(path: Path, encoding: Encoding) -> Iterator[str]:
    codec = "utf-8" if encoding == "utf8" else encoding
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode(codec)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, line[error.start]) from None
            yield text.removeprefix("\ufeff") if number == 1 else text


@lru_cache(maxsize=2**16)  # The same users, movies and ratings repeat many times.
def _fault(cell: str, kind: Kind, latest: int) -> tuple[str, str] | None:
    """(fault, expectation) of an invalid cell; None for a valid one."""
    cell = cell.strip()
    if kind == "text" or (kind == "optional_id" and not cell):
        return None
    try:
        number = float(cell) if kind == "rating" else int(cell)
    except ValueError:
        return "which is not a number" if kind == "rating" else "which is not a whole number", _EXPECTED[kind]
    if kind == "rating":
        return None if 0.5 <= number <= 5.0 else ("which is out of range", _EXPECTED[kind])
    if number < 0:
        return "which is negative", _EXPECTED[kind]
    if kind == "timestamp" and number > latest:
        return "which is in the future", _EXPECTED[kind]
    return None


_EXPECTED: Final[dict[Kind, str]] = {
    "id": "a whole number from 0",
    "optional_id": "a whole number from 0, or nothing",
    "rating": "a number from 0.5 to 5",
    "timestamp": "whole seconds since 1970-01-01 UTC, up to now",
}


def _shown(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
