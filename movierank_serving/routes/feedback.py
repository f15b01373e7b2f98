"""`POST /feedback` stores an event, then acknowledges it; `POST /impressions` buffers what was shown."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request, post
from litestar.params import JSONBody

from movierank_core.events.store import FeedbackEvent
from movierank_serving.routes.dependencies import problems, state_of
from movierank_serving.schemas.feedback import (
    FeedbackRequest,
    FeedbackResponse,
    ImpressionsRequest,
    ImpressionsResponse,
)
from movierank_serving.web.access import caller_of, needs
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import busy, events_late, invalid, unknown_movie
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.state import WorkerState

PATIENCE_SECONDS: Final = 8.0
"""Maximum time to store an event, in seconds; then the sender is told to send it again.

Longer than the time for which a busy SQLite database may block a write."""

MAX_UNKNOWN: Final = 100
"""Maximum number of a user's stored events with movies that the served version does not know."""


@post(
    "/feedback",
    dto=StrictJson[FeedbackRequest],
    return_dto=None,
    status_code=202,
    operation_id="send_feedback",
    tags=["feedback"],
    summary="Record an event of a user with a movie",
    description="Answers 202 after the event is durable. The user's next ranking uses it. Needs no loaded "
    "version, and accepts movies that the served version does not know yet.",
    responses=problems(400, 404, 409, 413, 415, 503),
    **needs(Scope.FEEDBACK, tokens="body"),
)
async def feedback(request: Request[Any, Any, Any], data: JSONBody[FeedbackRequest]) -> FeedbackResponse:
    context_of(request.scope).user_id = data.user_id
    caller_of(request).require(Scope.FEEDBACK, data.user_id)
    if (data.event_type == "rating") != (data.value is not None):
        raise invalid(
            "value",
            "required with event_type rating"
            if data.value is None
            else f"not allowed with event_type {data.event_type}",
        )
    if data.undoes is not None and data.event_type != "undo":
        raise invalid("undoes", f"not allowed with event_type {data.event_type}")
    state = state_of(request)
    known_movie = None
    if (model := state.model) is not None:
        context_of(request.scope).model_version = model.version
        known_movie = model.view.catalogue.row_of(data.movie_id) >= 0
    event = FeedbackEvent(
        event_id=data.event_id or uuid.uuid4().hex,
        user_id=data.user_id,
        movie_id=data.movie_id,
        event_type=data.event_type,
        value=data.value,
        request_id=data.request_id,
        ranking_id=data.ranking_id,
        undoes=data.undoes,
        timestamp=datetime.now(UTC),
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            is_new = await state.storing.run(_store, state, event, known_movie=known_movie)
    except TimeoutError as error:
        raise events_late(event.event_id) from error
    state.metrics.feedback(data.event_type, duplicate=not is_new)
    return FeedbackResponse(event_id=event.event_id, duplicate=not is_new, known_movie=known_movie)


@post(
    "/impressions",
    dto=StrictJson[ImpressionsRequest],
    return_dto=None,
    status_code=202,
    operation_id="send_impressions",
    tags=["feedback"],
    summary="Say which movies of a ranking were shown",
    description="A ranking alone is no impression: clients may show a part of it, or nothing. Impressions "
    "are stored within about a second; a worker that is killed loses those of its last second.",
    responses=problems(400, 413, 415, 503),
    **needs(Scope.FEEDBACK, tokens="body"),
)
async def impressions(
    request: Request[Any, Any, Any], data: JSONBody[ImpressionsRequest]
) -> ImpressionsResponse:
    context_of(request.scope).user_id = data.user_id
    caller_of(request).require(Scope.FEEDBACK, data.user_id)
    if not state_of(request).impressions.add_impression(
        ranking_id=data.ranking_id, user_id=data.user_id, movie_ids=data.movie_ids
    ):
        raise busy("impressions")
    return ImpressionsResponse(ranking_id=data.ranking_id)


def _store(state: WorkerState, event: FeedbackEvent, *, known_movie: bool | None) -> bool:
    """Stores the event; whether it is new. A user may have MAX_UNKNOWN events of unknown movies."""
    model = state.model
    if known_movie is False and model is not None:
        movie_ids = [stored.movie_id for stored in state.store().events_of(event.user_id)]
        if (model.view.catalogue.rows_of(movie_ids) < 0).sum() >= MAX_UNKNOWN:
            raise unknown_movie("id", event.movie_id)
    return state.append(event)
