"""Resolves the requester of a ranking: stored user, visitor with a history in the request, or both."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from msgspec import UNSET, UnsetType

from movierank_core.data.history import Event, History
from movierank_core.reranking.filters import Filters
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.schemas.ranking import RankRequest, VisitorEvent
from movierank_serving.users.history import KnownHistory, history_of, published_history_of
from movierank_serving.web.middleware import RequestContext
from movierank_serving.web.problems import invalid
from movierank_serving.worker.state import WorkerState

CLOCK_TOLERANCE_SECONDS: Final = 60
"""Maximum time by which a visitor's clock may be ahead of ours, in seconds."""
HISTORY_SHARE: Final = 0.5
"""Maximum share of the time to the deadline that the event store may take to answer."""
_MAX_NUMBER: Final = 2**53
"""Maximum absolute value of a number in a filter, so that it fits every column that it is compared with."""
_VISITOR: Final = KnownHistory(history=History.empty(), is_known=False, has_feedback=True)


@dataclass(frozen=True)
class Requester:
    """Whom a ranking is for: the history to rank by, and the time of the request."""

    known: KnownHistory
    visitor: list[Event]
    """Events of the request itself."""
    history: History
    """The stored history and the events of the request, merged."""
    as_of: int
    """Exclusive upper bound of event times, in seconds since 1970: after now and after the last event."""

    def unknown_movie_ids(self, view: CatalogueView) -> list[int] | UnsetType:
        """Movies of the request's own history that the catalogue lacks; UNSET if there are none."""
        if not self.visitor:
            return UNSET
        movie_ids = np.array([event.movie_id for event in self.visitor], np.int64)
        rows = view.catalogue.rows_of(movie_ids)
        return sorted(set(movie_ids[rows < 0].tolist())) or UNSET


def visitor_events(data: RankRequest) -> list[Event]:
    """The events of the request itself. Raises the 400 problem for contradictions between fields."""
    if data.user_id is None and data.history is None:
        raise invalid("user_id", "required field is missing (or give a history)")
    if data.explore > 0 and data.diversity > 0:
        raise invalid("explore", "not allowed together with diversity (no propensities)")
    _check_filters(data.filters)
    now = int(time.time())
    return [_event(index, event, now) for index, event in enumerate(data.history or [])]


async def resolve_requester(
    state: WorkerState, data: RankRequest, visitor: list[Event], context: RequestContext
) -> Requester:
    """Reads the user's history. If that takes longer than HISTORY_SHARE allows, uses the published part."""
    known = _VISITOR if data.user_id is None else await _known(state, data.user_id, context)
    history = known.history.then(visitor)
    last = int(history.timestamps[-1]) if len(history) else 0
    return Requester(known, visitor, history, max(int(time.time()), last) + 1)


async def _known(state: WorkerState, user_id: int, context: RequestContext) -> KnownHistory:
    seconds_left = state.settings.rank_deadline_ms / 1000 - context.elapsed_ms() / 1000
    try:
        async with asyncio.timeout(max(seconds_left, 0) * HISTORY_SHARE):
            return await state.reading.run(history_of, state, user_id)
    except TimeoutError:
        return published_history_of(state, user_id)


def _event(index: int, given: VisitorEvent, now: int) -> Event:
    """One event of the request. Raises the 400 problem if rating and event type contradict each other."""
    where = f"history[{index}]"
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


def _check_filters(filters: Filters | None) -> None:
    """Raises the 400 problem for numbers that are out of range, and for a minimum above its maximum."""
    if filters is None:
        return
    for name in ("year_min", "year_max", "runtime_min", "runtime_max", "min_votes", "max_votes"):
        value = getattr(filters, name)
        if value is not None and abs(value) > _MAX_NUMBER:
            raise invalid(f"filters.{name}", f"Expected `int` between -{_MAX_NUMBER} and {_MAX_NUMBER}")
    for index, movie_id in enumerate(filters.exclude_movie_ids or []):
        if abs(movie_id) > _MAX_NUMBER:
            raise invalid(
                f"filters.exclude_movie_ids[{index}]",
                f"Expected `int` between -{_MAX_NUMBER} and {_MAX_NUMBER}",
            )
    for low, high in (("year_min", "year_max"), ("runtime_min", "runtime_max")):
        least, most = getattr(filters, low), getattr(filters, high)
        if least is not None and most is not None and least > most:
            raise invalid(f"filters.{low}", f"{least} is greater than {high}, which is {most}")
