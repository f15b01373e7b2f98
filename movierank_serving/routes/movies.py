"""Routes for movies: by id, similar movies, search by title."""

from typing import Annotated, Any, Final

from litestar import Request, get
from litestar.datastructures import CacheControlHeader
from litestar.params import QueryParameter

from movierank_serving.routes.dependencies import MovieInPath, known_row, model_of, problems
from movierank_serving.schemas.movies import Movie, MovieList, SimilarMovie, SimilarMovies
from movierank_serving.web.access import needs
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import unknown_movie

CATALOGUE_CACHING: Final = CacheControlHeader(private=True, max_age=60)
"""Facts of movies change with a version. A browser may show those of a minute ago."""


@get(
    "/movie/{movie_id:int}",
    operation_id="get_movie",
    tags=["movies"],
    summary="One movie",
    responses=problems(400, 404, 503),
    cache_control=CATALOGUE_CACHING,
    **needs(Scope.RANK, tokens="any"),
)
async def movie(request: Request[Any, Any, Any], movie_id: MovieInPath) -> Movie:
    view = (await model_of(request)).view
    return view.movie(known_row(view, movie_id))


@get(
    "/movie/tmdb/{tmdb_id:int}",
    operation_id="get_movie_by_tmdb_id",
    tags=["movies"],
    summary="One movie, by its TMDB id",
    responses=problems(400, 404, 503),
    cache_control=CATALOGUE_CACHING,
    **needs(Scope.RANK, tokens="any"),
)
async def movie_by_tmdb(request: Request[Any, Any, Any], tmdb_id: MovieInPath) -> Movie:
    view = (await model_of(request)).view
    row = view.row_of_tmdb(tmdb_id)
    if row < 0:
        raise unknown_movie("TMDB id", tmdb_id)
    return view.movie(row)


@get(
    "/movie/{movie_id:int}/similar",
    operation_id="similar_movies",
    tags=["movies"],
    summary="Movies similar to one",
    responses=problems(400, 404, 503),
    cache_control=CATALOGUE_CACHING,
    **needs(Scope.RANK, tokens="any"),
)
async def similar(
    request: Request[Any, Any, Any],
    movie_id: MovieInPath,
    k: Annotated[int, QueryParameter(ge=1, le=100, description="Maximum number of movies.")] = 12,
) -> SimilarMovies:
    model = await model_of(request)
    view = model.view
    row = known_row(view, movie_id)
    neighbours = model.recommender.similar(row, k)
    return SimilarMovies(
        movie_id=movie_id,
        results=[
            view.card_as(SimilarMovie, other, similarity=similarity) for other, similarity in neighbours
        ],
        latency_ms=context_of(request.scope).elapsed_ms(),
    )


@get(
    "/movies",
    operation_id="search_movies",
    tags=["movies"],
    summary="Search by title",
    responses=problems(400, 503),
    cache_control=CATALOGUE_CACHING,
    **needs(Scope.RANK, tokens="any"),
)
async def search(
    request: Request[Any, Any, Any],
    title: Annotated[
        str,
        QueryParameter(
            name="query",  # Litestar reserves the argument name `query` for all parameters together.
            max_length=200,
            description="Words of a title in any order, the last one possibly incomplete, possibly with "
            "typing errors, possibly with the year. Empty: the most popular movies.",
        ),
    ] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Maximum number of movies.")] = 10,
) -> MovieList:
    view = (await model_of(request)).view
    rows = view.search.search(title, limit)
    return MovieList(
        results=[view.card(row) for row in rows], latency_ms=context_of(request.scope).elapsed_ms()
    )
