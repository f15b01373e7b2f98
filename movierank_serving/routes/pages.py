"""The routes of the page: every file of `ui/`, with `index.html` at `/`."""

from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get, head
from litestar.params import FromPath

from movierank_serving.routes.dependencies import state_of
from movierank_serving.web.static_files import file_response


@get("/", include_in_schema=False)
async def index(request: Request[Any, Any, Any]) -> Response[bytes]:
    return _ui_file(request, "index.html")


@get("/{path:path}", include_in_schema=False)
async def page(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    return _ui_file(request, path.as_posix())


@head("/", include_in_schema=False)
async def index_head(request: Request[Any, Any, Any]) -> Response[None]:
    return _without_body(_ui_file(request, "index.html"))


@head("/{path:path}", include_in_schema=False)
async def page_head(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[None]:
    return _without_body(_ui_file(request, path.as_posix()))


def _ui_file(request: Request[Any, Any, Any], path: str) -> Response[bytes]:
    return file_response(request, state_of(request).settings.ui_folder, path)


def _without_body(found: Response[bytes]) -> Response[None]:
    """The answer to HEAD: status and headers of the answer to GET."""
    headers = {**found.headers, "Content-Length": str(len(found.content))}
    return Response(None, headers=headers, media_type=found.media_type, status_code=found.status_code)


PAGE_HANDLERS: Final = (index, page, index_head, page_head)
