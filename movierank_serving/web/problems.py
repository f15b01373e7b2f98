"""Errors as RFC 9457 problem documents: the same shape for all routes and statuses."""

import logging
import re
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from msgspec import Meta

from movierank_core.errors import EventConflictError, EventStoreError

PROBLEM_JSON: Final = "application/problem+json"
_log = logging.getLogger("movierank.service")


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """The error of one field of a request."""

    field: Annotated[
        str, Meta(description="`k`, `history[0].rating`; empty if the error concerns the whole request.")
    ]
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem document, with `errors` for the fields of a refused request."""

    type: Annotated[str, Meta(description="`urn:movierank:<code>`; a code never changes its meaning.")]
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
    remedy: Annotated[
        str | None, Meta(description="What to do, if the service knows it: often a command.")
    ] = None


class ServiceProblem(Exception):
    """Raised by handlers. Its problem document becomes the response."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        remedy: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type=f"urn:movierank:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            errors=errors or [],
            remedy=remedy,
        )
        self.headers = headers or {}


def invalid(field: str, message: str) -> ServiceProblem:
    """The 400 problem for one field; an empty `field` stands for the whole request."""
    where = f"{field}: " if field else ""
    return ServiceProblem(
        400,
        "invalid-request",
        f"The request is invalid: {where}{message}.",
        errors=[FieldError(field=field, message=message)],
    )


def unknown_movie(kind: str, movie_id: int) -> ServiceProblem:
    return ServiceProblem(404, "unknown-movie", f"The catalogue has no movie with {kind} {movie_id}.")


def no_model(reason: str) -> ServiceProblem:
    return ServiceProblem(
        503,
        "no-model",
        reason,
        remedy="run `movierank demo` for a first model, or `movierank materialize` and `movierank promote`",
        headers={"Retry-After": "5"},
    )


def events_late(event_id: str) -> ServiceProblem:
    return ServiceProblem(
        503,
        "event-store-unavailable",
        "The event store did not answer in time, so the event is not acknowledged.",
        remedy=f"send the event again with event_id {event_id}; the same event_id is stored only once",
        headers={"Retry-After": "1"},
    )


def overloaded() -> ServiceProblem:
    return ServiceProblem(
        503,
        "overloaded",
        "Too many rankings are waiting in this worker.",
        remedy="try again later; the operator can raise MOVIERANK_RANK_QUEUE or add workers",
        headers={"Retry-After": "1"},
    )


def busy(calls: str) -> ServiceProblem:
    """The 503 problem for a call that finds too many others waiting; `calls` names their kind."""
    return ServiceProblem(
        503,
        "overloaded",
        f"Too many calls are waiting in this worker ({calls}).",
        remedy="try again later; the operator finds the reason at /health/ready",
        headers={"Retry-After": "1"},
    )


def ranking_failed() -> ServiceProblem:
    return ServiceProblem(
        503,
        "ranking-failed",
        "The ranking failed, even by popularity. The log has the reason under the id of this request.",
        headers={"Retry-After": "5"},
    )


def no_challenger(error: str | None, *, is_wanted: bool) -> ServiceProblem:
    """The 404 problem; `error` says why an existing challenger is not loaded."""
    if not is_wanted:
        return ServiceProblem(
            404,
            "no-challenger",
            "This service does not load challengers.",
            remedy="set MOVIERANK_SERVE_CHALLENGER=true and restart the service",
        )
    return ServiceProblem(
        404,
        "no-challenger",
        error or "No version with the alias challenger is loaded.",
        remedy="run `movierank materialize --policy manual`: a version that passes becomes the challenger",
    )


_UNKNOWN_FIELD: Final = re.compile(r"^Object contains unknown field `(?P<field>.*)`$")
_INDEX: Final = re.compile(r"\[[^\]]*\]")
_MISSING_FIELD: Final = re.compile(r"^Object missing required field `(?P<field>.*)`$")


def from_msgspec(error: msgspec.ValidationError, allowed: dict[str, tuple[str, ...]]) -> ServiceProblem:
    """The 400 problem of a JSON body that does not match the struct.

    `allowed` lists the permitted values of enumerations by field, with `[]` for every list index.
    """
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    for pattern, text in ((_UNKNOWN_FIELD, "unknown field"), (_MISSING_FIELD, "required field is missing")):
        if match := pattern.match(message):
            field = f"{field}.{match['field']}" if field else match["field"]
            message = text
    if message.startswith("Invalid enum value") and (values := allowed.get(_INDEX.sub("[]", field))):
        message = f"{message}, expected one of {', '.join(values)}"
    return invalid(field, message)


_PARAMETER_NAMES: Final = {"title": "query", "prefix": "query"}
"""Argument to query parameter, if the names differ: Litestar reserves the argument name `query`."""


def _of_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> ServiceProblem:
    """The problem of Litestar's own errors: unknown route, wrong method, large body, invalid parameter."""
    status = error.status_code
    code = {
        400: "invalid-request",
        404: "not-found",
        405: "method-not-allowed",
        413: "body-too-large",
        415: "unsupported-media-type",
    }.get(status, "error" if status < 500 else "internal-error")
    details = {
        404: NOT_FOUND,
        405: "This route does not support this method.",
        413: "The body of the request is too large.",
    }
    errors = [
        FieldError(
            field=_PARAMETER_NAMES.get(entry.get("key", ""), str(entry.get("key", ""))),
            message=str(entry.get("message", "")),
        )
        for entry in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(entry, dict)
    ]
    if errors and errors[0].field == "data":
        return invalid("", "the body is empty")
    if errors:
        return invalid(errors[0].field, errors[0].message)
    headers = {"Allow": ", ".join(_methods_of(request))} if status == 405 else {}
    return ServiceProblem(status, code, details.get(status, "The request is invalid."), headers=headers)


def _methods_of(request: Request[Any, Any, Any]) -> list[str]:
    """The methods that the route of this request supports."""
    methods = []
    for method in ("DELETE", "GET", "OPTIONS", "POST"):
        try:
            request.app.asgi_router.handle_routing(path=request.scope["path"], method=method)
        except HTTPException:
            continue
        methods += [method, "HEAD"] if method == "GET" else [method]
    return methods


NOT_FOUND: Final = "No such route or file. /schema lists the routes."
_INTERNAL: Final = "An internal error occurred. The log has the reason under the id of this request."


def problem_of(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The response to any exception. Unexpected exceptions are logged, and their text is not shown."""
    match error:
        case ServiceProblem():
            found = error
        case EventConflictError():
            found = ServiceProblem(
                409,
                "event-conflict",
                f"{error.found}. Nothing was stored.",
                remedy=error.remedy,
            )
        case EventStoreError():
            _log.warning("event store", extra={"error": str(error)})
            found = ServiceProblem(
                503,
                "event-store-unavailable",
                "The event store is unavailable, so nothing was stored.",
                remedy="try again; the operator finds the reason at /health/ready",
                headers={"Retry-After": "1"},
            )
        case HTTPException() if error.status_code < 500:
            found = _of_http_exception(request, error)
        case _:
            _log.error("request failed", exc_info=error, extra={"path": request.url.path})
            found = ServiceProblem(500, "internal-error", _INTERNAL)
    return Response(
        content=found.problem,
        status_code=found.problem.status,
        media_type=PROBLEM_JSON,
        headers=found.headers,
    )


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {Exception: problem_of, HTTPException: problem_of}
