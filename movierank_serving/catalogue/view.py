"""The catalogue in the form of response bodies: cards for lists, whole movies, and title search.

The columns that lists need are copied to Python lists once: reading a data frame in a request is too slow.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_serving.catalogue.title_search import TitleSearch
from movierank_serving.schemas.common import MovieCard
from movierank_serving.schemas.movies import Movie
from movierank_serving.schemas.ranking import RankedResult

_C = TypeVar("_C", bound=MovieCard)


class CatalogueView:
    """One catalogue, prepared for responses. Immutable."""

    def __init__(self, catalogue: Catalogue, popular_rows: list[int], image_bases: tuple[str, str]) -> None:
        """`popular_rows`: catalogue rows, most popular first, possibly not all.

        `image_bases`: URL prefixes of the image paths of (posters, backdrops).
        """
        frame = catalogue.frame
        self.catalogue = catalogue
        self.image_bases = image_bases
        self._movie_ids: list[int] = frame["movie_id"].to_list()
        self.titles: list[str] = frame["title"].to_list()
        self.release_years: list[int | None] = frame["release_year"].to_list()
        self.genres: list[list[str]] = [genres or [] for genres in frame["genres"].to_list()]
        self._tmdb_ids: list[int | None] = frame["tmdb_id"].to_list()
        self._posters = [_url(image_bases[0], path) for path in frame["poster_path"].to_list()]
        self._row_by_tmdb_id = {
            tmdb_id: row for row, tmdb_id in enumerate(self._tmdb_ids) if tmdb_id is not None
        }
        self.search = TitleSearch(
            self.titles,
            frame["original_title"].to_list(),
            self.release_years,
            _popularity(len(catalogue), popular_rows),
        )

    def row_of_tmdb(self, tmdb_id: int) -> int:
        """The row of the movie with a TMDB id, -1 if there is none."""
        return self._row_by_tmdb_id.get(tmdb_id, -1)

    def card(self, row: int) -> MovieCard:
        return self.card_as(MovieCard, row)

    def card_as(self, kind: type[_C], row: int, **more: Any) -> _C:
        """A card of type `kind`, with the additional fields `more`."""
        return kind(
            movie_id=self._movie_ids[row],
            title=self.titles[row],
            release_year=self.release_years[row],
            genres=self.genres[row],
            poster_url=self._posters[row],
            tmdb_id=self._tmdb_ids[row],
            **more,
        )

    def ranked(self, row: int, score: float, reasons: list[str], **more: Any) -> RankedResult:
        """One result of a ranking, with the additional fields `more`."""
        return RankedResult(
            movie_id=self._movie_ids[row],
            score=score,
            title=self.titles[row],
            poster_url=self._posters[row],
            reasons=reasons,
            tmdb_id=self._tmdb_ids[row],
            release_year=self.release_years[row],
            genres=self.genres[row],
            **more,
        )

    def movie(self, row: int) -> Movie:
        """Everything in the catalogue about one movie."""
        movie = self.catalogue.frame.row(row, named=True)
        release_date, retrieved_at = movie["release_date"], movie["retrieved_at"]
        return Movie(
            movie_id=movie["movie_id"],
            title=movie["title"],
            original_title=movie["original_title"],
            release_year=movie["release_year"],
            release_date=None if release_date is None else release_date.isoformat(),
            genres=movie["genres"] or [],
            runtime_minutes=movie["runtime_minutes"],
            original_language=movie["original_language"],
            overview=movie["overview"],
            cast=movie["cast"] or [],
            directors=movie["directors"] or [],
            keywords=movie["keywords"] or [],
            certification=movie["certification"],
            collection=movie["collection"],
            tmdb_vote_avg=movie["tmdb_vote_average_snapshot"],
            tmdb_vote_count=movie["tmdb_vote_count_snapshot"],
            tmdb_popularity=movie["tmdb_popularity_snapshot"],
            tmdb_retrieved_at=None if retrieved_at is None else retrieved_at.isoformat(),
            metadata_source=movie["metadata_source"],
            poster_url=self._posters[row],
            backdrop_url=_url(self.image_bases[1], movie["backdrop_path"]),
            tmdb_id=movie["tmdb_id"],
            imdb_id=movie["imdb_id"],
        )


def _url(base: str, path: str | None) -> str | None:
    return None if not path else f"{base.rstrip('/')}/{path.lstrip('/')}"


def _popularity(n_movies: int, popular_rows: list[int]) -> NDArray[np.float64]:
    """[n_movies]: 1 for the most popular row, falling with the logarithm of the rank; 0 for absent rows."""
    popularity = np.zeros(n_movies)
    ranks = np.arange(len(popular_rows))
    popularity[popular_rows] = 1 - np.log1p(ranks) / np.log1p(max(n_movies, 2))
    return popularity
