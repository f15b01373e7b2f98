"""Shared by the route modules: the worker's state, the version to answer with, documented errors."""

import asyncio
import time
from typing import Annotated, Any, Final

from litestar import Request
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter

from movierank_core.mlflow_store import CHALLENGER
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.web.access import caller_of
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import PROBLEM_JSON, Problem, no_challenger, no_model, unknown_movie
from movierank_serving.worker.loaded import LoadedModel
from movierank_serving.worker.state import WorkerState

LOADING_SECONDS: Final = 10.0
"""Maximum time that a request waits for the first version to load, in seconds."""

MovieInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A movie's id.")]
UserInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A user's id.")]


def state_of(request: Request[Any, Any, Any]) -> WorkerState:
    state: WorkerState = request.app.state.worker
    return state


async def model_of(request: Request[Any, Any, Any], version: str = "production") -> LoadedModel:
    """The version that answers this request. Raises the 503 problem if none is loaded.

    Waits while the first version loads: another worker may have it already and may have reported readiness,
    and then this worker must not refuse the request. Never waits for a challenger: without one, raises the
    404 problem.
    """
    state = state_of(request)
    if version == CHALLENGER:
        if state.challenger is None:
            cause = state.refusals.get("challenger")
            if cause is not None and not _is_operator(request):
                cause = "The challenger is unusable. The log has the cause."
            raise no_challenger(cause, is_wanted=state.settings.serve_challenger)
        context_of(request.scope).model_version = state.challenger.version
        return state.challenger
    deadline = time.monotonic() + LOADING_SECONDS
    while (model := state.model) is None:
        if not state.is_loading() or time.monotonic() > deadline:
            raise no_model(why_no_model(state, is_operator=_is_operator(request)))
        await asyncio.sleep(0.02)
    context_of(request.scope).model_version = model.version
    return model


def known_row(view: CatalogueView, movie_id: int) -> int:
    """The catalogue row of a movie. Raises the 404 problem if the catalogue lacks it."""
    row = view.catalogue.row_of(movie_id)
    if row < 0:
        raise unknown_movie("id", movie_id)
    return row


def _is_operator(request: Request[Any, Any, Any]) -> bool:
    return caller_of(request).may(Scope.OPERATE)


def why_no_model(state: WorkerState, *, is_operator: bool) -> str:
    """Why no version is loaded, in whole sentences. Only operators see causes, which may have addresses."""
    name = f"{state.settings.model_name}@{state.settings.model_alias}"
    if not is_operator and not state.is_loading():
        return f"No version of {name} is loaded. The log has the cause."
    if "model" in state.refusals:
        return state.refusals["model"]
    if state.is_loading():
        return f"The version of {name} is being loaded."
    status = state.sync_status
    if status is None:
        return f"No version of {name} is loaded yet; the registry has not been checked."
    if status.refused and status.registry_error is None:
        return f"Version {status.refused[-1].version} of {name} was refused: {status.refused[-1].error}"
    if status.registry_error is not None:
        return status.registry_error
    return f"No version of {name} is loaded yet."


_DESCRIPTIONS: Final = {
    400: "The request is invalid; `errors` names the fields.",
    401: "The request has no key, or an unknown one.",
    403: "The key lacks the scope, or the token is another user's.",
    404: "The route, movie, user or version does not exist.",
    409: "The user has another event with the same `event_id`; nothing was stored.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "The client is over its rate limit; `Retry-After` says when to try again.",
    500: "An internal error.",
    503: "Model or event store are unavailable, or the service is overloaded; see `Retry-After`.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The error responses of a route in the OpenAPI document: `statuses`, 401, 403, 429 and 500."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_DESCRIPTIONS[status],
            media_type=PROBLEM_JSON,
            generate_examples=False,
        )
        for status in sorted({*statuses, 401, 403, 429, 500})
    }
