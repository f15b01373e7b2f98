"""`POST /explain`: why a movie has its rank, or why it is not in the ranking."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from msgspec import UNSET

from movierank_core.recommender.explanation import Explanation
from movierank_serving.routes.dependencies import known_row, model_of, problems, state_of
from movierank_serving.routes.ranking import options_of
from movierank_serving.schemas.ranking import ExplainRequest, ExplainResponse, Verdict
from movierank_serving.users.requester import Requester, resolve_requester, visitor_events
from movierank_serving.web.access import caller_of, needs
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import RequestContext, context_of
from movierank_serving.web.problems import ranking_failed
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.loaded import LoadedModel
from movierank_serving.worker.state import WorkerState


@post(
    "/explain",
    dto=StrictJson[ExplainRequest],
    return_dto=None,
    status_code=200,
    operation_id="explain",
    tags=["ranking"],
    summary="Explain the rank of one movie",
    description="Takes the fields of `/rank` and a movie. A movie that is not in the ranking is scored as "
    "one additional candidate. For a stored user it also needs the scope `users:read` or the user's token.",
    responses=problems(400, 404, 413, 415, 503),
    **needs(Scope.RANK, tokens="body"),
)
async def explain(request: Request[Any, Any, Any], data: JSONBody[ExplainRequest]) -> ExplainResponse:
    context = context_of(request.scope)
    context.user_id = data.user_id
    caller = caller_of(request)
    caller.require(Scope.RANK, data.user_id)
    if data.user_id is not None:
        # An explanation tells whether this user has seen the movie.
        caller.require(Scope.USERS_READ, data.user_id)
    visitor = visitor_events(data)
    model = await model_of(request, data.version)
    row = known_row(model.view, data.movie_id)
    state = state_of(request)
    with state.rank_queue.admission():
        requester = await resolve_requester(state, data, visitor, context)
        async with state.rank_queue.turn():
            return _answer(state, model, data, requester, row, context)


def _answer(
    state: WorkerState,
    model: LoadedModel,
    data: ExplainRequest,
    requester: Requester,
    row: int,
    context: RequestContext,
) -> ExplainResponse:
    # A random draw explains nothing, so explain the order by score.
    options = msgspec.structs.replace(options_of(data), explore=0.0)
    try:
        found = model.recommender.explain(requester.history, as_of=requester.as_of, row=row, options=options)
        shown = found.rank is not None and row in {
            result.row
            for result in model.recommender.rank(
                requester.history, as_of=requester.as_of, k=data.k, options=options
            ).results
        }
    except Exception as error:
        # An explanation has no fallback: only the model can give it.
        state.record_failure(model, "explanation", error)
        raise ranking_failed() from error
    return ExplainResponse(
        user_id=data.user_id,
        movie=model.view.card(row),
        verdict=_verdict(found, shown=shown),
        filtered_by=found.filtered_by,
        is_candidate=found.is_candidate,
        sources=found.sources,
        rank=found.rank,
        would_rank=found.would_rank,
        n_candidates=found.n_candidates,
        score=found.score,
        raw_score=found.raw_score,
        contributions=found.contributions,
        features=found.features,
        reasons=found.reasons,
        served_by=found.served_by,
        request_id=context.request_id,
        model_version=model.version,
        data_as_of=model.recommender.manifest.data_as_of,
        known_user=requester.known.is_known,
        n_history=len(requester.history),
        unknown_movie_ids=requester.unknown_movie_ids(model.view),
        feedback=UNSET if requester.known.has_feedback else "unavailable",
        histories=UNSET if state.histories is not None else "unavailable",
        latency_ms=context.elapsed_ms(),
    )


def _verdict(found: Explanation, *, shown: bool) -> Verdict:
    if found.filtered_by:
        return "filtered"
    if not found.is_candidate:
        return "not_a_candidate"
    return "shown" if shown else "below_k"
