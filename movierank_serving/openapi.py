"""The OpenAPI document of the routes in API_HANDLERS."""

import ast
import inspect
import textwrap
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from movierank_serving import schemas
from movierank_serving.routes import explaining, feedback, movies, operations, ranking, users
from movierank_serving.web.problems import Problem

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
"""Every body that a route takes or gives; what they contain comes along."""


@cache
def openapi_json() -> bytes:
    """The document as JSON.

    It comes from an application that only describes: one that serves it as well gets routes of Litestar's
    own under `/schema`, whose errors are HTML.
    """
    described = Litestar(
        API_HANDLERS,
        openapi_config=OpenAPIConfig(
            title="movierank",
            version=version("movierank"),
            description="Ranks movies for a user from everything that user did up to this moment. Errors "
            "are RFC 9457 problem documents. This product uses the TMDB API but is not endorsed or "
            "certified by TMDB.",
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(
                        type="http",
                        scheme="bearer",
                        description="A key of MOVIERANK_API_KEYS, where the service has keys.",
                    )
                }
            ),
        ),
        logging_config=None,
    )
    document = described.openapi_schema.to_schema()
    # Litestar loses bounds of 0 and those of optional fields; msgspec, which decides, states them all.
    _, components = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    for struct in _structs_below(STRUCTS):
        for name, text in _field_docs(struct).items():
            components[struct.__name__]["properties"][name].setdefault("description", text)
    document["components"]["schemas"] = components
    return msgspec.json.encode(document)


def _structs_below(structs: tuple[type[msgspec.Struct], ...]) -> set[type[msgspec.Struct]]:
    """`structs` and those in their fields, however deep."""
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
    """The texts that stand below the fields in the source."""
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
