"""The contract of every event store, for each database."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from movierank_core.data.history import Event, History
from movierank_core.data.schema import FEEDBACK, IMPRESSIONS
from movierank_core.errors import EventConflictError
from movierank_core.events.databases import CONNECTIONS
from movierank_core.events.impressions import MESSAGES_PER_RANKING, Impression, ServedMovie, ServedRanking
from movierank_core.events.store import EventStore, FeedbackEvent, Watermark, open_event_store
from tests.support.waiting import join

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOON_SECONDS = 1714564800


def feedback(event_id: str, **fields: Any) -> FeedbackEvent:
    """An event with the fields that a test does not care about filled in."""
    return FeedbackEvent(
        **{
            "event_id": event_id,
            "user_id": 7,
            "movie_id": 550,
            "event_type": "like",
            "timestamp": NOON,
            **fields,
        }
    )


def served(ranking_id: str, moment: datetime, user_id: int | None = 7, explore: float = 0.0) -> ServedRanking:
    """A ranking of two movies."""
    return ServedRanking(
        served_us=micros(moment),
        ranking_id=ranking_id,
        user_id=user_id,
        model_version="3",
        served_by="model",
        explore=explore,
        movies=[ServedMovie(550, 0.9, 0.5), ServedMovie(603, 0.7, 1.0)],
    )


def shown(ranking_id: str, moment: datetime, *movie_ids: int, user_id: int | None = 7) -> Impression:
    """An impression; without `movie_ids`, of both movies."""
    return Impression(
        shown_us=micros(moment),
        ranking_id=ranking_id,
        user_id=user_id,
        movie_ids=list(movie_ids) or [550, 603],
    )


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class EventStoreContract:
    """Subclasses give a `url` fixture that names an empty database, and a `store` opened on it."""

    def test_an_appended_event_is_read_back(self, store: EventStore) -> None:
        assert store.append([feedback("a", event_type="rating", value=3.5)]) == [True]
        assert store.events_of(7) == [Event(550, "rating", NOON_SECONDS, 3.5)]

    def test_a_known_event_id_is_not_stored_again(self, store: EventStore) -> None:
        store.append([feedback("a")])
        assert store.append([feedback("a"), feedback("b"), feedback("b")]) == [False, True, False]
        assert store.count() == 2

    def test_two_users_may_use_the_same_event_id(self, store: EventStore) -> None:
        assert store.append([feedback("a"), feedback("a", user_id=8, movie_id=1)]) == [True, True]
        assert [event.movie_id for event in store.events_of(8)] == [1]

    def test_another_event_with_a_known_id_is_a_conflict_and_its_batch_is_not_stored(
        self, store: EventStore
    ) -> None:
        store.append([feedback("a")])
        for other in (feedback("a", movie_id=1), feedback("a", event_type="dislike")):
            with pytest.raises(EventConflictError) as conflict:
                store.append([feedback("b"), other])
            assert str(conflict.value) == (
                "User 7 has another event with the event_id 'a'. Expected: one event_id per event. "
                "Remedy: send the event with a new event_id."
            )
        with pytest.raises(EventConflictError):
            store.append([feedback("c"), feedback("c", movie_id=1)])
        assert store.count() == 1
        assert store.append([feedback("a"), feedback("d")]) == [False, True]

    def test_the_sequence_decides_the_order_and_not_the_clock(self, store: EventStore, url: str) -> None:
        """A like on one host and its undo on another, whose clock is five seconds behind."""
        store.append([feedback("like", timestamp=NOON + timedelta(seconds=5))])
        other = open_event_store(url)
        other.append([feedback("undo", event_type="undo")])
        other.close()
        assert len(History.from_events(store.events_of(7))) == 0
        times = store.read_all()["timestamp"].to_list()
        assert times == [NOON + timedelta(seconds=5), NOON + timedelta(seconds=5, microseconds=1)]

    def test_a_named_undo_withdraws_its_event_and_no_other(self, store: EventStore) -> None:
        store.append([feedback("five", event_type="rating", value=5.0)])
        published = store.watermark()
        store.append([feedback("undo lost", event_type="undo", undoes="lost")])
        assert [event.rating for event in store.events_of(7)] == [5.0]
        store.append([feedback("like"), feedback("undo like", event_type="undo", undoes="like")])
        assert [event.rating for event in store.events_of(7)] == [5.0]
        assert store.read_all()["event_id"].to_list() == ["five"]
        # An undo that overtakes its event, and one for another user's event and another movie's.
        store.append([feedback("undo late", event_type="undo", undoes="late"), feedback("late")])
        store.append([feedback("x", user_id=8, event_type="undo", undoes="five")])
        store.append([feedback("y", movie_id=1, event_type="undo", undoes="five")])
        assert store.events_of(7, published) == store.news_of(7, published).withdrawn == []
        assert store.read_all()["event_id"].to_list() == ["five"]
        store.append([feedback("undo five", event_type="undo", undoes="five")])
        assert store.events_of(7) == []
        assert store.news_of(7, published).withdrawn == [Event(550, "rating", NOON_SECONDS, 5.0)]

    def test_verdicts_are_the_last_events_of_each_movie(self, store: EventStore) -> None:
        store.append([feedback("a"), feedback("b", movie_id=1, event_type="dislike")])
        store.append([feedback("c", movie_id=1), feedback("d", movie_id=1, event_type="click")])
        assert [(v.event_id, v.movie_id, v.event_type) for v in store.verdicts_of(7, 9)] == [
            ("c", 1, "like"),
            ("a", 550, "like"),
        ]
        store.append([feedback("e", movie_id=1, event_type="undo", undoes="c")])
        assert [verdict.event_id for verdict in store.verdicts_of(7, 9)] == ["b", "a"]
        assert [verdict.event_id for verdict in store.verdicts_of(7, 1)] == ["b"]

    def test_only_users_forgotten_since_are_read(self, store: EventStore) -> None:
        store.delete_user(7)
        found, through = store.newly_forgotten(None)
        assert found == [7]
        store.delete_user(8)
        found, after = store.newly_forgotten(through)
        assert found == [8]
        assert store.newly_forgotten(after)[0] == []

    def test_reading_does_not_wait_for_writers(self, store: EventStore) -> None:
        """All connections for writing are in use."""
        store.append([feedback("a")])
        with ExitStack() as stack:
            connections = [stack.enter_context(store._connections.use("hold")) for _ in range(CONNECTIONS)]
            stack.enter_context(connections[0].transaction(is_read_only=False))
            connections[0].execute("UPDATE event_store SET last_seq = last_seq")
            assert len(store.events_of(7)) == 1
            assert store.newly_forgotten(None)[0] == []

    def test_events_come_in_the_order_in_which_they_were_stored(self, store: EventStore) -> None:
        store.append([feedback("a", movie_id=1, timestamp=NOON + timedelta(seconds=9)), feedback("b")])
        store.append([feedback("c", movie_id=3)])
        assert [event.movie_id for event in store.events_of(7)] == [1, 550, 3]

    def test_a_watermark_separates_what_was_from_what_comes(self, store: EventStore) -> None:
        store.append([feedback("a", movie_id=1)])
        watermark = store.watermark()
        assert store.events_of(7, watermark) == []
        store.append([feedback("b", movie_id=2)])
        assert [event.movie_id for event in store.events_of(7, watermark)] == [2]
        assert store.watermark().seq > watermark.seq

    def test_a_watermark_survives_writing_and_parsing(self, store: EventStore) -> None:
        store.append([feedback("a")])
        assert Watermark.parse(str(store.watermark())) == store.watermark()

    def test_a_watermark_of_another_store_hides_nothing(self, store: EventStore) -> None:
        store.append([feedback("a")])
        assert len(store.events_of(7, Watermark("another", 10_000))) == 1

    def test_read_all_has_the_feedback_schema(self, store: EventStore) -> None:
        assert store.read_all().schema == FEEDBACK
        moment = NOON + timedelta(microseconds=123_456)
        first = feedback("a", timestamp=moment, request_id="trace", ranking_id="r1")
        store.append([first, feedback("b", user_id=8)])
        assert store.read_all().equals(
            pl.DataFrame(
                {
                    "event_id": ["a", "b"],
                    "user_id": [7, 8],
                    "movie_id": [550, 550],
                    "event_type": ["like", "like"],
                    "value": [None, None],
                    "request_id": ["trace", None],
                    "ranking_id": ["r1", None],
                    "timestamp": [moment, NOON],
                },
                schema=FEEDBACK,
            )
        )

    def test_a_snapshot_and_the_events_after_its_watermark_are_everything_once(
        self, store: EventStore
    ) -> None:
        store.append([feedback("a", movie_id=1), feedback("b", movie_id=2)])
        snapshot = store.snapshot()
        store.append([feedback("c", movie_id=3)])
        after = store.events_of(7, Watermark.parse(snapshot.watermark))
        assert snapshot.feedback["movie_id"].to_list() == [1, 2]
        assert [event.movie_id for event in after] == [3]

    def test_a_deleted_user_is_gone_and_listed(self, store: EventStore) -> None:
        store.append([feedback("a"), feedback("b", movie_id=1), feedback("c", user_id=8)])
        assert store.delete_user(7) == 2
        assert store.events_of(7) == []
        assert store.read_all()["user_id"].to_list() == [8]
        assert store.forgotten_users() == [7]
        assert store.snapshot().forgotten_user_ids == [7]

    def test_deleting_a_user_may_be_repeated(self, store: EventStore) -> None:
        assert [store.delete_user(7), store.delete_user(7)] == [0, 0]
        assert store.forgotten_users() == [7]

    def test_a_forgotten_user_starts_a_new_history(self, store: EventStore) -> None:
        store.append([feedback("a", movie_id=1)])
        before = store.watermark()
        store.delete_user(7)
        after = store.watermark()
        store.append([feedback("b", movie_id=2)])
        news = store.news_of(7, before)
        assert news.is_forgotten
        assert [event.movie_id for event in news.events] == [2]
        assert not store.news_of(7, after).is_forgotten
        assert store.forgotten_users() == [7]

    def test_events_survive_closing_and_opening(self, store: EventStore, url: str) -> None:
        store.append([feedback("a")])
        store.close()
        again = open_event_store(url)
        assert again.store_id == store.store_id
        assert len(again.events_of(7)) == 1
        again.close()

    def test_threads_and_stores_share_one_sequence_without_loss(self, store: EventStore, url: str) -> None:
        other = open_event_store(url)
        outcomes: list[bool] = []

        def send(to: EventStore, name: str) -> None:
            for number in range(20):
                outcomes.extend(to.append([feedback(f"{name}-{number}", movie_id=number)]))

        threads = [
            threading.Thread(target=send, args=(to, name))
            for to, name in ((store, "a"), (store, "b"), (other, "c"), (other, "a"))
        ]
        for thread in threads:
            thread.start()
        join(threads)
        other.close()
        assert len(outcomes) == 80
        assert sum(outcomes) == 60
        assert store.count() == 60
        assert store.read_all()["event_id"].n_unique() == 60

    def test_snapshots_taken_while_others_write_are_complete(self, store: EventStore, url: str) -> None:
        """Nothing ever appears before a watermark that was seen already."""
        other = open_event_store(url)

        def send(to: EventStore, name: str) -> None:
            for number in range(40):
                to.append([feedback(f"{name}-{number}")])

        writers = [threading.Thread(target=send, args=(to, n)) for to, n in ((store, "a"), (other, "b"))]
        for writer in writers:
            writer.start()
        snapshots = []
        while any(writer.is_alive() for writer in writers):
            snapshots.append(store.snapshot())
        other.close()
        assert snapshots
        for snapshot in snapshots:
            after = store.events_of(7, Watermark.parse(snapshot.watermark))
            assert len(snapshot.feedback) + len(after) == 80

    def test_only_what_was_shown_of_a_ranking_is_read_back(self, store: EventStore) -> None:
        assert store.impressions().schema == IMPRESSIONS
        moment, later = NOON + timedelta(microseconds=123_457), NOON + timedelta(seconds=9)
        rankings = [served("r2", moment), served("r1", NOON, user_id=None, explore=0.25), served("r3", later)]
        store.append_rankings(rankings)
        assert store.impressions().is_empty()
        store.append_rankings([], [shown("r2", later, 603), shown("r1", later, user_id=None)])
        assert store.impressions().rows() == [
            (later, "r1", None, 1, 550, 0.9, 0.5, "3", "model", 0.25),
            (later, "r1", None, 2, 603, 0.7, 1.0, "3", "model", 0.25),
            (later, "r2", 7, 2, 603, 0.7, 1.0, "3", "model", 0.0),
        ]

    def test_a_movie_counts_once_and_from_the_first_time(self, store: EventStore) -> None:
        later = NOON + timedelta(seconds=9)
        # The worker that heard of the impression may store it before the other stores the ranking.
        store.append_rankings([], [shown("r1", later), shown("r1", NOON, 550), shown("r1", NOON, 1, 2)])
        store.append_rankings([served("r1", NOON)])
        assert store.impressions().select("movie_id", "shown_at").rows() == [(550, NOON), (603, later)]

    def test_an_impression_of_another_user_does_not_count(self, store: EventStore) -> None:
        store.append_rankings([served("r1", NOON), served("r2", NOON, user_id=None)])
        store.append_rankings([], [shown("r1", NOON, user_id=8), shown("r1", NOON, user_id=None)])
        store.append_rankings([], [shown("r2", NOON, user_id=7), shown("r3", NOON)])
        assert store.impressions().is_empty()

    def test_only_the_newest_rankings_stay(self, store: EventStore) -> None:
        moments = [NOON + timedelta(seconds=n) for n in range(10)]
        store.append_rankings(
            [served(f"r{n}", moment) for n, moment in enumerate(moments)],
            [shown(f"r{n}", moment) for n, moment in enumerate(moments)],
        )
        assert store.trim_rankings(10) == 0
        assert store.trim_rankings(3) == 7
        assert store.impressions()["ranking_id"].unique().sort().to_list() == ["r7", "r8", "r9"]

    def test_the_messages_about_impressions_are_bounded(self, store: EventStore) -> None:
        moments = [NOON + timedelta(seconds=n) for n in range(3 * MESSAGES_PER_RANKING)]
        store.append_rankings([served("r", NOON)], [shown("r", moment) for moment in moments])
        store.trim_rankings(2)
        assert store.impressions()["shown_at"].min() == moments[MESSAGES_PER_RANKING]

    def test_what_a_forgotten_user_was_shown_is_gone_and_does_not_come_back(self, store: EventStore) -> None:
        before = datetime.now(UTC)
        store.append_rankings(
            [served("r1", before), served("r2", before, user_id=8)],
            [shown("r1", before), shown("r2", before, user_id=8)],
        )
        store.delete_user(7)
        store.append_rankings([served("late", before)], [shown("late", before)])  # It waited in a worker.
        after = datetime.now(UTC) + timedelta(seconds=1)
        store.append_rankings(
            [served("new", after), served("visitor", after, user_id=None)],
            [shown("new", after), shown("visitor", after, user_id=None)],
        )
        assert set(store.impressions()["ranking_id"]) == {"r2", "new", "visitor"}
        with store._readers.use("read") as connection:
            for table, n in (("rankings", 3), ("impressions", 3)):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == n

    def test_ping_returns_where_events_can_be_stored(self, store: EventStore) -> None:
        store.ping()

    def test_a_store_of_format_1_is_converted_when_it_is_opened(self, store: EventStore, url: str) -> None:
        store.append([feedback("a", value=4.0, event_type="rating"), feedback("b", movie_id=1)])
        before = store.read_all()
        with store._connections.use("age") as connection:
            for statement in (
                "DROP TABLE event_store_probe",
                "DROP INDEX feedback_events_undone",
                "ALTER TABLE feedback_events RENAME TO newer",
                """CREATE TABLE feedback_events (
                    seq BIGINT NOT NULL UNIQUE, event_id TEXT NOT NULL UNIQUE, user_id BIGINT NOT NULL,
                    movie_id BIGINT NOT NULL, event_type TEXT NOT NULL, value DOUBLE PRECISION,
                    request_id TEXT, timestamp_us BIGINT NOT NULL)""",
                """INSERT INTO feedback_events SELECT seq, event_id, user_id, movie_id, event_type, value,
                    request_id, timestamp_us FROM newer""",
                "DROP TABLE newer",
                "DROP TABLE rankings",
                "UPDATE event_store SET format_version = 1",
            ):
                connection.execute(statement)
        store.close()
        converted = open_event_store(url)
        assert converted.read_all().equals(before)
        assert converted.store_id == store.store_id
        assert converted.append([feedback("a", user_id=8), feedback("b", movie_id=1)]) == [True, False]
        converted.close()

    def test_rankings_of_format_2_become_served_ones_of_which_nothing_was_shown(
        self, store: EventStore, url: str
    ) -> None:
        store.append([feedback("a")])
        store.append_rankings([served("r1", NOON), served("r1", NOON, user_id=8)])
        before = store.read_all()
        with store._connections.use("age") as connection:
            for statement in (
                "ALTER TABLE feedback_events DROP COLUMN ranking_id",
                "ALTER TABLE rankings RENAME TO shown_rankings",
                "ALTER TABLE shown_rankings RENAME COLUMN served_us TO shown_us",
                "ALTER TABLE shown_rankings RENAME COLUMN ranking_id TO request_id",
                "ALTER TABLE shown_rankings RENAME COLUMN movies TO shown",
                "DROP INDEX rankings_by_time",
                "DROP INDEX rankings_of_user",
                "CREATE INDEX shown_rankings_by_time ON shown_rankings (shown_us)",
                "DROP TABLE impressions",
                "UPDATE event_store SET format_version = 2",
            ):
                connection.execute(statement)
        store.close()
        converted = open_event_store(url)
        assert converted.read_all().equals(before)
        assert converted.impressions().is_empty()
        converted.append_rankings([], [shown("r1", NOON, 550)])
        assert converted.impressions()["user_id"].to_list() == [7]
        assert converted.append([feedback("b", ranking_id="r1")]) == [True]
        assert converted.read_all()["ranking_id"].to_list() == [None, "r1"]
        converted.close()
        open_event_store(url).close()
