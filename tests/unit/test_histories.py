"""Publishing everybody's events and reading one user's history from them."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movierank_core.atomic import SUFFIX
from movierank_core.data.history import EVENT_TYPES, UNDO, Event, History, rating_of
from movierank_core.data.history_snapshot import HistoriesManifest, open_histories, publish_histories
from movierank_core.data.schema import INTERACTIONS
from movierank_core.errors import DataError, HistoriesError
from tests.support.waiting import exit_code

PUBLISH = "Remedy: run `movierank materialize` to publish it again."


def interactions(*rows: tuple[int, int, str, float | None, int]) -> pl.DataFrame:
    """INTERACTIONS from (user, movie, event type, rating, seconds)."""
    return pl.DataFrame(
        [
            (user, movie, kind, rating, datetime.fromtimestamp(seconds, UTC))
            for user, movie, kind, rating, seconds in rows
        ],
        schema=INTERACTIONS,
        orient="row",
    )


def publish(frame: pl.DataFrame, folder: Path) -> HistoriesManifest:
    return publish_histories(
        frame, folder, feedback_through="store:9", dataset="tiny", ratings_are_simulated=True
    )


TWO_USERS = interactions(
    (3, 10, "rating", 4.0, 100),
    (3, 11, "rating", 2.5, 100),
    (9, 10, "like", 4.5, 50),
    (9, 12, "click", None, 60),
)


def test_a_published_history_is_read_back(tmp_path: Path) -> None:
    publish(TWO_USERS, tmp_path)
    histories = open_histories(tmp_path)
    assert histories.user_ids().tolist() == [3, 9]
    assert histories.n_events().tolist() == [2, 2]
    history = histories.history_of(9)
    assert history is not None
    assert history.movie_ids.tolist() == [10, 12]
    np.testing.assert_array_equal(history.ratings, np.array([4.5, np.nan], np.float32))
    assert history.timestamps.tolist() == [50, 60]
    assert history.event_codes.tolist() == [EVENT_TYPES["like"].code, EVENT_TYPES["click"].code]


def test_an_unknown_user_has_no_history(tmp_path: Path) -> None:
    publish(TWO_USERS, tmp_path)
    histories = open_histories(tmp_path)
    assert [histories.history_of(user_id) for user_id in (0, 4, 10)] == [None, None, None]
    assert histories.events_of(4) == []


def test_the_manifest_says_what_the_snapshot_is(tmp_path: Path) -> None:
    written = publish(TWO_USERS, tmp_path)
    manifest = open_histories(tmp_path).manifest
    assert manifest == written
    assert (manifest.n_users, manifest.n_events) == (2, 4)
    assert manifest.data_as_of == "1970-01-01T00:01:40+00:00"
    assert manifest.feedback_through == "store:9"
    assert (manifest.dataset, manifest.ratings_are_simulated) == ("tiny", True)


def test_an_empty_table_can_be_published(tmp_path: Path) -> None:
    publish(interactions(), tmp_path)
    histories = open_histories(tmp_path)
    assert histories.history_of(1) is None
    assert histories.manifest.data_as_of is None


def test_a_replaced_event_is_hidden_from_the_history_but_kept(tmp_path: Path) -> None:
    publish(
        interactions((1, 10, "rating", 2.0, 5), (1, 10, "rating", 5.0, 6), (1, 10, "click", None, 7)),
        tmp_path,
    )
    histories = open_histories(tmp_path)
    history = histories.history_of(1)
    assert history is not None
    assert history.ratings.tolist() == [5.0]
    assert [event.rating for event in histories.events_of(1)] == [2.0, 5.0, None]
    assert histories.has_replaced_events(1)
    assert not histories.has_replaced_events(2)


EVENTS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.sampled_from(sorted(EVENT_TYPES)), st.integers(0, 4)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_every_published_history_is_what_the_events_make(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    rows.sort(key=lambda row: (row[0], row[3]))
    table = [
        (user, movie, kind, _or_none(rating_of(kind, 3.0)), seconds) for user, movie, kind, seconds in rows
    ]
    publish(interactions(*table), folder)
    histories = open_histories(folder)
    for user_id in range(1, 5):
        events = [Event(movie, kind, seconds, 3.0) for user, movie, kind, seconds in rows if user == user_id]
        history = histories.history_of(user_id)
        assert (history is None) == (not events)
        if history is not None:
            assert _rows(history) == _rows(History.from_events(events))


STREAM = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([*EVENT_TYPES, UNDO]), st.integers(0, 6)), max_size=20
)


@settings(max_examples=300, deadline=None)
@given(STREAM, st.integers(0, 20))
def test_a_history_then_later_events_is_the_history_of_both(
    rows: list[tuple[int, str, int]], cut: int
) -> None:
    """Without replaced events before the cut: those are the one thing a history forgets."""
    events = sorted(
        (Event(movie, kind, seconds, 3.0) for movie, kind, seconds in rows), key=lambda e: e.timestamp
    )
    first = [event for event in {e.movie_id: e for e in events[:cut]}.values() if event.event_type != UNDO]
    first.sort(key=lambda event: event.timestamp)
    later = events[cut:]
    assert _rows(History.from_events(first).then(later)) == _rows(History.from_events([*first, *later]))


def test_an_event_from_before_the_end_of_a_history_finds_its_place() -> None:
    history = History.from_events([Event(1, "like", 10), Event(2, "like", 20)])
    assert history.then([Event(3, "like", 15)]).movie_ids.tolist() == [1, 3, 2]


def _rows(history: History) -> list[tuple[int, float | None, int, int]]:
    return [
        (movie, _or_none(rating), seconds, code)
        for movie, rating, seconds, code in zip(
            history.movie_ids.tolist(),
            history.ratings.tolist(),
            history.timestamps.tolist(),
            history.event_codes.tolist(),
            strict=True,
        )
    ]


def _or_none(rating: float) -> float | None:
    return None if np.isnan(rating) else rating


def test_a_new_snapshot_replaces_the_old_and_an_open_one_stays_readable(tmp_path: Path) -> None:
    publish(TWO_USERS, tmp_path)
    old = open_histories(tmp_path)
    for seconds in (1, 2, 3):
        publish(interactions((5, 10, "like", 4.5, seconds)), tmp_path)
    assert open_histories(tmp_path).user_ids().tolist() == [5]
    assert old.history_of(3) is not None
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_a_failed_publication_leaves_the_old_snapshot_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = publish(TWO_USERS, tmp_path)

    def full(file: object, column: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left on device"):
        publish(interactions((5, 10, "like", 4.5, 1)), tmp_path)
    assert open_histories(tmp_path).manifest == written
    assert not list(tmp_path.glob(".*"))


KILLED = """
import sys, time
from pathlib import Path
import numpy as np, polars as pl
from movierank_core.data.history_snapshot import publish_histories

save = np.save

def stop_half_way(file, column):
    save(file, column)
    if str(file).endswith("ratings.npy"):
        print("writing", flush=True)
        time.sleep(3600)

np.save = stop_half_way
publish_histories(pl.read_parquet(sys.argv[1]), Path(sys.argv[2]), feedback_through=None, dataset="tiny",
                  ratings_are_simulated=True)
"""


def test_a_kill_while_publishing_leaves_the_old_snapshot_current(tmp_path: Path) -> None:
    folder, table = tmp_path / "histories", tmp_path / "table.parquet"
    written = publish(TWO_USERS, folder)
    interactions((5, 10, "like", 4.5, 1)).write_parquet(table)
    publisher = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(table), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert publisher.stdout is not None
    assert publisher.stdout.readline() == "writing\n"
    publisher.kill()
    exit_code(publisher)
    publisher.stdout.close()
    assert len(list(folder.glob(f".*{SUFFIX}"))) == 1
    assert open_histories(folder).manifest == written
    assert publish(TWO_USERS, folder) == open_histories(folder).manifest
    assert not list(folder.glob(".*"))


def test_unsorted_interactions_are_refused(tmp_path: Path) -> None:
    for frame in (TWO_USERS.reverse(), TWO_USERS[[0, 1, 3, 2]]):
        with pytest.raises(HistoriesError) as refusal:
            publish(frame, tmp_path)
        assert str(refusal.value) == (
            "The interactions are not sorted. Expected: rows sorted by user_id, then timestamp."
        )


def test_another_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^The table interactions has missing columns"):
        publish(pl.DataFrame({"user_id": [1]}), tmp_path)


def refusal_of(folder: Path) -> str:
    with pytest.raises(HistoriesError) as refusal:
        open_histories(folder)
    return str(refusal.value)


def test_nothing_published_is_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path) == (
        f"No histories are published in {tmp_path}. Expected: a file CURRENT that names a snapshot. "
        "Remedy: run `movierank materialize`"
    )


@pytest.mark.parametrize("name", ["gone", "", "../elsewhere", ".."])
def test_a_pointer_to_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "CURRENT").write_text(name)
    assert refusal_of(tmp_path) == (
        f"{tmp_path}/CURRENT names the snapshot {name!r}, which is not there. "
        f"Expected: a folder in {tmp_path}. {PUBLISH}"
    )


def test_a_pointer_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_bytes(b"\xff\xfe")
    assert refusal_of(tmp_path).startswith(f"{tmp_path}/CURRENT cannot be read: 'ascii' codec")


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    (tmp_path / snapshot_id / "ratings.npy").unlink()
    assert refusal_of(tmp_path) == f"The histories snapshot {snapshot_id} lacks ratings.npy. {PUBLISH}"


def test_a_column_cut_short_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    path = tmp_path / snapshot_id / "ratings.npy"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    assert refusal_of(tmp_path) == (
        f"ratings.npy of the histories snapshot {snapshot_id} has {size - 5} bytes. "
        f"Expected: {size} bytes. {PUBLISH}"
    )


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    np.save(tmp_path / snapshot_id / "ratings.npy", np.zeros(4, np.int32))
    assert refusal_of(tmp_path) == (
        f"ratings.npy of the histories snapshot {snapshot_id} holds int32[4]. "
        f"Expected: an array of float32 with one dimension. {PUBLISH}"
    )


def test_a_column_that_is_no_array_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    path = tmp_path / snapshot_id / "ratings.npy"
    path.write_bytes(b"x" * path.stat().st_size)
    assert refusal_of(tmp_path).startswith(
        f"ratings.npy of the histories snapshot {snapshot_id} cannot be read: "
    )


def alter_manifest(folder: Path, snapshot_id: str, **changes: object) -> None:
    path = folder / snapshot_id / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    alter_manifest(tmp_path, snapshot_id, format_version=2, n_users="many")
    assert refusal_of(tmp_path) == (
        f"The histories snapshot {snapshot_id} has format 2. Expected: format 1 or older. "
        "Remedy: upgrade movierank."
    )


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    path = tmp_path / snapshot_id / "manifest.json"
    path.write_bytes(path.read_bytes()[:40])
    assert refusal_of(tmp_path).startswith(f"{path} cannot be read: Input data was truncated")


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    alter_manifest(tmp_path, snapshot_id, n_events=5)
    assert refusal_of(tmp_path) == (
        f"movie_ids.npy of the histories snapshot {snapshot_id} has 4 rows. Expected: 5 rows. {PUBLISH}"
    )


@pytest.mark.parametrize("offsets", [[1, 2, 4], [0, 5, 4], [0, 2, 3]])
def test_offsets_that_do_not_fit_are_refused(tmp_path: Path, offsets: list[int]) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    np.save(tmp_path / snapshot_id / "offsets.npy", np.array(offsets, np.int64))
    assert refusal_of(tmp_path) == (
        f"offsets.npy of the histories snapshot {snapshot_id} do not rise from 0 to 4. {PUBLISH}"
    )


def test_users_out_of_order_are_refused(tmp_path: Path) -> None:
    snapshot_id = publish(TWO_USERS, tmp_path).snapshot_id
    np.save(tmp_path / snapshot_id / "user_ids.npy", np.array([9, 3], np.int64))
    assert refusal_of(tmp_path) == (
        f"user_ids.npy of the histories snapshot {snapshot_id} are not ascending. {PUBLISH}"
    )
