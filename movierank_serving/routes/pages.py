"""What browsers open: the page at `/`, the API viewer at `/schema`."""

from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get, head
from litestar.params import FromPath

from movierank_serving.openapi import openapi_json
from movierank_serving.routes.dependencies import world_of
from movierank_serving.web.static_files import file_response

_VIEWER: Final = Path(__file__).resolve().parent.parent / "static" / "schema"
FRONT: Final = Path("index.html")


@get("/schema", include_in_schema=False)
async def schema(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The viewer for browsers, the OpenAPI document for everybody else."""
    if "text/html" in request.headers.get("accept", ""):
        return file_response(request, _VIEWER, "index.html")
    return _document()


@get("/schema/openapi.json", include_in_schema=False)
async def schema_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    return _document()


@get("/schema/{path:path}", include_in_schema=False)
async def schema_file(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    return file_response(request, _VIEWER, path.as_posix())


@get("/", include_in_schema=False)
async def index(request: Request[Any, Any, Any]) -> Response[bytes]:
    return file_response(request, world_of(request).settings.ui_folder, "index.html")


@get("/{path:path}", include_in_schema=False)
async def page(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    return file_response(request, world_of(request).settings.ui_folder, path.as_posix())


@head("/", include_in_schema=False)
async def index_head(request: Request[Any, Any, Any]) -> Response[None]:
    return _head_of(file_response(request, world_of(request).settings.ui_folder, "index.html"))


@head("/{path:path}", include_in_schema=False)
async def page_head(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[None]:
    return _head_of(file_response(request, world_of(request).settings.ui_folder, path.as_posix()))


def _head_of(found: Response[bytes]) -> Response[None]:
    headers = {**found.headers, "Content-Length": str(len(found.content))}
    return Response(None, headers=headers, media_type=found.media_type, status_code=found.status_code)


PAGES: Final = (schema, schema_json, schema_file, index, page, index_head, page_head)


def _document() -> Response[bytes]:
    return Response(openapi_json(), media_type="application/json")
