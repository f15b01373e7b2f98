"""`POST /explain`: why a movie, or why not."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import JSONBody
from msgspec import UNSET

from movierank_core.recommender.explanation import Explanation
from movierank_serving.routes.dependencies import known_row, model_of, problems, world_of
from movierank_serving.routes.ranking import options_of
from movierank_serving.schemas import ExplainRequest, ExplainResponse, Verdict
from movierank_serving.users.requester import Asker, asker_of, checked_visitor
from movierank_serving.web.middleware import RequestFacts, facts_of
from movierank_serving.web.problems import ranking_failed
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.state import LoadedModel, World


@post(
    "/explain",
    dto=StrictJson[ExplainRequest],
    return_dto=None,
    status_code=200,
    tags=["ranking"],
    summary="Why (not) this movie",
    description="Takes what `/rank` takes, and a movie. One that the ranking does not hold is scored as if "
    "it were one more candidate.",
    responses=problems(400, 404, 413, 415, 503),
)
async def explain(request: Request[Any, Any, Any], data: JSONBody[ExplainRequest]) -> ExplainResponse:
    facts = facts_of(request.scope)
    facts.user_id = data.user_id
    visitor = checked_visitor(data)
    model = await model_of(request, data.version)
    row = known_row(model.view, data.movie_id)
    world = world_of(request)
    with world.rank_queue.place():
        asker = await asker_of(world, data, visitor, facts)
        async with world.rank_queue.turn():
            return _answer(world, model, data, asker, row, facts)


def _answer(
    world: World, model: LoadedModel, data: ExplainRequest, asker: Asker, row: int, facts: RequestFacts
) -> ExplainResponse:
    # What chance would show another time explains nothing.
    options = msgspec.structs.replace(options_of(data), explore=0.0)
    try:
        found = model.recommender.explain(asker.history, as_of=asker.as_of, row=row, options=options)
        shown = found.rank is not None and row in {
            result.row
            for result in model.recommender.rank(
                asker.history, as_of=asker.as_of, k=data.k, options=options
            ).results
        }
    except Exception as error:
        # There is no lesser explanation: what the model says is what was asked for.
        world.ranking_failed(model, "explanation", error)
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
        request_id=facts.request_id,
        model_version=model.version,
        data_as_of=model.recommender.manifest.data_as_of,
        known_user=asker.known.is_known,
        n_history=len(asker.history),
        unknown_movie_ids=asker.unknown_movie_ids(model.view),
        feedback=UNSET if asker.known.has_feedback else "unavailable",
        histories=UNSET if world.histories is not None else "unavailable",
        latency_ms=facts.elapsed_ms(),
    )


def _verdict(found: Explanation, *, shown: bool) -> Verdict:
    if found.filtered_by:
        return "filtered"
    if not found.is_candidate:
        return "not_a_candidate"
    return "shown" if shown else "below_k"
