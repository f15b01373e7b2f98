"""Whatever was published when, a user's history is what all of their events make."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_core.data.history import FEEDBACK_EVENT_TYPES, Event, History
from movierank_core.data.history_snapshot import publish_histories
from movierank_core.data.schema import RATINGS
from movierank_core.events.store import FeedbackEvent, open_event_store
from movierank_pipeline.ingest.interactions import build_interactions
from movierank_serving.users.history import history_of
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.state import WorkerState
from tests.support.service import settings_in

START = datetime(2024, 1, 1, tzinfo=UTC)
USER = 5
RATED = st.lists(st.integers(1, 4), unique=True, max_size=4)
GIVEN = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(FEEDBACK_EVENT_TYPES)), max_size=12)


def rows_of(history: History) -> list[tuple[object, ...]]:
    columns = (history.movie_ids, history.ratings, history.timestamps, history.event_codes)
    return [tuple(map(str, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]


@settings(max_examples=60, deadline=None)
@given(RATED, GIVEN, st.integers(0, 12))
def test_a_snapshot_and_the_events_since_are_the_whole_history(
    tmp_path_factory: pytest.TempPathFactory,
    rated: list[int],
    given_events: list[tuple[int, str]],
    published_after: int,
) -> None:
    service = settings_in(tmp_path_factory.mktemp("histories"))
    ratings = pl.DataFrame(
        [(USER, movie, 3.0, START + timedelta(seconds=n // 2)) for n, movie in enumerate(rated)],
        schema=RATINGS,
        orient="row",
    )
    feedback = [
        FeedbackEvent(
            event_id=str(n),
            user_id=USER,
            movie_id=movie,
            event_type=event_type,
            value=4.5 if event_type == "rating" else None,
            timestamp=START + timedelta(days=1, seconds=n // 3),
        )
        for n, (movie, event_type) in enumerate(given_events)
    ]
    store = open_event_store(service.events_url)
    if feedback[:published_after]:
        store.append(feedback[:published_after])
    snapshot = store.snapshot()
    publish_histories(
        build_interactions(ratings, snapshot.feedback),
        service.paths.histories,
        feedback_through=snapshot.watermark,
        dataset="tiny",
        ratings_are_simulated=True,
    )
    if feedback[published_after:]:
        store.append(feedback[published_after:])
    store.close()
    worker = WorkerState(service, Metrics())
    worker.refresh()
    everything = [
        *(Event(movie, "rating", int(START.timestamp()) + n // 2, 3.0) for n, movie in enumerate(rated)),
        *(
            Event(event.movie_id, event.event_type, int(event.timestamp.timestamp()), event.value)
            for event in feedback
        ),
    ]
    assert rows_of(history_of(worker, USER).history) == rows_of(History.from_events(everything))
    worker.close()
