"""`POST /rank`: a personal ranking."""

import time
from typing import Any, Final

import numpy as np
from litestar import Request, post
from litestar.params import JSONBody
from msgspec import UNSET

from movierank_core.history import Event, History
from movierank_core.ranking.filters import Filters
from movierank_core.recommender import RankOptions
from movierank_serving.observe import RequestFacts, facts_of
from movierank_serving.problems import invalid
from movierank_serving.routes.common import in_thread, model_of, problems, world_of
from movierank_serving.schemas import RankRequest, RankResponse, VisitorEvent
from movierank_serving.strict_json import StrictJson
from movierank_serving.users import KnownHistory, history_of
from movierank_serving.world import LoadedModel, World

CLOCK_TOLERANCE_SECONDS: Final = 60
"""How far ahead a visitor's clock may be."""
_GREATEST: Final = 2**53
_NOBODY: Final = KnownHistory(history=History.empty(), is_known=False, has_feedback=True)


@post(
    "/rank",
    dto=StrictJson[RankRequest],
    return_dto=None,
    status_code=200,
    tags=["ranking"],
    summary="Rank movies for a user or a visitor",
    responses=problems(400, 413, 415, 503),
)
async def rank(request: Request[Any, Any, Any], data: JSONBody[RankRequest]) -> RankResponse:
    facts = facts_of(request.scope)
    facts.user_id = data.user_id
    if data.user_id is None and data.history is None:
        raise invalid("user_id", "required field is missing (or give a history)")
    _require_small_numbers(data.filters)
    visitor = [_event(place, event, int(time.time())) for place, event in enumerate(data.history or [])]
    model = await model_of(request, data.version)
    world = world_of(request)
    if data.user_id is None:
        known = _NOBODY
    elif world.reads_at_once():
        known = history_of(world, data.user_id)
    else:
        known = await in_thread(world.waiting_threads, history_of, world, data.user_id)
    return _answer(world, model, data, known, visitor, facts)


def _answer(
    world: World,
    model: LoadedModel,
    data: RankRequest,
    known: KnownHistory,
    visitor: list[Event],
    facts: RequestFacts,
) -> RankResponse:
    """Ranks on the event loop itself.

    Ranking is pure computation: handed to a thread it takes no less time, and the hand-over (with the
    interpreter's lock changing hands every 5 ms) cost 0.15 ms in the middle and 5 ms at the 99th percentile.
    """
    history = known.history.then(visitor)
    # After the last event even if that is of this second, or of a clock ahead of ours.
    as_of = max(int(time.time()), int(history.timestamps[-1]) if len(history) else 0) + 1
    read_ms = facts.elapsed_ms()
    ranking = model.recommender.rank(
        history,
        as_of=as_of,
        k=data.k,
        options=RankOptions(
            exclude_seen=data.exclude_seen,
            filters=data.filters,
            diversity=data.diversity,
            explain=data.explain,
        ),
    )
    world.metrics.ranking(ranking.served_by, {"history": read_ms, **ranking.stage_ms})
    view = model.view
    return RankResponse(
        user_id=data.user_id,
        results=[
            view.ranked(
                movie.row,
                movie.score,
                movie.reasons,
                raw_score=movie.raw_score if data.explain else UNSET,
                contributions=UNSET if movie.contributions is None else movie.contributions,
            )
            for movie in ranking.results
        ],
        request_id=facts.request_id,
        model_version=model.version,
        data_as_of=model.recommender.manifest.data_as_of,
        known_user=known.is_known,
        n_history=len(history),
        served_by=ranking.served_by,
        unknown_movie_ids=_unknown(visitor, view.catalogue.rows_of) if visitor else UNSET,
        feedback=UNSET if known.has_feedback else "unavailable",
        histories=UNSET if world.histories is not None else "unavailable",
        latency_ms=facts.elapsed_ms(),
    )


def _unknown(visitor: list[Event], rows_of: Any) -> Any:
    movie_ids = np.array([event.movie_id for event in visitor], np.int64)
    unknown = sorted(set(movie_ids[rows_of(movie_ids) < 0].tolist()))
    return unknown or UNSET


def _event(place: int, given: VisitorEvent, now: int) -> Event:
    """A visitor's event, or 400 where rating and event type do not go together."""
    where = f"history[{place}]"
    event_type = given.event_type or ("rating" if given.rating is not None else None)
    if event_type is None:
        raise invalid(where, "neither rating nor event_type is given")
    if (event_type == "rating") != (given.rating is not None):
        raise invalid(
            f"{where}.rating",
            "required with event_type rating"
            if given.rating is None
            else f"not allowed with event_type {event_type}",
        )
    if given.timestamp is not None and given.timestamp > now + CLOCK_TOLERANCE_SECONDS:
        raise invalid(f"{where}.timestamp", f"{given.timestamp} is in the future")
    timestamp = now if given.timestamp is None else given.timestamp
    return Event(given.movie_id, event_type, timestamp, given.rating)


def _require_small_numbers(filters: Filters | None) -> None:
    """Numbers of a filter must fit the columns that they are compared with."""
    if filters is None:
        return
    for name in ("year_min", "year_max", "runtime_min", "runtime_max", "min_votes"):
        value = getattr(filters, name)
        if value is not None and abs(value) > _GREATEST:
            raise invalid(f"filters.{name}", f"Expected `int` between -{_GREATEST} and {_GREATEST}")
    for place, movie_id in enumerate(filters.exclude_movie_ids or []):
        if abs(movie_id) > _GREATEST:
            raise invalid(
                f"filters.exclude_movie_ids[{place}]",
                f"Expected `int` between -{_GREATEST} and {_GREATEST}",
            )
