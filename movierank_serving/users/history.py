"""A user's history up to now: the published snapshot plus all newer events, each exactly once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from movierank_core.data.history import EVENT_TYPES, LIKE_THRESHOLD, UNDO, Event, History
from movierank_core.data.timestamps import from_epoch
from movierank_core.errors import EventStoreError
from movierank_core.events.store import NewEvents
from movierank_serving.catalogue.view import CatalogueView
from movierank_serving.schemas.users import HistoryItem, Taste, UserEntry
from movierank_serving.worker.loaded import LoadedHistories
from movierank_serving.worker.state import WorkerState

_NAME_OF_CODE: Final = {event.code: name for name, event in EVENT_TYPES.items()}


@dataclass(frozen=True)
class KnownHistory:
    """A user's history, and how complete it is."""

    history: History
    is_known: bool
    """Whether the snapshot or the event store has an event of this user."""
    has_feedback: bool
    """Whether the event store answered; if not, the newest events are missing."""


def history_of(state: WorkerState, user_id: int) -> KnownHistory:
    """A user's history now; empty for unknown and deleted users. Never raises EventStoreError."""
    return _history_of(state, user_id, reads_store=True)


def published_history_of(state: WorkerState, user_id: int) -> KnownHistory:
    """The published part of a user's history; for when the event store takes too long to answer."""
    return _history_of(state, user_id, reads_store=False)


def _history_of(state: WorkerState, user_id: int, *, reads_store: bool) -> KnownHistory:
    loaded = state.histories
    news = _news_of(state, user_id) if reads_store else None
    is_forgotten = user_id in state.forgotten if news is None else news.is_forgotten
    published = None if loaded is None or is_forgotten else loaded.histories.history_of(user_id)
    history = History.empty() if published is None else published
    if news is not None and (news.events or news.withdrawn):
        history = _with_news(history, loaded, user_id, news)
    return KnownHistory(
        history=history,
        is_known=published is not None or bool(news and news.events),
        has_feedback=news is not None,
    )


def _news_of(state: WorkerState, user_id: int) -> NewEvents | None:
    """Events of a user that are newer than the snapshot; None if the event store is unavailable."""
    loaded = state.histories
    try:
        return state.store().news_of(user_id, None if loaded is None else loaded.watermark)
    except EventStoreError:
        return None


def _with_news(history: History, loaded: LoadedHistories | None, user_id: int, news: NewEvents) -> History:
    if loaded is None or news.is_forgotten:
        return history.then(news.events)
    has_undo = any(event.event_type == UNDO for event in news.events)
    if news.withdrawn or (has_undo and loaded.histories.has_replaced_events(user_id)):
        # An undo may restore an event that a later one had replaced, so start from all events.
        events = _without(loaded.histories.events_of(user_id), news.withdrawn)
        return History.from_events([*events, *news.events])
    return history.then(news.events)


def _without(events: Iterable[Event], withdrawn: list[Event]) -> list[Event]:
    """The published `events` except the withdrawn ones, each at most once."""
    gone = Counter((event.movie_id, event.event_type, event.timestamp) for event in withdrawn)
    kept = []
    for event in events:
        key = (event.movie_id, event.event_type, event.timestamp)
        if gone[key] > 0:
            gone[key] -= 1
        else:
            kept.append(event)
    return kept


def history_items(history: History, view: CatalogueView, limit: int) -> list[HistoryItem]:
    """At most `limit` movies of a history, newest first, without movies that the catalogue lacks."""
    rows = view.catalogue.rows_of(history.movie_ids)
    entries = np.flatnonzero(rows >= 0)[::-1][:limit]
    return [
        view.card_as(
            HistoryItem,
            int(rows[entry]),
            event_type=_NAME_OF_CODE[int(history.event_codes[entry])],
            rating=_rounded(history.ratings[entry]),
            timestamp=from_epoch(int(history.timestamps[entry])).isoformat(),
        )
        for entry in entries
    ]


def tastes(history: History, view: CatalogueView) -> tuple[list[Taste], list[Taste]]:
    """(genres, most frequent first; decades, in order of time) of the history's movies."""
    rows = view.catalogue.rows_of(history.movie_ids)
    genres: Counter[str] = Counter()
    decades: Counter[str] = Counter()
    ratings: dict[str, list[float]] = {}
    for row, rating in zip(rows.tolist(), history.ratings.tolist(), strict=True):
        if row < 0:
            continue
        year = view.release_years[row]
        of_movie = view.genres[row]
        genres.update(of_movie)
        decade = [] if year is None else [f"{year // 10 * 10}s"]
        decades.update(decade)
        if not np.isnan(rating):
            for name in (*of_movie, *decade):
                ratings.setdefault(name, []).append(rating)
    n_movies = int((rows >= 0).sum())

    def taste(name: str, count: int) -> Taste:
        rated = ratings.get(name)
        return Taste(
            name=name,
            n_movies=count,
            share=round(count / n_movies, 4),
            mean_rating=None if rated is None else round(sum(rated) / len(rated), 3),
        )

    by_count = sorted(genres.items(), key=lambda item: (-item[1], item[0]))
    return [taste(*item) for item in by_count], [taste(*item) for item in sorted(decades.items())]


def n_likes(history: History) -> int:
    """Number of movies with a rating, given or implied, of at least LIKE_THRESHOLD."""
    return int((history.ratings >= LIKE_THRESHOLD).sum())


def mean_rating(history: History) -> float | None:
    """Mean of the given and implied ratings; None if there are none."""
    rated = history.ratings[~np.isnan(history.ratings)]
    return round(float(rated.mean()), 3) if len(rated) else None


def users_with_prefix(state: WorkerState, query: str, limit: int) -> list[UserEntry]:
    """At most `limit` users whose id begins with `query`: the exact match first, then in ascending order.

    An empty query matches all users. A query with other characters than digits matches none.
    """
    found: dict[int, int] = {}
    if query.isascii() and query.isdecimal() and len(query) <= 16:
        exact = history_of(state, int(query))
        if exact.is_known:
            found[int(query)] = len(exact.history)
    elif query:
        return []
    if state.histories is not None:
        histories = state.histories.histories
        user_ids, counts = histories.user_ids(), histories.n_events()
        for low, high in _prefix_ranges(query, int(user_ids[-1]) if len(user_ids) else -1):
            first = int(np.searchsorted(user_ids, low))
            for index in range(first, min(first + limit, len(user_ids))):
                user_id = int(user_ids[index])
                if user_id > high or len(found) >= limit:
                    break
                if user_id not in state.forgotten:
                    found.setdefault(user_id, int(counts[index]))
    return [UserEntry(user_id=user_id, n_events=n) for user_id, n in found.items()][:limit]


def _prefix_ranges(query: str, max_id: int) -> list[tuple[int, int]]:
    """Inclusive ranges of ids up to `max_id` that begin with `query`: `12` gives 12, 120–129, 1200–1299, …"""
    if not query:
        return [(0, max_id)]
    if query.startswith("0"):
        return []
    ranges = []
    low, width = int(query), 1
    while low <= max_id:
        ranges.append((low, low + width - 1))
        low, width = low * 10, width * 10
    return ranges


def _rounded(rating: np.float32) -> float | None:
    return None if np.isnan(rating) else round(float(rating), 2)
