"""What the route modules share: access to the worker's state, work off the event loop, documented errors."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from litestar import Request
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter

from movierank_serving.observe import facts_of
from movierank_serving.problems import PROBLEM_JSON, Problem, no_model
from movierank_serving.world import LoadedModel, World

P = ParamSpec("P")
R = TypeVar("R")

MovieInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A movie's id.")]
UserInPath = Annotated[int, PathParameter(ge=0, le=2**53 - 1, description="A user's id.")]


def world_of(request: Request[Any, Any, Any]) -> World:
    world: World = request.app.state.world
    return world


def model_of(request: Request[Any, Any, Any]) -> LoadedModel:
    """The version to answer with, for the whole of this request; 503 if there is none."""
    world = world_of(request)
    model = world.model
    if model is None:
        raise no_model(why_no_model(world))
    facts_of(request.scope).model_version = model.version
    return model


def why_no_model(world: World) -> str:
    """One sentence or more on why no version is loaded."""
    if world.model_error is not None:
        return world.model_error
    name = f"{world.settings.model_name}@{world.settings.model_alias}"
    status = world.sync_status
    if status is None:
        return f"No version of {name} is loaded yet; the registry has not been asked."
    if status.refused and status.registry_error is None:
        return f"Version {status.refused[-1].version} of {name} was refused: {status.refused[-1].error}"
    return status.registry_error or f"The version of {name} is being loaded."


async def in_thread(
    threads: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run in one of `threads`, so that other requests are answered meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: function(*args, **kwargs))


_DESCRIPTIONS: Final = {
    400: "The request is invalid; `errors` names the fields.",
    404: "What was asked for does not exist.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
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
        for status in (*statuses, 500)
    }
