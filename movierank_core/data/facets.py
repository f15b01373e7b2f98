"""Facets of the movies: genres, years, runtimes and languages as arrays, read in microseconds by filters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

_WORD_BITS: Final = 64
"""Bits of one word of a genre mask."""


@dataclass(frozen=True)
class Facets:
    """One entry per catalogue row in each array. Names are compared without case."""

    genre_bits: dict[str, int]
    """Number of the bit of each genre, by its name in lower case."""
    genre_masks: NDArray[np.uint64]
    """[n_words, n_movies]: bit b % 64 of word b // 64 says whether the movie has the genre of bit b."""
    has_genres: NDArray[np.bool_]
    """Whether the genres are known. An empty list is known."""
    release_years: NDArray[np.float32]
    """NaN where unknown."""
    runtime_minutes: NDArray[np.float32]
    """NaN where unknown."""
    language_codes: dict[str, int]
    """Number of each language, by its ISO 639-1 code in lower case."""
    languages: NDArray[np.int32]
    """Numbers of `language_codes`; -1 where unknown."""

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Facets":
        """The facets of a CATALOGUE table, in its order."""
        # One row per movie and genre.
        pairs = (
            frame.select(pl.int_range(pl.len()).alias("row"), pl.col("genres").list.drop_nulls())
            .explode("genres")
            .drop_nulls()
            .select("row", pl.col("genres").str.to_lowercase())
        )
        genre_bits = {name: bit for bit, name in enumerate(pairs["genres"].unique().sort())}
        masks = np.zeros((max(1, -(-len(genre_bits) // _WORD_BITS)), len(frame)), np.uint64)
        for (name,), rows in pairs.partition_by("genres", as_dict=True).items():
            word, bit = divmod(genre_bits[name], _WORD_BITS)
            masks[word, rows["row"].to_numpy()] |= np.uint64(1 << bit)
        languages = frame["original_language"].str.to_lowercase()
        codes = {code: number for number, code in enumerate(languages.drop_nulls().unique().sort())}
        return cls(
            genre_bits=genre_bits,
            genre_masks=masks,
            has_genres=frame["genres"].is_not_null().to_numpy(),
            release_years=_floats(frame["release_year"]),
            runtime_minutes=_floats(frame["runtime_minutes"]),
            language_codes=codes,
            languages=languages.replace_strict(
                list(codes), list(codes.values()), default=-1, return_dtype=pl.Int32
            ).to_numpy(),
        )

    def has_genres_of(self, names: Iterable[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Per row, whether the movie has (any, all) of the genres `names`.

        A genre that no movie has counts as missing. A row with unknown genres matches neither.
        """
        wanted = {name.lower() for name in names}
        words = [0] * len(self.genre_masks)
        for name in wanted & self.genre_bits.keys():
            word, bit = divmod(self.genre_bits[name], _WORD_BITS)
            words[word] |= 1 << bit
        has_any = np.zeros(self.genre_masks.shape[1], np.bool_)
        has_all = self.has_genres.copy() if wanted <= self.genre_bits.keys() else has_any.copy()
        for mask, bits in zip(self.genre_masks, words, strict=True):
            if bits:
                common = mask & np.uint64(bits)
                has_any |= common != 0
                has_all &= common == np.uint64(bits)
        return has_any, has_all

    def is_in_language(self, codes: Iterable[str]) -> NDArray[np.bool_]:
        """Per row, whether the original language is one of `codes` (ISO 639-1)."""
        wanted = [
            self.language_codes[code]
            for code in {code.lower() for code in codes} & self.language_codes.keys()
        ]
        # A table by number, shifted by one, so that -1 (unknown) has an entry too.
        is_wanted = np.zeros(len(self.language_codes) + 1, np.bool_)
        is_wanted[np.array(wanted, np.int64) + 1] = True
        return is_wanted[self.languages + 1]


def _floats(column: pl.Series) -> NDArray[np.float32]:
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy()
