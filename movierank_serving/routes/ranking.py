"""`POST /rank`: a personal ranking."""

import secrets
from typing import Any

from litestar import Request, post
from litestar.params import JSONBody
from msgspec import UNSET

from movierank_core.events.impressions import Shown
from movierank_core.recommender.degradation import Lenient
from movierank_core.recommender.recommender import RankOptions
from movierank_serving.routes.dependencies import model_of, problems, world_of
from movierank_serving.schemas import LeftOut, RankRequest, RankResponse
from movierank_serving.users.requester import Asker, asker_of, checked_visitor
from movierank_serving.web.middleware import RequestFacts, facts_of
from movierank_serving.web.problems import ranking_failed
from movierank_serving.web.strict_json import StrictJson
from movierank_serving.worker.state import LoadedModel, World


@post(
    "/rank",
    dto=StrictJson[RankRequest],
    return_dto=None,
    status_code=200,
    tags=["ranking"],
    summary="Rank movies for a user or a visitor",
    responses=problems(400, 404, 413, 415, 503),
)
async def rank(request: Request[Any, Any, Any], data: JSONBody[RankRequest]) -> RankResponse:
    facts = facts_of(request.scope)
    facts.user_id = data.user_id
    visitor = checked_visitor(data)
    model = await model_of(request, data.version)
    world = world_of(request)
    with world.rank_queue.place():
        asker = await asker_of(world, data, visitor, facts)
        read_ms = facts.elapsed_ms()
        async with world.rank_queue.turn():
            return _answer(world, model, data, asker, read_ms, facts)


def options_of(data: RankRequest) -> RankOptions:
    return RankOptions(
        exclude_seen=data.exclude_seen,
        filters=data.filters,
        diversity=data.diversity,
        explain=data.explain,
        explore=data.explore,
        # Not from the request: who may choose the draw makes its propensity untrue.
        seed=secrets.randbits(64) if data.explore > 0 else 0,
    )


def _answer(
    world: World, model: LoadedModel, data: RankRequest, asker: Asker, read_ms: float, facts: RequestFacts
) -> RankResponse:
    """Ranks on the event loop itself.

    Ranking is pure computation: handed to a thread it takes no less time, and the hand-over (with the
    interpreter's lock changing hands every 5 ms) cost 0.15 ms in the middle and 5 ms at the 99th percentile.
    """
    ladder = Lenient(model.pace, facts.started + world.settings.rank_deadline_ms / 1000)
    waited_ms = facts.elapsed_ms() - read_ms
    try:
        ranking = model.recommender.rank(
            asker.history,
            as_of=asker.as_of,
            k=data.k,
            options=options_of(data),
            ladder=ladder,
        )
    except Exception as error:
        # Below the last rung: nothing of this model can be shown, and the caller is told to come again.
        world.ranking_failed(model, "ranking", error)
        raise ranking_failed() from error
    world.note_left_out(model, ladder.left_out)
    world.metrics.ranking(ranking.served_by, {"history": read_ms, "waiting": waited_ms, **ranking.stage_ms})
    view = model.view
    movie_ids = view.catalogue.movie_ids
    world.impressions.note(
        request_id=facts.request_id,
        user_id=data.user_id,
        model_version=model.version,
        served_by=ranking.served_by,
        explore=data.explore,
        shown=[Shown(int(movie_ids[movie.row]), movie.score, movie.propensity) for movie in ranking.results],
    )
    return RankResponse(
        user_id=data.user_id,
        results=[
            view.ranked(
                movie.row,
                movie.score,
                movie.reasons,
                raw_score=movie.raw_score if data.explain else UNSET,
                contributions=UNSET if movie.contributions is None else movie.contributions,
                propensity=movie.propensity if data.explore > 0 else UNSET,
            )
            for movie in ranking.results
        ],
        request_id=facts.request_id,
        model_version=model.version,
        data_as_of=model.recommender.manifest.data_as_of,
        known_user=asker.known.is_known,
        n_history=len(asker.history),
        served_by=ranking.served_by,
        left_out=[LeftOut(part=entry.part, why=entry.why) for entry in ladder.left_out] or UNSET,
        unknown_movie_ids=asker.unknown_movie_ids(view),
        feedback=UNSET if asker.known.has_feedback else "unavailable",
        histories=UNSET if world.histories is not None else "unavailable",
        latency_ms=facts.elapsed_ms(),
    )
