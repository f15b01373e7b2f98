"""Matches TMDB movies by title and year, for films with a missing or invalid link.

A wrong match is worse than none: ambiguous matches are dropped.
"""

from difflib import SequenceMatcher
from typing import Final

import polars as pl

MATCHES: Final = pl.Schema({"movie_id": pl.Int64(), "tmdb_id": pl.Int64()})
"""One row per matched movie, sorted by `movie_id`."""


def comparable(title: pl.Expr) -> pl.Expr:
    """Normalises a title: no case, accents, punctuation or repeated blanks, `&` as `and`; null if empty."""
    folded = title.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()
    words = folded.str.replace_all("&", " and ").str.replace_all(r"['’`]", "")
    words = words.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    return pl.when(words.str.len_chars() > 0).then(words)


def main_title(title: pl.Expr) -> pl.Expr:
    """The title without bracketed parts, normalised."""
    return comparable(title.str.replace_all(r"\([^()]*\)", " "))


def all_titles(title: pl.Expr) -> pl.Expr:
    """A list of the main title, each bracketed title and the whole title, all normalised."""
    others = title.str.extract_all(r"\([^()]*\)").list.eval(
        comparable(pl.element().str.replace(r"^\(\s*a\.?k\.?a\.?\s", ""))
    )
    own = pl.concat_list(main_title(title), comparable(title))
    return own.list.concat(others).list.drop_nulls().list.unique(maintain_order=True)


def match_by_title(
    movies: pl.DataFrame, links: pl.DataFrame, wanted: pl.Series, tmdb_movies: pl.DataFrame
) -> pl.DataFrame:
    """MATCHES of the movies among `wanted` (movie ids) with exactly one matching film in `tmdb_movies`.

    A film matches if its title or original title equals one of the movie's titles and it is the only such
    film of the movie's year. If no such film has that year, the only film of any year matches if it was
    released one year before or after. A film is excluded if another movie's link points to it (except a
    duplicate entry with the same title and year), or if two different movies match it. `movies` is MOVIES,
    `links` LINKS; `tmdb_movies` has the columns `tmdb_id`, `title`, `original_title` and `release_date`, and
    must contain all films that share a title with a candidate.
    """
    identity = movies.select("movie_id", "release_year", name=main_title(pl.col("title")))
    ours = (
        movies.filter(pl.col("movie_id").is_in(wanted.implode()), pl.col("release_year").is_not_null())
        .select("movie_id", "release_year", title=all_titles(pl.col("title")))
        .explode("title")
    )
    films = tmdb_movies.select(
        "tmdb_id",
        year=pl.col("release_date").dt.year(),
        title=pl.concat_list(comparable(pl.col("title")), comparable(pl.col("original_title"))),
    )
    theirs = films.explode("title").drop_nulls("title").unique()
    pairs = (
        ours.join(theirs, on="title")
        .select("movie_id", "tmdb_id", apart=(pl.col("year") - pl.col("release_year")).abs())
        .unique()
        .with_columns(
            n_films=pl.len().over("movie_id"), n_of_year=(pl.col("apart") == 0).sum().over("movie_id")
        )
    )
    is_of_year = (pl.col("apart") == 0) & (pl.col("n_of_year") == 1)
    is_near = (pl.col("apart") == 1) & (pl.col("n_films") == 1)
    matched = pairs.filter(is_of_year | is_near).select("movie_id", "tmdb_id").join(identity, on="movie_id")
    claims = pl.concat(
        [
            links.select("movie_id", "tmdb_id").drop_nulls().join(identity, on="movie_id"),
            matched.select("movie_id", "tmdb_id", "release_year", "name"),
        ]
    )
    is_same = pl.all_horizontal(
        pl.col(column).eq_missing(pl.col(f"{column}_right")) for column in ("release_year", "name")
    )
    taken = matched.join(claims, on="tmdb_id").filter(~is_same)
    return (
        matched.join(taken, on=["movie_id", "tmdb_id"], how="anti").select(MATCHES.names()).sort("movie_id")
    )


def similarity(ours: list[str], theirs: list[str]) -> float | None:
    """Maximum similarity (0 to 1) over all pairs of two lists of normalised titles; None if a list is empty.

    The similarity of a pair is the larger of two shares: matching characters, and words of the shorter title
    that the longer title contains, since films gain and lose subtitles.
    """
    if not ours or not theirs:
        return None
    if not set(ours).isdisjoint(theirs):
        return 1.0
    return max(_similarity(mine, other) for mine in ours for other in theirs)


def _similarity(one: str, other: str) -> float:
    words, others = set(one.split()), set(other.split())
    characters = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return max(characters, len(words & others) / min(len(words), len(others)))
