"""For whom a request asks: a user, a visitor with a history of their own, or a user with what is new."""

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
from movierank_serving.worker.threads import in_thread

CLOCK_TOLERANCE_SECONDS: Final = 60
"""How far ahead a visitor's clock may be."""
HISTORY_SHARE: Final = 0.5
"""Of the time to the deadline, what a distant event store may take to answer."""
_GREATEST: Final = 2**53
_NOBODY: Final = KnownHistory(history=History.empty(), is_known=False, has_feedback=True)


@dataclass(frozen=True)
class Requester:
    """A history at the moment of its request."""

    known: KnownHistory
    visitor: list[Event]
    """What the request itself brought."""
    history: History
    """Both."""
    as_of: int
    """After the last event even if that is of this second, or of a clock ahead of ours."""

    def unknown_movie_ids(self, view: CatalogueView) -> list[int] | UnsetType:
        """Movies of the request's own history that the catalogue does not have."""
        if not self.visitor:
            return UNSET
        movie_ids = np.array([event.movie_id for event in self.visitor], np.int64)
        rows = view.catalogue.rows_of(movie_ids)
        return sorted(set(movie_ids[rows < 0].tolist())) or UNSET


def visitor_events(data: RankRequest) -> list[Event]:
    """The request's own history; 400 for what the shape of a request does not rule out."""
    if data.user_id is None and data.history is None:
        raise invalid("user_id", "required field is missing (or give a history)")
    if data.explore > 0 and data.diversity > 0:
        raise invalid("explore", "not together with diversity: no propensity would be known")
    _require_sense(data.filters)
    now = int(time.time())
    return [_event(place, event, now) for place, event in enumerate(data.history or [])]


async def resolve_requester(
    state: WorkerState, data: RankRequest, visitor: list[Event], context: RequestContext
) -> Requester:
    """Reads what is known of the user, within the time that the request has for it."""
    known = _NOBODY if data.user_id is None else await _known(state, data.user_id, context)
    history = known.history.then(visitor)
    last = int(history.timestamps[-1]) if len(history) else 0
    return Requester(known, visitor, history, max(int(time.time()), last) + 1)


async def _known(state: WorkerState, user_id: int, context: RequestContext) -> KnownHistory:
    if state.has_local_store():
        return history_of(state, user_id)
    left = state.settings.rank_deadline_ms / 1000 - context.elapsed_ms() / 1000
    try:
        async with asyncio.timeout(max(left, 0) * HISTORY_SHARE):
            return await in_thread(state.waiting_threads, history_of, state, user_id)
    except TimeoutError:
        return published_history_of(state, user_id)


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


def _require_sense(filters: Filters | None) -> None:
    """Numbers of a filter must fit the columns that they are compared with, and leave something between."""
    if filters is None:
        return
    for name in ("year_min", "year_max", "runtime_min", "runtime_max", "min_votes", "max_votes"):
        value = getattr(filters, name)
        if value is not None and abs(value) > _GREATEST:
            raise invalid(f"filters.{name}", f"Expected `int` between -{_GREATEST} and {_GREATEST}")
    for place, movie_id in enumerate(filters.exclude_movie_ids or []):
        if abs(movie_id) > _GREATEST:
            raise invalid(
                f"filters.exclude_movie_ids[{place}]",
                f"Expected `int` between -{_GREATEST} and {_GREATEST}",
            )
    for low, high in (("year_min", "year_max"), ("runtime_min", "runtime_max")):
        least, most = getattr(filters, low), getattr(filters, high)
        if least is not None and most is not None and least > most:
            raise invalid(f"filters.{low}", f"{least} is more than {high}, which is {most}")
