"""Catalogue columns as arrays that feature blocks fit."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def floats(series: pl.Series) -> NDArray[np.float32]:
    """A numeric column as float32; NaN for null."""
    return series.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def codes(series: pl.Series) -> NDArray[np.int32]:
    """Per row the alphabetical code of its text, from 0; -1 for null."""
    names = sorted(series.drop_nulls().unique().to_list())
    code_of = {name: code for code, name in enumerate(names)}
    return series.replace_strict(code_of, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


def list_codes(lists: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and alphabetical code (from 0) of every entry of a column of text lists, by row."""
    table = (
        pl.DataFrame({"names": lists})
        .with_row_index("row")
        .explode("names", empty_as_null=True, keep_nulls=True)
        .drop_nulls()
        .with_columns(code=pl.col("names").rank("dense") - 1)
    )
    return table["row"].to_numpy().astype(np.int64), table["code"].to_numpy().astype(np.int64)
