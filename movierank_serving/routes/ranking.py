"""`POST /rank`: a personal ranking."""

import secrets
from typing import Any

from litestar import Request, post
from litestar.params import JSONBody
from msgspec import UNSET

from movierank_core.events.impressions import ServedMovie
from movierank_core.recommender.degradation import GracefulDegradation
from movierank_core.recommender.ranking import RankOptions
from movierank_core.recommender.reasons import without_movies
from movierank_serving.routes.dependencies import model_of, problems, state_of
from movierank_serving.schemas.ranking import LeftOut, RankRequest, RankResponse
from movierank_serving.users.requester import Requester, resolve_requester, visitor_events
from movierank_serving.web.access import Caller, caller_of, needs
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import RequestContext, context_of
from movierank_serving.web.problems import ranking_failed
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.loaded import LoadedModel
from movierank_serving.worker.state import WorkerState


@post(
    "/rank",
    dto=StrictJson[RankRequest],
    return_dto=None,
    status_code=200,
    operation_id="rank",
    tags=["ranking"],
    summary="Rank movies for a user or a visitor",
    description="For a stored user, reasons that name a movie of the history are left out unless the caller "
    "has the scope `users:read` or the user's token.",
    responses=problems(400, 404, 413, 415, 503),
    **needs(Scope.RANK, tokens="body"),
)
async def rank(request: Request[Any, Any, Any], data: JSONBody[RankRequest]) -> RankResponse:
    context = context_of(request.scope)
    context.user_id = data.user_id
    caller = caller_of(request)
    caller.require(Scope.RANK, data.user_id)
    visitor = visitor_events(data)
    model = await model_of(request, data.version)
    state = state_of(request)
    with state.rank_queue.admission():
        requester = await resolve_requester(state, data, visitor, context)
        read_ms = context.elapsed_ms()
        async with state.rank_queue.turn():
            return _answer(state, model, data, requester, read_ms, context, caller)


def options_of(data: RankRequest) -> RankOptions:
    return RankOptions(
        exclude_seen=data.exclude_seen,
        filters=data.filters,
        diversity=data.diversity,
        explain=data.explain,
        explore=data.explore,
        # Never from the request: a caller who chooses the seed would make the propensities false.
        seed=secrets.randbits(64) if data.explore > 0 else 0,
    )


def _answer(
    state: WorkerState,
    model: LoadedModel,
    data: RankRequest,
    requester: Requester,
    read_ms: float,
    context: RequestContext,
    caller: Caller,
) -> RankResponse:
    """Ranks on the event loop, not in a thread.

    Ranking is pure computation, so a thread does not make it faster. The hand-over to a thread cost 0.15 ms
    at the median and 5 ms at the 99th percentile, because the interpreter lock changes hands every 5 ms.
    """
    degradation = GracefulDegradation(model.latency, context.started + state.settings.rank_deadline_ms / 1000)
    waited_ms = context.elapsed_ms() - read_ms
    try:
        ranking = model.recommender.rank(
            requester.history,
            as_of=requester.as_of,
            k=data.k,
            options=options_of(data),
            degradation=degradation,
        )
    except Exception as error:
        # Even the popularity fallback failed: answer 503 with Retry-After.
        state.record_failure(model, "ranking", error)
        raise ranking_failed() from error
    state.record_left_out(model, degradation.left_out)
    state.metrics.ranking(ranking.served_by, {"history": read_ms, "waiting": waited_ms, **ranking.stage_ms})
    # A reason may name a movie of the stored history.
    tells_history = data.user_id is None or caller.may(Scope.USERS_READ, data.user_id)
    view = model.view
    movie_ids = view.catalogue.movie_ids
    # Never from the request: two callers with the same id would merge their lists.
    ranking_id = secrets.token_hex(12)
    served = [
        ServedMovie(int(movie_ids[movie.row]), movie.score, movie.propensity) for movie in ranking.results
    ]
    state.impressions.add_ranking(
        ranking_id=ranking_id,
        user_id=data.user_id,
        model_version=model.version,
        served_by=ranking.served_by,
        explore=data.explore,
        movies=served,
    )
    if shown := [movie.movie_id for movie in served[: data.shown]]:
        state.impressions.add_impression(ranking_id=ranking_id, user_id=data.user_id, movie_ids=shown)
    return RankResponse(
        user_id=data.user_id,
        results=[
            view.ranked(
                movie.row,
                movie.score,
                movie.reasons if tells_history else without_movies(movie.reasons),
                raw_score=movie.raw_score if data.explain else UNSET,
                contributions=UNSET if movie.contributions is None else movie.contributions,
                propensity=movie.propensity if data.explore > 0 else UNSET,
            )
            for movie in ranking.results
        ],
        request_id=context.request_id,
        ranking_id=ranking_id,
        model_version=model.version,
        data_as_of=model.recommender.manifest.data_as_of,
        known_user=requester.known.is_known,
        n_history=len(requester.history),
        served_by=ranking.served_by,
        left_out=[LeftOut(part=entry.part, why=entry.why) for entry in degradation.left_out] or UNSET,
        unknown_movie_ids=requester.unknown_movie_ids(view),
        feedback=UNSET if requester.known.has_feedback else "unavailable",
        histories=UNSET if state.histories is not None else "unavailable",
        latency_ms=context.elapsed_ms(),
    )
