"""One user's history up to this moment: the published snapshot and every event since, each exactly once."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from movierank_core.data.history import EVENT_TYPES, LIKE_THRESHOLD, UNDO, History
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
    """What could be learned of a user."""

    history: History
    is_known: bool
    """Something is, or was, recorded of this user."""
    has_feedback: bool
    """The event store answered; without it the newest events are missing."""


def history_of(state: WorkerState, user_id: int) -> KnownHistory:
    """A user's history now. Empty for unknown and for forgotten users; nothing raises."""
    return _history_of(state, user_id, asks_store=True)


def published_history_of(state: WorkerState, user_id: int) -> KnownHistory:
    """The same without asking the event store, for when it takes too long to answer."""
    return _history_of(state, user_id, asks_store=False)


def _history_of(state: WorkerState, user_id: int, *, asks_store: bool) -> KnownHistory:
    loaded = state.histories
    news = _news_of(state, user_id) if asks_store else None
    is_forgotten = user_id in state.forgotten if news is None else news.is_forgotten
    published = None if loaded is None or is_forgotten else loaded.histories.history_of(user_id)
    history = History.empty() if published is None else published
    if news is not None and news.events:
        history = _with_news(history, loaded, user_id, news)
    return KnownHistory(
        history=history,
        is_known=published is not None or bool(news and news.events),
        has_feedback=news is not None,
    )


def _news_of(state: WorkerState, user_id: int) -> NewEvents | None:
    """What the event store has beyond the published histories; None while it is away."""
    loaded = state.histories
    try:
        return state.store().news_of(user_id, None if loaded is None else loaded.watermark)
    except EventStoreError:
        return None


def _with_news(history: History, loaded: LoadedHistories | None, user_id: int, news: NewEvents) -> History:
    if (
        loaded is not None
        and not news.is_forgotten
        and any(event.event_type == UNDO for event in news.events)
        and loaded.histories.has_replaced_events(user_id)
    ):
        # An undo may bring back an event that the history no longer shows.
        return History.from_events([*loaded.histories.events_of(user_id), *news.events])
    return history.then(news.events)


def history_items(history: History, view: CatalogueView, limit: int) -> list[HistoryItem]:
    """The newest movies of a history that the catalogue has, newest first."""
    rows = view.catalogue.rows_of(history.movie_ids)
    places = np.flatnonzero(rows >= 0)[::-1][:limit]
    return [
        view.card_as(
            HistoryItem,
            int(rows[place]),
            event_type=_NAME_OF_CODE[int(history.event_codes[place])],
            rating=_rounded(history.ratings[place]),
            timestamp=from_epoch(int(history.timestamps[place])).isoformat(),
        )
        for place in places
    ]


def tastes(history: History, view: CatalogueView) -> tuple[list[Taste], list[Taste]]:
    """(genres, most frequent first; decades, by time) of the history's movies."""
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
    return int((history.ratings >= LIKE_THRESHOLD).sum())


def mean_rating(history: History) -> float | None:
    """Null where the history holds no opinion."""
    rated = history.ratings[~np.isnan(history.ratings)]
    return round(float(rated.mean()), 3) if len(rated) else None


def users_like(state: WorkerState, query: str, limit: int) -> list[UserEntry]:
    """Users whose number begins with `query` (any, if empty), ascending; the exact one first."""
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
        for low, high in _ranges(query, int(user_ids[-1]) if len(user_ids) else -1):
            first = int(np.searchsorted(user_ids, low))
            for place in range(first, min(first + limit, len(user_ids))):
                user_id = int(user_ids[place])
                if user_id > high or len(found) >= limit:
                    break
                if user_id not in state.forgotten:
                    found.setdefault(user_id, int(counts[place]))
    return [UserEntry(user_id=user_id, n_events=n) for user_id, n in found.items()][:limit]


def _ranges(query: str, greatest: int) -> list[tuple[int, int]]:
    """The numbers that begin with these digits, as inclusive ranges: `12` is 12, 120–129, 1200–1299, …"""
    if not query:
        return [(0, greatest)]
    if query.startswith("0"):
        return []
    ranges = []
    low, width = int(query), 1
    while low <= greatest:
        ranges.append((low, low + width - 1))
        low, width = low * 10, width * 10
    return ranges


def _rounded(rating: np.float32) -> float | None:
    return None if np.isnan(rating) else round(float(rating), 2)
