"""The routes of the page: every file of `ui/`, with `index.html` at `/`."""

from pathlib import Path
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath

from movierank_serving.routes.dependencies import state_of
from movierank_serving.web.static_files import file_response


@get("/", include_in_schema=False)
async def index(request: Request[Any, Any, Any]) -> Response[bytes]:
    return _ui_file(request, "index.html")


@get("/{path:path}", include_in_schema=False)
async def page(request: Request[Any, Any, Any], path: FromPath[Path]) -> Response[bytes]:
    return _ui_file(request, path.as_posix())


def _ui_file(request: Request[Any, Any, Any], path: str) -> Response[bytes]:
    return file_response(request, state_of(request).settings.ui_folder, path)


PAGE_HANDLERS: Final = (index, page)
