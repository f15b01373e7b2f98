"""Serves the files of the page and of the API viewer: media types, ETags, gzip, no path outside a folder."""

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from litestar import Request, Response

from movierank_serving.web.problems import NOT_FOUND, ServiceProblem

_MEDIA_TYPES: Final = {
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
_COMPRESSIBLE: Final = frozenset({".html", ".css", ".js", ".json", ".svg", ".txt", ".webmanifest"})
_PLAIN_PATH: Final = re.compile(r"(?!.*(?:^|/)\.)[A-Za-z0-9._/-]{1,200}")
"""Permitted paths: no hidden file, no `..`, no character that a file system treats specially."""


def file_response(request: Request[Any, Any, Any], folder: Path, path: str) -> Response[bytes]:
    """A file below `folder`; 304 if the browser's copy is current. Raises the 404 problem for other paths.

    `Cache-Control: no-cache` makes browsers revalidate their copy each time, so that changes show at once.
    """
    relative = path.strip("/")
    file = (folder / relative).resolve() if _PLAIN_PATH.fullmatch(relative) else folder
    media_type = _MEDIA_TYPES.get(file.suffix)
    if media_type is None or not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise ServiceProblem(404, "not-found", NOT_FOUND)
    content = file.read_bytes()
    is_gzipped = file.suffix in _COMPRESSIBLE and accepts_gzip(request.headers.get("accept-encoding", ""))
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}{"-gzip" if is_gzipped else ""}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if etag in known or "*" in known:
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    if is_gzipped:
        return Response(
            _gzipped(content), headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type
        )
    return Response(content, headers=headers, media_type=media_type)


def accepts_gzip(header: str) -> bool:
    """Whether an `Accept-Encoding` header names gzip with a weight above 0."""
    for entry in header.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name == "gzip":
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


@lru_cache(maxsize=256)
def _gzipped(content: bytes) -> bytes:
    """Compressed content without a time stamp: equal content gives equal bytes."""
    return gzip.compress(content, compresslevel=6, mtime=0)
