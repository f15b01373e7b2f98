"""Files of the page and of the API viewer: the right types, ETags, and nothing from outside their folders."""

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response

from movierank_serving.web.problems import NOT_FOUND, ServiceProblem

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
"""Files of other types are not served."""
_WORTH_PACKING: Final = frozenset({".html", ".css", ".js", ".json", ".svg", ".txt", ".webmanifest"})
_PLAIN_PATH: Final = re.compile(r"(?!.*(?:^|/)\.)[A-Za-z0-9._/-]{1,200}")
"""Names of our own files: no hidden ones, no way up, nothing that the file system chokes on."""


def file_response(request: Request[Any, Any, Any], folder: Path, path: str) -> Response[bytes]:
    """A file below `folder`, or 304 where the browser has it already; 404 for everything else.

    Browsers keep files and ask each time whether they changed, so that a new version shows at once.
    """
    relative = path.strip("/")
    file = (folder / relative).resolve() if _PLAIN_PATH.fullmatch(relative) else folder
    media_type = _TYPES.get(file.suffix)
    if media_type is None or not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise ServiceProblem(404, "not-found", NOT_FOUND)
    content = file.read_bytes()
    is_packed = file.suffix in _WORTH_PACKING and accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}{"-gzip" if is_packed else ""}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    if is_packed:
        return Response(
            _packed(content), headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type
        )
    return Response(content, headers=headers, media_type=media_type)


def accepts_gzip(header: str) -> bool:
    """Whether an `Accept-Encoding` names gzip and does not rule it out."""
    for entry in header.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name == "gzip":
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@lru_cache(maxsize=256)
def _packed(content: bytes) -> bytes:
    """The same bytes always pack to the same bytes."""
    return gzip.compress(content, compresslevel=6, mtime=0)
