"""The API's handlers, their OpenAPI document, and the routes below `/schema` that show it."""

import ast
import inspect
import textwrap
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath

from movierank_serving import schemas
from movierank_serving.routes import explaining, feedback, movies, operations, ranking, users
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
    users.forget,
    feedback.feedback,
    operations.model,
    operations.live,
    operations.ready,
    operations.metrics,
)

STRUCTS: Final = (
    Problem,
    schemas.RankRequest,
    schemas.RankResponse,
    schemas.ExplainRequest,
    schemas.ExplainResponse,
    schemas.Movie,
    schemas.MovieList,
    schemas.SimilarMovies,
    schemas.User,
    schemas.UserList,
    schemas.Forgotten,
    schemas.FeedbackRequest,
    schemas.FeedbackResponse,
    schemas.ModelInfo,
    schemas.Health,
    schemas.NotReady,
    schemas.Live,
)
"""The bodies of all requests and responses; structs inside them are described too."""


@cache
def openapi_json() -> bytes:
    """The document as JSON.

    A second application makes it. If the serving application made it, Litestar would add its own routes
    below `/schema`, whose errors are HTML instead of problem documents.
    """
    described = Litestar(
        API_HANDLERS,
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
                        description="One of the keys in MOVIERANK_API_KEYS, if the operator has set keys.",
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
    for struct in _structs_below(STRUCTS):
        for name, text in _field_docs(struct).items():
            components[struct.__name__]["properties"][name].setdefault("description", text)
    document["components"]["schemas"] = components
    return msgspec.json.encode(document)


def _structs_below(structs: tuple[type[msgspec.Struct], ...]) -> set[type[msgspec.Struct]]:
    """`structs` and all structs in their fields, recursively."""
    found: set[type[msgspec.Struct]] = set()

    def visit(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in found:
                return
            found.add(node.cls)
            for field in node.fields:
                visit(field.type)
        elif isinstance(node, msgspec.inspect.UnionType):
            for choice in node.types:
                visit(choice)
        elif isinstance(node, msgspec.inspect.ListType):
            visit(node.item_type)

    for node in msgspec.inspect.multi_type_info(structs):
        visit(node)
    return found


def _field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The descriptions of a struct's fields: the string literals below them in the source."""
    docs: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        if kind in (object, msgspec.Struct) or not issubclass(kind, msgspec.Struct):
            continue
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                docs[field.target.id] = inspect.cleandoc(text.value.value)
    return docs


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
