"""The middleware around every request: request id, timing, security headers, metrics, one log line."""

import functools
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from movierank_serving.settings import Settings
from movierank_serving.web.problems import PROBLEM_JSON, Problem
from movierank_serving.web.prometheus import Metrics

if TYPE_CHECKING:
    from movierank_serving.web.access import Caller

_SCOPE_KEY: Final = "movierank"
_UNMATCHED: Final = "unmatched"
"""Route label of requests that match no route."""
API_PREFIX: Final = "/v1"
"""Prefix of the routes of the API. The same routes also exist without it."""
PROBES: Final = frozenset(
    prefix + path for prefix in ("", API_PREFIX) for path in ("/health/live", "/health/ready", "/metrics")
)
"""Routes that machines poll every few seconds. They are counted, but logged only if they answer 500."""
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_PORT: Final = re.compile(r":\d+$")
_SUBRESOURCES: Final = (b"text/css", b"text/javascript")
_SUBRESOURCE_HEADERS: Final = [(b"x-content-type-options", b"nosniff")]
"""Styles and scripts need no headers for documents, and the page loads about fifty such files."""
_NO_STORE: Final = ((b"cache-control", b"no-store"),)
"""For every response that does not say otherwise: most are about a person, or about this moment."""
_log = logging.getLogger("movierank.requests")


@dataclass
class RequestContext:
    """Facts about the request that is being answered; the guard fills in the caller, handlers the rest."""

    request_id: str
    started: float
    """`time.perf_counter()` at its arrival."""
    user_id: int | None = None
    model_version: str | None = None
    caller: "Caller | None" = None
    """None until the guard has run, and for routes outside the API."""

    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)


def context_of(scope: Any) -> RequestContext:
    """The context of the request that is being answered."""
    context: RequestContext = scope[_SCOPE_KEY]
    return context


def _set_context(scope: Any, context: RequestContext) -> None:
    scope[_SCOPE_KEY] = context


class ObservabilityMiddleware:
    """Wraps the whole application, so that it also sees the 404s and 405s of the router."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        settings: Settings,
        image_bases: Callable[[], tuple[str, str]],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._log_requests = settings.log_requests
        self._image_bases = image_bases
        self._hosts = frozenset(host.lower() for host in settings.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(_request_id(scope), time.perf_counter())
        method = str(cast(Any, scope)["method"])
        is_head = method == "HEAD"
        inner = cast(Scope, {**scope, "method": "GET"}) if is_head else scope
        _set_context(inner, context)
        request_id = (b"x-request-id", context.request_id.encode())
        document_headers = _security_headers(self._image_bases())
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = list(message["headers"])
                own = _SUBRESOURCE_HEADERS if _is_subresource(sent) else document_headers
                caching = () if any(name.lower() == b"cache-control" for name, _ in sent) else _NO_STORE
                message["headers"] = [*sent, request_id, *own, *caching]
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""  # HEAD: status and headers of GET, with the length of its body.
            await send(message)

        try:
            if not self._is_allowed(scope):
                await _refuse_host(inner, receive, send_with_headers)
            else:
                await self._app(inner, receive, send_with_headers)
        finally:
            self._record(inner, method, context, status)

    def _is_allowed(self, scope: Scope) -> bool:
        """Whether the `Host` header names this service. A page of a hostile site cannot choose its own."""
        if not self._hosts:
            return True
        named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(named) == 1 and _PORT.sub("", named[0]).lower() in self._hosts

    def _record(self, scope: Any, method: str, context: RequestContext, status: int) -> None:
        route = str(scope.get("path_template") or _UNMATCHED)
        seconds = time.perf_counter() - context.started
        self._metrics.request(method, route, status, seconds)
        if not self._log_requests or (route in PROBES and status != 500):
            return
        line = {
            "request_id": context.request_id,
            "method": method,
            "route": route,
            "status": status,
            "latency_ms": round(seconds * 1000, 3),
            "model_version": context.model_version,
        }
        if context.caller is not None and context.caller.name is not None:
            line["key"] = context.caller.name
        if context.user_id is not None:
            line["user_id"] = context.user_id
        _log.info("request", extra=line)


async def _refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(
        type="urn:movierank:unknown-host",
        title="Bad Request",
        status=400,
        detail="The Host header names no host of this service.",
        remedy="the operator can add the name to MOVIERANK_ALLOWED_HOSTS",
    )
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_subresource(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(_SUBRESOURCES) for name, value in headers)


def _request_id(scope: Scope) -> str:
    """The caller's `X-Request-Id` if it has only safe characters, else a new random id."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


@functools.lru_cache(maxsize=4)
def _security_headers(image_bases: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    images = dict.fromkeys("://".join(urlsplit(base)[:2]) for base in image_bases if urlsplit(base).netloc)
    policy = "; ".join(
        (
            "default-src 'self'",
            f"img-src 'self' {' '.join(images)} data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items()]
