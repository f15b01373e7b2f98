"""What the route modules share: access to the worker's state, work off the event loop, documented errors."""

import asyncio
import time
from typing import Annotated, Any, Final

from litestar import Request
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter

from movierank_core.mlflow_store import CHALLENGER
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import PROBLEM_JSON, Problem, no_challenger, no_model, unknown_movie
from movierank_serving.worker.loaded import LoadedModel
from movierank_serving.worker.state import WorkerState

LOADING_SECONDS: Final = 10.0
"""How long requests wait for a first version that is being loaded."""

MovieInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A movie's id.")]
UserInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A user's id.")]


def state_of(request: Request[Any, Any, Any]) -> WorkerState:
    state: WorkerState = request.app.state.worker
    return state


async def model_of(request: Request[Any, Any, Any], version: str = "production") -> LoadedModel:
    """The version to answer with, for the whole of this request; 503 if there is none.

    The challenger, where that is asked for, is there or it is not (404): it is never waited for.

    While a first version is being loaded the request waits for it: another worker may have it already, and
    who was told by that one that the service is ready must not be refused by this one.
    """
    state = state_of(request)
    if version == CHALLENGER:
        if state.challenger is None:
            raise no_challenger(state.challenger_error, is_wanted=state.settings.serve_challenger)
        context_of(request.scope).model_version = state.challenger.version
        return state.challenger
    deadline = time.monotonic() + LOADING_SECONDS
    while (model := state.model) is None:
        if not state.is_loading() or time.monotonic() > deadline:
            raise no_model(why_no_model(state))
        await asyncio.sleep(0.02)
    context_of(request.scope).model_version = model.version
    return model


def known_row(view: CatalogueView, movie_id: int) -> int:
    """The catalogue row of a movie; 404 if it has none."""
    row = view.catalogue.row_of(movie_id)
    if row < 0:
        raise unknown_movie("id", movie_id)
    return row


def why_no_model(state: WorkerState) -> str:
    """One sentence or more on why no version is loaded."""
    if state.model_error is not None:
        return state.model_error
    name = f"{state.settings.model_name}@{state.settings.model_alias}"
    if state.is_loading():
        return f"The version of {name} is being loaded."
    status = state.sync_status
    if status is None:
        return f"No version of {name} is loaded yet; the registry has not been asked."
    if status.refused and status.registry_error is None:
        return f"Version {status.refused[-1].version} of {name} was refused: {status.refused[-1].error}"
    return status.registry_error or f"No version of {name} is loaded yet."


_DESCRIPTIONS: Final = {
    400: "The request is invalid; `errors` names the fields.",
    401: "The route needs a key of MOVIERANK_API_KEYS.",
    404: "What was asked for does not exist.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "The client asks more often than it may; `Retry-After` says when to try again.",
    500: "Something failed inside the service.",
    503: "The model or the event store is away; `Retry-After` says when to try again.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The errors of a route, for the OpenAPI document."""
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=_DESCRIPTIONS[status],
            media_type=PROBLEM_JSON,
            generate_examples=False,
        )
        for status in (*statuses, 429, 500)
    }
