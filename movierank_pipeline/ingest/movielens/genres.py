"""One genre vocabulary for every source: MovieLens's names, with what TMDB adds to them.

A source's own names are translated where it is read, so that no table holds two words for one genre.
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
    """A list column of genre names in our vocabulary: first occurrences, in the order given.

    Null stays null; a list of names that are not genres becomes empty. Names that no rule mentions stay.
    """
    element = pl.element().str.strip_chars()
    return names.list.eval(
        element.filter(element.is_not_null() & ~element.is_in(_NOT_GENRES)).replace(_NAMES)
    ).list.unique(maintain_order=True)
