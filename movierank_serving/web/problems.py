"""Errors as RFC 9457 problem documents: one shape for every route and every status."""

import logging
import re
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from msgspec import Meta

from movierank_core.errors import EventStoreError

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
    """Raised by handlers; becomes a problem document."""

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
    """400 for one field."""
    where = f"{field}: " if field else ""
    return ServiceProblem(
        400,
        "invalid-request",
        f"The request is invalid: {where}{message}.",
        errors=[FieldError(field=field, message=message)],
    )


def unknown_movie(what: str, number: int) -> ServiceProblem:
    return ServiceProblem(404, "unknown-movie", f"The catalogue has no movie with {what} {number}.")


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
        "The event store does not answer, so nothing is acknowledged.",
        remedy=f"send it again with event_id {event_id}: should it be stored after all, it counts once",
        headers={"Retry-After": "1"},
    )


def overloaded() -> ServiceProblem:
    return ServiceProblem(
        503,
        "overloaded",
        "More rankings are waiting than this service takes on.",
        remedy="try again a little later; the operator finds the bound under MOVIERANK_RANK_QUEUE",
        headers={"Retry-After": "1"},
    )


def ranking_failed() -> ServiceProblem:
    return ServiceProblem(
        503,
        "ranking-failed",
        "Nothing could be ranked, not even by popularity. The log has the reason under this request's id.",
        headers={"Retry-After": "5"},
    )


def no_challenger(error: str | None, *, is_wanted: bool) -> ServiceProblem:
    """404: `error` says why the challenger that there is cannot be used."""
    if not is_wanted:
        return ServiceProblem(
            404,
            "no-challenger",
            "This service holds no challenger.",
            remedy="set MOVIERANK_SERVE_CHALLENGER=true and start it again",
        )
    return ServiceProblem(
        404,
        "no-challenger",
        error or "No version that carries the alias challenger is loaded.",
        remedy="run `movierank materialize --policy manual`: what passes becomes the challenger",
    )


_UNKNOWN_FIELD: Final = re.compile(r"^Object contains unknown field `(?P<field>.*)`$")
_INDEX: Final = re.compile(r"\[[^\]]*\]")
_MISSING_FIELD: Final = re.compile(r"^Object missing required field `(?P<field>.*)`$")


def from_msgspec(error: msgspec.ValidationError, allowed: dict[str, tuple[str, ...]]) -> ServiceProblem:
    """The problem of a body that is JSON of another shape; `allowed` lists the values of enumerations."""
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    for pattern, text in ((_UNKNOWN_FIELD, "unknown field"), (_MISSING_FIELD, "required field is missing")):
        if match := pattern.match(message):
            field = f"{field}.{match['field']}" if field else match["field"]
            message = text
    if message.startswith("Invalid enum value") and (values := allowed.get(_INDEX.sub("[]", field))):
        message = f"{message}, expected one of {', '.join(values)}"
    return invalid(field, message)


_SHOWN_NAMES: Final = {"title": "query", "number": "query"}
"""Arguments of handlers that cannot be named like their parameter: Litestar keeps `query` for itself."""


def _of_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> ServiceProblem:
    """Litestar's own errors: no such route or method, a body too large, a bad parameter."""
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
        405: "This route does not answer this method.",
        413: "The body of the request is too large.",
    }
    errors = [
        FieldError(
            field=_SHOWN_NAMES.get(entry.get("key", ""), str(entry.get("key", ""))),
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
    """What the route of this request answers."""
    methods = []
    for method in ("DELETE", "GET", "HEAD", "OPTIONS", "POST"):
        try:
            request.app.asgi_router.handle_routing(path=request.scope["path"], method=method)
        except HTTPException:
            continue
        methods.append(method)
    return methods


NOT_FOUND: Final = "There is no such route or file. See /schema."
_INTERNAL: Final = "Something failed inside the service. The log has it under this request's id."


def problem_of(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to any exception; defects are logged and never shown."""
    match error:
        case ServiceProblem():
            trouble = error
        case EventStoreError():
            _log.warning("event store", extra={"error": str(error)})
            trouble = ServiceProblem(
                503,
                "event-store-unavailable",
                "The event store cannot be reached, so nothing was stored.",
                remedy="try again; the operator finds the reason at /health/ready",
                headers={"Retry-After": "1"},
            )
        case HTTPException() if error.status_code < 500:
            trouble = _of_http_exception(request, error)
        case _:
            _log.error("request failed", exc_info=error, extra={"path": request.url.path})
            trouble = ServiceProblem(500, "internal-error", _INTERNAL)
    return Response(
        content=trouble.problem,
        status_code=trouble.problem.status,
        media_type=PROBLEM_JSON,
        headers=trouble.headers,
    )


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {Exception: problem_of, HTTPException: problem_of}
