"""The API's handlers, their OpenAPI document, and the routes below `/schema` that show it."""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath

from movierank_serving.routes import explaining, feedback, movies, operations, ranking, users
from movierank_serving.schemas.examples import REQUESTS, RESPONSES
from movierank_serving.schemas.feedback import (
    FeedbackRequest,
    FeedbackResponse,
    ImpressionsRequest,
    ImpressionsResponse,
)
from movierank_serving.schemas.movies import Movie, MovieList, SimilarMovies
from movierank_serving.schemas.operations import Health, Live, ModelInfo, NotReady
from movierank_serving.schemas.ranking import ExplainRequest, ExplainResponse, RankRequest, RankResponse
from movierank_serving.schemas.users import Forgotten, User, UserList, Verdicts
from movierank_serving.web.middleware import API_PREFIX
from movierank_serving.web.problems import Problem
from movierank_serving.web.static_files import file_response

_VIEWER: Final = Path(__file__).resolve().parent / "static" / "schema"
"""The API viewer: static files that need no network."""

API_HANDLERS: Final = (
    ranking.rank,
    explaining.explain,
    movies.movie,
    movies.movie_by_tmdb,
    movies.similar,
    movies.search,
    users.users,
    users.user,
    users.verdicts,
    users.forget,
    feedback.feedback,
    feedback.impressions,
    operations.model,
    operations.live,
    operations.ready,
    operations.metrics,
)

STRUCTS: Final = (
    Problem,
    RankRequest,
    RankResponse,
    ExplainRequest,
    ExplainResponse,
    Movie,
    MovieList,
    SimilarMovies,
    User,
    UserList,
    Verdicts,
    Forgotten,
    FeedbackRequest,
    FeedbackResponse,
    ImpressionsRequest,
    ImpressionsResponse,
    ModelInfo,
    Health,
    NotReady,
    Live,
)
"""The bodies of all requests and responses; structs inside them are described too."""


@cache
def openapi_json() -> bytes:
    """The document as JSON.

    A second application makes it. If the serving application made it, Litestar would add its own routes
    below `/schema`, whose errors are HTML instead of problem documents.
    """
    described = Litestar(
        [Router(API_PREFIX, route_handlers=API_HANDLERS)],
        openapi_config=OpenAPIConfig(
            title="movierank",
            version=version("movierank"),
            description="Ranks movies for a user by the user's whole history, including the latest event. "
            "Errors are RFC 9457 problem documents. This product uses the TMDB API but is not endorsed or "
            "certified by TMDB.",
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(
                        type="http",
                        scheme="bearer",
                        description="A key of the operator, which needs the scope of the operation, or a "
                        "user's token. Not needed for scopes that the operator has opened to all.",
                    )
                }
            ),
        ),
        logging_config=None,
    )
    document = described.openapi_schema.to_schema()
    # Litestar's schemas lack bounds of 0 and bounds of optional fields. msgspec's have all bounds, and
    # msgspec is what validates requests.
    _, components = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] = components
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation)
    return msgspec.json.encode(document)


def _complete(operation: dict[str, Any]) -> None:
    """Adds the needed scope and the examples to an operation of the document."""
    for requirement in operation.get("security", [])[:1]:
        scope = f"Needs the scope `{requirement['bearer'][0]}`."
        operation["description"] = " ".join(filter(None, (operation.get("description"), scope)))
    found = (
        (REQUESTS, operation.get("requestBody")),
        (RESPONSES, next(answer for code, answer in operation["responses"].items() if code < "300")),
    )
    for examples, part in found:
        if part is not None and (example := examples.get(operation["operationId"])) is not None:
            [media] = part["content"].values()
            media["example"] = example


@get("/schema", include_in_schema=False)
async def schema(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The viewer for clients that accept HTML, else the OpenAPI document."""
    if "text/html" in request.headers.get("accept", ""):
        return file_response(request, _VIEWER, "index.html")
    return _document()


@get("/schema/openapi.json", include_in_schema=False)
async def schema_json() -> Response[bytes]:
    return _document()


@get("/schema/{path:path}", include_in_schema=False)
async def schema_file(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    return file_response(request, _VIEWER, path.as_posix())


SCHEMA_HANDLERS: Final = (schema, schema_json, schema_file)


def _document() -> Response[bytes]:
    return Response(openapi_json(), media_type="application/json")
