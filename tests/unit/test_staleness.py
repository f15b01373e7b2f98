"""When a part counts as old, by hand-computed ages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from movierank_core.events.store import FeedbackEvent, Watermark, open_event_store
from movierank_core.staleness import age_of, old_histories, old_model, silent_feedback

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
STORED = Watermark("s", 5)


def test_a_version_is_old_after_its_limit_and_not_at_it() -> None:
    assert old_model("3", NOW - timedelta(days=7), NOW, 7.0) is None
    assert str(old_model("3", NOW - timedelta(days=7, hours=12), NOW, 7.0)) == (
        "Version 3, which serves, was made 7.5 days ago. Expected: at most 7 days. Remedy: see `movierank"
        " versions` for newer ones that the gate refused, and the Dagster UI for runs that failed; run"
        " `movierank materialize`."
    )
    assert old_model("3", NOW - timedelta(days=700), NOW, 0.0) is None


def test_histories_are_old_after_their_limit_if_they_lack_events() -> None:
    made_at = NOW - timedelta(hours=50)
    old = old_histories(made_at, Watermark("s", 4), STORED, NOW, 48.0)
    assert old is not None
    assert old.title == "The published histories are 50 hours old and lack newer events"
    assert old_histories(made_at, Watermark("s", 5), STORED, NOW, 48.0) is None
    assert old_histories(made_at, Watermark("s", 4), STORED, NOW, 50.0) is None
    assert old_histories(made_at, Watermark("s", 4), STORED, NOW, 0.0) is None


def test_histories_of_no_store_or_of_another_one_lack_every_event() -> None:
    made_at = NOW - timedelta(hours=50)
    for through in (None, Watermark("other", 9)):
        assert old_histories(made_at, through, STORED, NOW, 48.0) is not None
        assert old_histories(made_at, through, Watermark("s", 0), NOW, 48.0) is None


def test_feedback_is_silent_only_where_there_was_some() -> None:
    assert silent_feedback(None, NOW, 24.0) is None
    assert silent_feedback(NOW - timedelta(hours=24), NOW, 24.0) is None
    assert silent_feedback(NOW - timedelta(hours=30), NOW, 0.0) is None
    silent = silent_feedback(NOW - timedelta(hours=30), NOW, 24.0)
    assert silent is not None
    assert silent.title == "No feedback event has come for 30 hours"


def test_a_moment_in_the_future_has_the_age_zero() -> None:
    assert age_of(NOW + timedelta(hours=1), NOW) == timedelta()


def test_the_last_event_of_a_store_is_the_one_stored_last(tmp_path: Path) -> None:
    store = open_event_store(f"sqlite:///{tmp_path}/events.db")
    assert store.last_event_at() is None
    for number in (1, 2):
        store.append(
            [
                FeedbackEvent(
                    event_id=str(number),
                    user_id=number,
                    movie_id=1,
                    event_type="like",
                    timestamp=NOW + timedelta(minutes=number),
                )
            ]
        )
    assert store.last_event_at() == NOW + timedelta(minutes=2)
    store.delete_user(2)
    assert store.last_event_at() == NOW + timedelta(minutes=1)
    store.close()
