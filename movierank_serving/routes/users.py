"""Routes below `/users`: search, history and tastes, deletion."""

from typing import Annotated, Any, cast

from litestar import Request, delete, get
from litestar.params import QueryParameter
from msgspec import UNSET

from movierank_core.data.history import UNDO
from movierank_core.data.timestamps import from_epoch
from movierank_serving.routes.dependencies import UserInPath, model_of, problems, state_of
from movierank_serving.schemas.common import FeedbackEventType
from movierank_serving.schemas.users import Forgotten, User, UserList, Verdict, Verdicts
from movierank_serving.users.history import (
    history_items,
    history_of,
    mean_rating,
    n_likes,
    tastes,
    users_with_prefix,
)
from movierank_serving.web.access import needs
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import ServiceProblem


@get(
    "/users",
    operation_id="find_users",
    tags=["users"],
    summary="Find users by the beginning of their id",
    responses=problems(400),
    **needs(Scope.USERS_READ),
)
async def users(
    request: Request[Any, Any, Any],
    prefix: Annotated[
        str,
        QueryParameter(
            name="query", max_length=32, description="The first digits of a user id; empty matches all users."
        ),
    ] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Maximum number of users.")] = 20,
) -> UserList:
    state = state_of(request)
    return UserList(
        results=await state.reading.run(users_with_prefix, state, prefix.strip(), limit),
        n_users=0 if state.histories is None else state.histories.histories.manifest.n_users,
    )


@get(
    "/users/{user_id:int}",
    operation_id="get_user",
    tags=["users"],
    summary="A user's history and tastes",
    responses=problems(400, 404, 503),
    **needs(Scope.USERS_READ, tokens="path"),
)
async def user(
    request: Request[Any, Any, Any],
    user_id: UserInPath,
    limit: Annotated[
        int, QueryParameter(ge=0, le=1000, description="Maximum number of movies of the history.")
    ] = 100,
) -> User:
    context_of(request.scope).user_id = user_id
    state, view = state_of(request), (await model_of(request)).view
    known = await state.reading.run(history_of, state, user_id)
    if not known.is_known:
        raise ServiceProblem(404, "unknown-user", f"No events of user {user_id} are stored.")
    genres, decades = tastes(known.history, view)
    return User(
        user_id=user_id,
        n_events=len(known.history),
        n_likes=n_likes(known.history),
        mean_rating=mean_rating(known.history),
        history=history_items(known.history, view, limit),
        genres=genres,
        decades=decades,
        feedback=UNSET if known.has_feedback else "unavailable",
    )


@get(
    "/users/{user_id:int}/verdicts",
    operation_id="get_verdicts",
    tags=["users"],
    summary="What a user said about movies",
    description="The last event of each movie in the event store, without clicks and withdrawn events. "
    "`undo` takes its `event_id` as `undoes`. Empty for an unknown user.",
    responses=problems(400, 404, 503),
    **needs(Scope.USERS_READ, tokens="path"),
)
async def verdicts(
    request: Request[Any, Any, Any],
    user_id: UserInPath,
    limit: Annotated[int, QueryParameter(ge=1, le=1000, description="Maximum number of movies.")] = 100,
) -> Verdicts:
    context_of(request.scope).user_id = user_id
    state = state_of(request)
    found = await state.reading.run(lambda: state.store().verdicts_of(user_id, limit))
    view = None if state.model is None else state.model.view
    rows = [-1 if view is None else view.catalogue.row_of(verdict.movie_id) for verdict in found]
    results = [
        Verdict(
            movie_id=verdict.movie_id,
            title=None if view is None or row < 0 else view.card(row).title,
            event_type=cast(FeedbackEventType, verdict.event_type),
            value=verdict.value,
            event_id=verdict.event_id,
            timestamp=from_epoch(verdict.timestamp_us // 1_000_000).isoformat(),
        )
        for verdict, row in zip(found, rows, strict=True)
        if verdict.event_type != UNDO
    ]
    return Verdicts(user_id=user_id, results=results)


@delete(
    "/users/{user_id:int}",
    status_code=200,
    operation_id="forget_user",
    tags=["users"],
    summary="Delete a user's data",
    description="Deletes the user's events. The published history is not used any more; the next snapshot "
    "and the next training leave the user out. Idempotent.",
    responses=problems(400, 404, 503),
    **needs(Scope.USERS_DELETE, tokens="path"),
)
async def forget(request: Request[Any, Any, Any], user_id: UserInPath) -> Forgotten:
    context_of(request.scope).user_id = user_id
    state = state_of(request)
    n_deleted = await state.storing.run(state.forget, user_id)
    return Forgotten(user_id=user_id, events_deleted=n_deleted)
