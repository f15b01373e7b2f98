"""`POST /feedback`: stores an event durably, then acknowledges it."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request, post
from litestar.params import JSONBody

from movierank_core.events.store import FeedbackEvent
from movierank_serving.routes.dependencies import known_row, model_of, problems, state_of
from movierank_serving.schemas.feedback import FeedbackRequest, FeedbackResponse
from movierank_serving.web.auth import SECURITY, needs_key
from movierank_serving.web.middleware import context_of
from movierank_serving.web.problems import events_late, invalid
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.threads import in_thread

PATIENCE_SECONDS: Final = 8.0
"""Maximum time to store an event, in seconds; then the sender is told to send it again.

Longer than the time for which a busy SQLite database may block a write."""


@post(
    "/feedback",
    dto=StrictJson[FeedbackRequest],
    return_dto=None,
    status_code=202,
    tags=["feedback"],
    summary="Record an event of a user with a movie",
    description="Answers 202 after the event is durable. The user's next ranking uses it.",
    guards=[needs_key],
    security=SECURITY,
    responses=problems(400, 401, 404, 413, 415, 503),
)
async def feedback(request: Request[Any, Any, Any], data: JSONBody[FeedbackRequest]) -> FeedbackResponse:
    context_of(request.scope).user_id = data.user_id
    if (data.event_type == "rating") != (data.value is not None):
        raise invalid(
            "value",
            "required with event_type rating"
            if data.value is None
            else f"not allowed with event_type {data.event_type}",
        )
    known_row((await model_of(request)).view, data.movie_id)
    state = state_of(request)
    event = FeedbackEvent(
        event_id=data.event_id or uuid.uuid4().hex,
        user_id=data.user_id,
        movie_id=data.movie_id,
        event_type=data.event_type,
        value=data.value,
        request_id=data.request_id,
        timestamp=datetime.now(UTC),
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            [is_new] = await in_thread(state.waiting_threads, lambda: state.store().append([event]))
    except TimeoutError as error:
        raise events_late(event.event_id) from error
    state.metrics.feedback(data.event_type, duplicate=not is_new)
    return FeedbackResponse(event_id=event.event_id, duplicate=not is_new)
