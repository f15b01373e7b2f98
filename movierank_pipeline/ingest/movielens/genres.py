"""One genre vocabulary for all inputs: MovieLens's names, plus TMDB's additional genres.

Readers translate names at once, so no table holds two names for one genre.
"""

from typing import Final

import polars as pl

_NAMES: Final = {
    "Children's": "Children",  # ml-100k and ml-1m
    "Science Fiction": "Sci-Fi",  # TMDB, from here on
    "Family": "Children",
}
_NOT_GENRES: Final = [
    "",
    "(no genres listed)",
    "unknown",  # ml-100k
    "TV Movie",  # TMDB: says how a film was shown
    "Foreign",  # TMDB, until 2017: says where it was made
]


def canonical_genres(names: pl.Expr) -> pl.Expr:
    """Translates a list column of genre names: duplicates removed, order kept.

    Null stays null. Names that are not genres are removed. Names without a rule stay unchanged.
    """
    element = pl.element().str.strip_chars()
    return names.list.eval(
        element.filter(element.is_not_null() & ~element.is_in(_NOT_GENRES)).replace(_NAMES)
    ).list.unique(maintain_order=True)
