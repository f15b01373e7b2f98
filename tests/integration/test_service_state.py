"""What the service does when models and histories come, go and break under it."""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.data.history import History
from movierank_core.events.store import Watermark
from movierank_core.recommender.ranking import Ranking
from movierank_serving.model_sync.local_copies import ModelCopies, Refusal, SyncStatus, now
from movierank_serving.settings import Settings
from movierank_serving.web.prometheus import Metrics
from movierank_serving.worker.state import WorkerState
from tests.support.service import FakeRecommender, client_of, load_fake, publish, serve_version, settings_in
from tests.support.waiting import join, wait_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def version_of(client: TestClient[Litestar]) -> str:
    version: str = client.post("/rank", json={"user_id": 1}).json()["model_version"]
    return version


def ready(client: TestClient[Litestar]) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/health/ready").json()
    return answer


def problem_with(client: TestClient[Litestar], start: str) -> str:
    """The problem of `/health/ready` that begins so, as soon as there is one."""
    return wait_for(
        lambda: next((text for text in ready(client)["problems"] if text.startswith(start)), ""), what=start
    )


def test_without_a_model_it_starts_and_says_what_to_do(settings: Settings) -> None:
    with client_of(settings) as client:
        assert client.get("/health/live").json() == {"status": "live"}
        reason = "No version of movie-ranker@production is loaded yet; the registry has not been checked."
        remedy = "run `movierank demo` for a first model, or `movierank materialize` and `movierank promote`"
        answers = [
            client.post("/rank", json={"user_id": 1}),
            client.get("/movie/550"),
            client.get("/movie/550/similar"),
            client.get("/movies?query=x"),
            client.get("/users/1"),
            client.get("/model"),
            client.get("/health/ready"),
        ]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "5"
            problem = answer.json()
            assert (problem["type"], problem["detail"]) == ("urn:movierank:no-model", reason)
            assert problem["remedy"] == remedy
        assert ready(client)["health"]["status"] == "not_ready"
        assert client.app.state.worker.store().count() == 0


def test_the_reason_of_the_registry_is_passed_on(settings: Settings) -> None:
    status = SyncStatus(checked_at=now(), registry_error="There is no registry at X yet.", refused=[])
    ModelCopies(settings.paths.model_cache).set_status(status)
    with client_of(settings) as client:
        assert client.post("/rank", json={"user_id": 1}).json()["detail"] == "There is no registry at X yet."
        health = ready(client)["health"]
        assert health["registry"] == "unavailable"
        assert "There is no registry at X yet." in health["problems"]


def test_a_first_refused_version_is_the_reason(settings: Settings) -> None:
    refusal = Refusal(version="4", run_id="r", error="It is broken.", refused_at=now())
    ModelCopies(settings.paths.model_cache).set_status(
        SyncStatus(checked_at=now(), registry_error=None, refused=[refusal])
    )
    with client_of(settings) as client:
        detail = client.post("/rank", json={"user_id": 1}).json()["detail"]
        assert detail == "Version 4 of movie-ranker@production was refused: It is broken."
        assert ready(client)["health"]["refused_versions"] == [
            {
                "model_version": "4",
                "run_id": "r",
                "error": "It is broken.",
                "refused_at": refusal.refused_at,
            }
        ]


def test_a_model_that_comes_later_is_taken(settings: Settings) -> None:
    with client_of(settings) as client:
        assert client.get("/health/ready").status_code == 503
        serve_version(settings, "1")
        wait_for(lambda: client.get("/health/ready").status_code == 200)
        assert version_of(client) == "1"


def test_a_request_waits_for_a_first_version_that_is_being_loaded(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, watch_seconds=0.5)
    with client_of(settings) as client:
        assert client.post("/rank", json={"user_id": 1}).status_code == 503
        serve_version(settings, "1")
        assert ready(client)["detail"] == "The version of movie-ranker@production is being loaded."
        assert version_of(client) == "1"


def test_another_version_is_taken_and_the_model_route_says_so(settings: Settings) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        assert version_of(client) == "1"
        serve_version(settings, "2", "another")
        wait_for(lambda: version_of(client) == "2")
        model = client.get("/model").json()
        assert (model["model_version"], model["run_id"], model["name"]) == ("2", "run2", "another")
        metrics = client.get("/metrics").text
        assert 'movierank_model_loaded{version="1"} 0.0' in metrics
        assert 'movierank_model_loaded{version="2"} 1.0' in metrics
        assert "movierank_model_swaps_total 2.0" in metrics


def test_a_request_in_flight_finishes_with_the_version_it_began_with(settings: Settings) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        worker = client.app.state.worker
        inner = worker.model.recommender.rank

        def rank(history: History, **options: Any) -> Ranking:
            serve_version(settings, "2")
            worker.refresh()
            assert worker.model.version == "2"
            ranking: Ranking = inner(history, **options)
            return ranking

        worker.model.recommender.rank = rank
        assert version_of(client) == "1"
        assert version_of(client) == "2"


def test_no_request_fails_while_versions_change(settings: Settings) -> None:
    serve_version(settings, "0")
    with client_of(settings) as client:
        stop = threading.Event()
        statuses: list[int] = []
        seen: set[str] = set()

        def ask() -> None:
            while not stop.is_set():
                answer = client.post("/rank", json={"user_id": 1})
                statuses.append(answer.status_code)
                seen.add(answer.json()["model_version"])

        askers = [threading.Thread(target=ask) for _ in range(2)]
        for asker in askers:
            asker.start()
        for version in range(1, 6):
            serve_version(settings, str(version))
            wait_for(lambda version=version: str(version) in seen)
        stop.set()
        for asker in askers:
            join([asker])
    assert set(statuses) == {200}
    assert seen == {str(version) for version in range(6)}


def test_a_broken_version_is_refused_and_the_old_one_goes_on(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        serve_version(settings, "2", "broken")
        error = problem_with(client, "The bundle in ")
        assert (
            error
            == f"The bundle in {settings.paths.model_cache}/versions/2-x is broken. Expected: a good one."
        )
        assert version_of(client) == "1"
        assert ready(client)["status"] == "ready"
        serve_version(settings, "3")
        wait_for(lambda: version_of(client) == "3")
        assert error not in ready(client)["problems"]
    failed = [record.part for record in caplog.records if record.message == "load failed"]
    assert failed.count("model") == 1


def test_a_damaged_pointer_to_the_version_is_refused(settings: Settings) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        (settings.paths.model_cache / "CURRENT").write_text("{")
        error = problem_with(client, f"{settings.paths.model_cache}/CURRENT cannot be read: ")
        assert error.endswith("Remedy: delete it; the next check of the registry writes it.")
        assert version_of(client) == "1"


def test_a_version_comes_back_after_a_restart_without_a_registry(settings: Settings) -> None:
    serve_version(settings, "1")
    for _ in range(2):
        with client_of(settings) as client:
            assert version_of(client) == "1"


def test_a_silent_sync_is_reported(settings: Settings) -> None:
    serve_version(settings, "1")
    ModelCopies(settings.paths.model_cache).set_status(
        SyncStatus(checked_at="2024-01-01T00:00:00+00:00", registry_error=None, refused=[])
    )
    with client_of(settings) as client:
        assert (
            "The registry was last checked at 2024-01-01T00:00:00+00:00. Expected: every 0.1 s. "
            "Remedy: restart `movierank serve`." in ready(client)["problems"]
        )


def test_without_histories_only_new_events_count_and_the_answer_says_so(settings: Settings) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        client.post("/feedback", json={"user_id": 7, "movie_id": 1, "event_type": "like"})
        answer = client.post("/rank", json={"user_id": 7}).json()
        assert (answer["histories"], answer["n_history"], answer["known_user"]) == ("unavailable", 1, True)
        assert problem_with(client, "No histories") == (
            f"No histories are published in {settings.paths.histories}. Expected: a file CURRENT that names "
            "a snapshot. Remedy: run `movierank materialize`"
        )
        assert client.get("/users?query=").json() == {"results": [], "n_users": 0}
        publish(settings, (7, 550, "like", 4.5, 50))
        wait_for(lambda: client.post("/rank", json={"user_id": 7}).json()["n_history"] == 2)
        assert "histories" not in client.post("/rank", json={"user_id": 7}).json()


def test_histories_of_another_data_set_are_not_used_and_reported(settings: Settings) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50), dataset="another")
    with client_of(settings) as client:
        assert problem_with(client, "The published histories are of the data set another, ") == (
            "The published histories are of the data set another, version 1 of tiny, so they are not used. "
            "Remedy: run `movierank materialize` for one data set, and set MOVIERANK_ROOT to another folder "
            "for the other."
        )
        answer = client.post("/rank", json={"user_id": 7}).json()
        assert (answer["histories"], answer["n_history"], answer["known_user"]) == ("unavailable", 0, False)
        assert client.get("/users?query=").json() == {"results": [], "n_users": 0}
        assert client.get("/users/7").status_code == 404
        publish(settings, (7, 550, "like", 4.5, 50))
        wait_for(lambda: client.post("/rank", json={"user_id": 7}).json()["n_history"] == 1)


def test_new_histories_are_taken_and_damaged_ones_are_not(settings: Settings) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as client:
        publish(settings, (7, 550, "like", 4.5, 50), (7, 603, "like", 4.5, 50))
        wait_for(lambda: client.get("/users/7").json()["n_events"] == 2)
        snapshot = settings.paths.histories / "later"
        snapshot.mkdir()
        (snapshot / "manifest.json").write_text('{"format_version": 2}')
        (settings.paths.histories / "CURRENT").write_text("later")
        assert problem_with(client, "The histories snapshot") == (
            "The histories snapshot later has format 2. Expected: format 1 or older. "
            "Remedy: upgrade movierank."
        )
        assert client.get("/users/7").json()["n_events"] == 2


def test_histories_cut_short_are_reported_and_those_in_memory_go_on(settings: Settings) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as client:
        publish(settings, (7, 550, "like", 4.5, 50), (7, 603, "like", 4.5, 50))
        wait_for(lambda: client.get("/users/7").json()["n_events"] == 2)
        name = (settings.paths.histories / "CURRENT").read_text().strip()
        whole, short = settings.paths.histories / name, settings.paths.histories / "short"
        shutil.copytree(whole, short)
        size = (short / "movie_ids.npy").stat().st_size
        os.truncate(short / "movie_ids.npy", size - 8)
        (settings.paths.histories / "CURRENT").write_text("short")
        assert problem_with(client, "movie_ids.npy") == (
            f"movie_ids.npy of the histories snapshot short has {size - 8} bytes. Expected: {size} bytes. "
            "Remedy: run `movierank materialize` to publish it again."
        )
        assert client.get("/users/7").json()["n_events"] == 2
    with client_of(settings) as restarted:
        assert problem_with(restarted, "movie_ids.npy")
        answer = restarted.post("/rank", json={"user_id": 7}).json()
        assert (answer["histories"], answer["known_user"], answer["n_history"]) == ("unavailable", False, 0)


def test_histories_older_than_the_model_are_used_and_reported(settings: Settings) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as client:
        assert problem_with(client, "The histories end") == (
            "The histories end at 1970-01-01T00:00:50+00:00, earlier than the model's data "
            "(2024-01-01T00:00:00+00:00). Remedy: run `movierank materialize`."
        )
        assert client.post("/rank", json={"user_id": 7}).json()["n_history"] == 1


def test_without_its_event_store_it_ranks_but_acknowledges_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = settings_in(tmp_path, events_url=f"sqlite:///{tmp_path}/file/events.db")
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as client:
        answer = client.post("/rank", json={"user_id": 7}).json()
        assert (answer["feedback"], answer["n_history"]) == ("unavailable", 1)
        assert client.get("/users/7").json()["feedback"] == "unavailable"
        for refused in (
            client.post("/feedback", json={"user_id": 7, "movie_id": 1, "event_type": "like"}),
            client.delete("/users/7"),
        ):
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.json()["type"] == "urn:movierank:event-store-unavailable"
            assert refused.json()["detail"] == "The event store is unavailable, so nothing was stored."
        assert ready(client)["events"] == "unavailable"
        problem_with(client, f"Could not set up the event store {settings.events_url}")
        (tmp_path / "file").unlink()
        wait_for(lambda: "feedback" not in client.post("/rank", json={"user_id": 7}).json())
        answer = client.post("/feedback", json={"user_id": 7, "movie_id": 1, "event_type": "like"})
        assert answer.status_code == 202


def test_a_forgotten_user_stays_masked_while_the_event_store_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    with client_of(settings) as client:
        client.delete("/users/7")
        worker = client.app.state.worker
        worker.store().close()
        Path(settings.events_url.removeprefix("sqlite:///")).write_bytes(b"no database any more" * 100)
        for leftover in Path(settings.home).glob("events.db-*"):
            leftover.unlink()
        answer = client.post("/rank", json={"user_id": 7}).json()
        assert (answer["feedback"], answer["known_user"], answer["n_history"]) == ("unavailable", False, 0)


def test_a_refresh_that_read_the_store_before_a_deletion_does_not_undo_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_version(settings, "1")
    publish(settings, (7, 550, "like", 4.5, 50))
    state = WorkerState(settings, Metrics(), load_fake)
    store, has_read, may_return = state.store(), threading.Event(), threading.Event()
    read = store.newly_forgotten

    def read_slowly(after: Watermark | None) -> tuple[list[int], Watermark]:
        found = read(after)
        has_read.set()
        may_return.wait()
        return found

    monkeypatch.setattr(store, "newly_forgotten", read_slowly)
    refresh = threading.Thread(target=state.refresh_events)
    deletion = threading.Thread(target=state.forget, args=(7,))
    refresh.start()
    has_read.wait()
    deletion.start()
    deletion.join(0.5)  # Without a lock it is done by now, and the refresh drops the user again.
    may_return.set()
    refresh.join()
    deletion.join()
    assert state.forgotten == {7}
    state.close()


def test_a_catalogue_that_did_not_change_is_not_prepared_again(settings: Settings) -> None:
    serve_version(settings, "1")
    with client_of(settings) as client:
        worker = client.app.state.worker
        view = worker.model.view
        serve_version(settings, "2")
        wait_for(lambda: worker.model.version == "2")
        assert worker.model.view is view
        assert isinstance(worker.model.recommender, FakeRecommender)
