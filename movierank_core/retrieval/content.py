"""Content neighbours: movies described like the ones that the history prefers, rated often or never."""

from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.catalogue import Catalogue
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Arrays
from movierank_core.retrieval.sparse_rows import SparseRows

TOKEN_WEIGHTS = {"genre": 1.0, "director": 1.5, "cast": 0.7, "keyword": 0.7, "decade": 0.7, "language": 0.5}


class Content:
    """TF-IDF over genres, directors, cast, keywords, decade and language; cosine with the history's profile.

    The profile is the sum of the history's movies, each weighted by 1 plus its centred rating.
    """

    name: ClassVar[str] = "content"
    is_personal: ClassVar[bool] = True

    def __init__(self, tokens: SparseRows, n_tokens: int) -> None:
        self.tokens = tokens
        self.n_tokens = n_tokens

    @classmethod
    def fit(cls, catalogue: Catalogue) -> Self:
        rows, names, weights = _tokens(catalogue.frame)
        if len(rows) == 0:
            return cls(SparseRows.empty(len(catalogue)), 0)
        _, token, count = np.unique(names, return_inverse=True, return_counts=True)
        shared = count[token] > 1  # A token that one movie alone has relates it to nothing.
        rows, token, weights, df = rows[shared], token[shared], weights[shared], count[token[shared]]
        values = weights * np.log(len(catalogue) / df)
        length = np.sqrt(np.bincount(rows, values**2, minlength=len(catalogue)))
        values = values / np.maximum(length[rows], 1e-9)
        return cls(SparseRows.from_triples(rows, token, values, len(catalogue)), len(count))

    def profile(self, query: Query) -> NDArray[np.float32]:
        """The history's weighted sum of token vectors, length at most 1."""
        weights = np.where(query.is_presence, 1.0 + query.centred, query.centred).astype(np.float32)
        profile = self.tokens.weighted_sum(query.rows, weights, self.n_tokens)
        return profile / np.float32(max(1.0, float(np.sqrt((profile**2).sum()))))

    def scores(self, query: Query) -> NDArray[np.float32]:
        if len(query) == 0 or self.n_tokens == 0:
            return np.zeros(len(self.tokens), np.float32)
        return self.tokens.dot(self.profile(query))

    def similar(self, row: int) -> NDArray[np.float32]:
        """Cosine of every movie with one."""
        if self.n_tokens == 0:
            return np.zeros(len(self.tokens), np.float32)
        profile = np.zeros(self.n_tokens, np.float32)
        indices, values = self.tokens.row(row)
        profile[indices] = values
        return self.tokens.dot(profile)

    def arrays(self) -> Arrays:
        return {
            "offsets": self.tokens.offsets,
            "indices": self.tokens.indices,
            "values": self.tokens.values,
            "n_tokens": np.array([self.n_tokens]),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        tokens = SparseRows(arrays["offsets"], arrays["indices"], arrays["values"])
        return cls(tokens, int(arrays["n_tokens"][0]))


def _tokens(frame: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float64]]:
    """Every (row, token, weight) of the catalogue."""
    numbered = frame.with_row_index("row")
    parts = []
    for column, kind in (
        ("genres", "genre"),
        ("directors", "director"),
        ("cast", "cast"),
        ("keywords", "keyword"),
    ):
        listed = numbered.select("row", pl.col(column).alias("token")).explode(
            "token", empty_as_null=True, keep_nulls=True
        )
        parts.append((kind, listed))
    decade = pl.format("{}", (pl.col("release_year") // 10) * 10)
    parts.append(("decade", numbered.select("row", decade.alias("token"))))
    parts.append(("language", numbered.select("row", pl.col("original_language").alias("token"))))
    table = pl.concat(
        part.drop_nulls()
        .unique(maintain_order=True)
        .select(
            "row",
            pl.format(kind + ":{}", "token").alias("token"),
            pl.lit(TOKEN_WEIGHTS[kind]).alias("weight"),
        )
        for kind, part in parts
    )
    return (
        table["row"].to_numpy().astype(np.int64),
        table["token"].to_numpy().astype(np.str_),
        table["weight"].to_numpy(),
    )
