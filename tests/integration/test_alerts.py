"""Who is told what: alerts of runs, schedules and old parts, at a receiver on this machine."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.events import EngineEventData

from movierank_core.data.history_snapshot import publish_histories
from movierank_core.data.schema import INTERACTIONS
from movierank_core.errors import ConfigError, DataError
from movierank_core.events.store import EventStore, FeedbackEvent, open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs.alerts import ALERTED_BY_TAG, BY_PROCESS, alert_sensors, look_for_old_parts
from movierank_pipeline.defs.automation import nightly
from movierank_pipeline.defs.lost_runs import fail_lost_runs
from movierank_pipeline.materialize import dagster_instance
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.settings import Settings
from tests.support.alert_receiver import SECRET, Receiver, be_patient, nobody, receiving
from tests.support.tiny_pipeline import run

NOW = datetime.now(UTC)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    be_patient(monkeypatch)
    with receiving() as found:
        yield found


@pytest.fixture
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a receiver that is away."""
    be_patient(monkeypatch)
    with nobody() as url:
        yield url


@pytest.fixture
def instance(paths: Paths) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(paths) as found:
        yield found


@dg.asset
def broken() -> None:
    raise DataError("Line 3 has the userId `17`, which is wrong", remedy="correct it")


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec("accepted", asset="judged"),
        dg.AssetCheckSpec("coverage", asset="judged"),
    ]
)
def judged(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name="accepted",
                passed="refuse" not in context.run.tags,
                description="Not met: latency.",
            ),
            dg.AssetCheckResult(check_name="coverage", passed=False, severity=dg.AssetCheckSeverity.WARN),
        ]
    )


@dg.asset
def table() -> None:
    pass


@dg.asset_check(asset=table, blocking=True)
def keys() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="Two rows have one key.")


@dg.asset(deps=[table])
def after() -> None:
    pass


def job_of(name: str, *assets: dg.AssetsDefinition) -> dg.JobDefinition:
    job = dg.define_asset_job(name, selection=dg.AssetSelection.assets(*assets))
    return dg.Definitions(assets=assets, asset_checks=[keys], jobs=[job]).resolve_job_def(name)


class Sensors:
    """The alert sensors on one instance, which keep their cursors."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self._sensors = [sensor for sensor in alert_sensors(url) if sensor.name != "alert_stale"]
        self._instance = instance
        self._cursors: dict[str, str | None] = {}
        self.tick()  # The first evaluation only sets the cursor.

    def tick(self) -> None:
        for sensor in self._sensors:
            context = dg.build_sensor_context(
                instance=self._instance,
                cursor=self._cursors.get(sensor.name),
                resources={"settings": Settings()},
            )
            data = sensor.evaluate_tick(context)
            self._cursors[sensor.name] = data.cursor
            assert data.dagster_run_reactions is not None
            assert [reaction.error for reaction in data.dagster_run_reactions if reaction.error] == []


def test_a_failed_run_is_told_once_with_its_job_step_and_error(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    sensors = Sensors(receiver.url, instance)
    result = job_of("night", broken).execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    sensors.tick()
    sensors.tick()
    (body,) = receiver.bodies()
    assert body["kind"] == "run_failed"
    assert body["title"] == "The run of night failed in the step broken"
    assert body["detail"] == ("DataError: Line 3 has the userId `…`, which is wrong. Remedy: correct it.")
    assert body["run_id"] == result.run_id
    assert body["dagster_url"] == f"http://127.0.0.1:3000/runs/{result.run_id}"
    assert "17" not in body["text"]


def test_a_blocking_check_is_named(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    sensors = Sensors(receiver.url, instance)
    job = job_of("night", table, after)
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    sensors.tick()
    (body,) = receiver.bodies()
    assert body["kind"] == "run_failed"
    assert "Check table: keys failed. Two rows have one key." in body["detail"]


def test_a_refused_version_is_told_and_a_warning_is_not(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    sensors = Sensors(receiver.url, instance)
    job = job_of("night", judged)
    assert job.execute_in_process(instance=instance).success
    sensors.tick()
    assert receiver.bodies() == []
    assert job.execute_in_process(instance=instance, tags={"refuse": "1"}).success
    sensors.tick()
    sensors.tick()
    (body,) = receiver.bodies()
    assert body["kind"] == "check_failed"
    assert body["title"] == "The run of night ended with failed checks: judged: accepted"
    assert body["detail"] == "Check judged: accepted failed. Not met: latency."


def test_a_receiver_that_is_away_fails_no_sensor_and_no_secret_is_logged(
    instance: dg.DagsterInstance, nobody_there: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sensors = Sensors(nobody_there, instance)
    job_of("night", broken).execute_in_process(instance=instance, raise_on_error=False)
    sensors.tick()
    assert "The alert run_failed was not delivered to http://127.0.0.1:" in caplog.text
    assert SECRET not in caplog.text


def test_a_run_that_sends_its_own_alerts_is_left_alone_until_its_process_is_gone(
    instance: dg.DagsterInstance, paths: Paths, receiver: Receiver
) -> None:
    sensors = Sensors(receiver.url, instance)
    own = {ALERTED_BY_TAG: BY_PROCESS}
    job = job_of("night", broken)
    job.execute_in_process(instance=instance, raise_on_error=False, tags=own)
    sensors.tick()
    assert receiver.bodies() == []
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lost = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=own)
    instance.report_engine_event("Started process for run.", lost, EngineEventData.in_process(ended.pid))
    assert fail_lost_runs(instance, paths) == [lost.run_id]
    sensors.tick()
    (body,) = receiver.bodies()
    assert (body["run_id"], body["title"]) == (lost.run_id, "The run of night failed")
    assert f"The process of the run ({ended.pid}) is gone" in body["detail"]


def test_the_sensors_run_from_the_start_only_where_there_is_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"alert_run_failed", "alert_check_failed", "alert_stale"}

    def running() -> set[str]:
        sensors = build_defs().sensors or []
        return {
            sensor.name
            for sensor in sensors
            if isinstance(sensor, dg.SensorDefinition)
            and sensor.name in names
            and sensor.default_status == dg.DefaultSensorStatus.RUNNING
        }

    monkeypatch.delenv("MOVIERANK_ALERT_URL", raising=False)
    assert running() == set()
    monkeypatch.setenv("MOVIERANK_ALERT_URL", f"https://hooks.example/{SECRET}")
    assert running() == names
    monkeypatch.setenv("MOVIERANK_ALERT_URL", SECRET)
    with pytest.raises(ConfigError, match="MOVIERANK_ALERT_URL is not a web address"):
        build_defs()


@pytest.fixture
def data(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose second rating is cut."""
    folder = paths.root / "data"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n2,x,4.0,1\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n1,One (1999),Drama\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,1,11\n")
    monkeypatch.setenv("MOVIERANK_DATA_DIR", str(folder))
    return folder


def test_materialize_tells_of_its_failed_step_itself_and_stores_no_secret(
    data: Path, paths: Paths, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ALERT_URL", receiver.url)
    with pytest.raises(DataError):
        run(select="ratings")
    (body,) = receiver.bodies()
    assert (body["kind"], body["title"]) == ("run_failed", "The run of assets failed in the step movielens")
    assert body["detail"].startswith("DataError: Line 3 of ")
    with dagster_instance(paths) as instance:
        assert [run.tags[ALERTED_BY_TAG] for run in instance.get_runs()] == [BY_PROCESS]
    files = [path for path in paths.root.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_materialize_fails_as_without_a_receiver_if_it_is_away(
    data: Path, nobody_there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ALERT_URL", nobody_there)
    with pytest.raises(DataError, match="Line 3 of "):
        run(select="ratings")


def test_a_night_that_cannot_begin_is_told(
    instance: dg.DagsterInstance, paths: Paths, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ALERT_URL", receiver.url)
    monkeypatch.setenv("MOVIERANK_DATA_DIR", str(paths.root / "nowhere"))
    context = dg.build_schedule_context(
        instance=instance,
        repository_def=build_defs().get_repository_def(),
        resources={"settings": Settings.from_environment()},
    )
    with pytest.raises(DataError, match="There is no folder"):
        nightly(context)
    with pytest.raises(DataError, match="There is no folder"):
        run()
    by_schedule, by_program = receiver.bodies()
    assert by_schedule["kind"] == by_program["kind"] == "plan_failed"
    assert by_schedule["title"] == "The schedule nightly could not decide what to run, and ran nothing"
    assert by_program["title"] == "`movierank materialize` could not decide what to run, and ran nothing"
    assert by_schedule["detail"].startswith("DataError: There is no folder")


def feed(store: EventStore, event_id: str) -> None:
    store.append([FeedbackEvent(event_id=event_id, user_id=1, movie_id=1, event_type="like", timestamp=NOW)])


def publish(paths: Paths, through: str | None) -> None:
    publish_histories(
        pl.DataFrame(schema=INTERACTIONS),
        paths.histories,
        feedback_through=through,
        dataset="tiny",
        ratings_are_simulated=True,
    )


@pytest.fixture
def store(paths: Paths) -> Iterator[EventStore]:
    """An event store with one event that the published histories lack."""
    found = open_event_store(paths.events_url)
    publish(paths, str(found.watermark()))
    feed(found, "1")
    yield found
    found.close()


class Staleness:
    """Evaluations of the sensor, which keeps its cursor."""

    def __init__(self, receiver: Receiver, **limits: float) -> None:
        self._url, self._settings = receiver.url, Settings(**limits)
        self._cursor: str | None = None

    def look(self, after: timedelta) -> str:
        """What the sensor says at a time `after` now."""
        result = look_for_old_parts(self._cursor, self._url, self._settings, NOW + after)
        self._cursor = result.cursor
        assert result.skip_reason is not None
        return str(result.skip_reason.skip_message)


def test_each_old_part_is_told_once_when_it_begins_and_once_when_it_is_over(
    paths: Paths, store: EventStore, receiver: Receiver
) -> None:
    client = connect(paths)
    mlflow_run = client.create_run(experiment_id(client, paths))
    registry = Registry(client)
    registry.register(mlflow_run.info.artifact_uri, mlflow_run.info.run_id, {})
    registry.promote(1, by="test")
    staleness = Staleness(receiver, stale_feedback_hours=240)
    assert staleness.look(timedelta()) == "no change; open: none"
    assert staleness.look(timedelta(hours=50)) == "sent stale_histories; open: stale_histories"
    assert staleness.look(timedelta(hours=51)) == "no change; open: stale_histories"
    assert staleness.look(timedelta(days=8)) == "sent stale_model; open: stale_histories, stale_model"
    assert staleness.look(timedelta(days=11)) == (
        "sent stale_feedback; open: stale_histories, stale_model, stale_feedback"
    )
    assert staleness.look(timedelta(days=12)).startswith("no change")
    publish(paths, str(store.watermark()))
    assert staleness.look(timedelta(days=12)) == (
        "sent stale_histories_over; open: stale_model, stale_feedback"
    )
    assert staleness.look(timedelta()) == "sent stale_model_over, stale_feedback_over; open: none"
    assert staleness.look(timedelta()) == "no change; open: none"
    assert receiver.kinds() == [
        "stale_histories", "stale_model", "stale_feedback",
        "stale_histories_over", "stale_model_over", "stale_feedback_over",
    ]  # fmt: skip
    histories, model = receiver.bodies()[:2]
    assert histories["title"] == "The published histories are 50 hours old and lack newer events"
    assert model["title"] == "Version 1, which serves, was made 8.0 days ago"
    assert receiver.bodies()[3]["title"] == f"Over: {histories['title']}"


def test_an_alert_that_did_not_arrive_is_sent_at_the_next_look(
    paths: Paths, store: EventStore, receiver: Receiver
) -> None:
    staleness = Staleness(receiver)
    receiver.statuses[:] = [500, 500, 500]
    assert staleness.look(timedelta(hours=50)) == "no change; open: none"
    assert staleness.look(timedelta(hours=50)) == "sent stale_histories; open: stale_histories"


def test_a_part_that_cannot_be_looked_at_neither_begins_nor_ends(
    paths: Paths, store: EventStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    staleness = Staleness(receiver)
    staleness.look(timedelta(hours=50))
    (paths.root / "file").touch()
    monkeypatch.setenv("MOVIERANK_EVENTS_URL", f"sqlite:///{paths.root}/file/events.db")
    assert staleness.look(timedelta(hours=50)) == "no change; open: stale_histories"
    assert receiver.kinds() == ["stale_histories"]


def test_nothing_is_old_where_nothing_was_made_and_no_store_is_created(
    tmp_path: Path, clean_environment: None, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    assert Staleness(receiver).look(timedelta(days=900)) == "no change; open: none"
    assert list(tmp_path.iterdir()) == []


def test_the_staleness_sensor_keeps_its_open_alerts_in_its_cursor(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    (sensor,) = (sensor for sensor in alert_sensors(receiver.url) if sensor.name == "alert_stale")
    context = dg.build_sensor_context(instance=instance, resources={"settings": Settings()})
    assert sensor.evaluate_tick(context).cursor == "{}"
    (silent,) = (sensor for sensor in alert_sensors("") if sensor.name == "alert_stale")
    context = dg.build_sensor_context(instance=instance, resources={"settings": Settings()})
    assert silent.evaluate_tick(context).skip_message == "MOVIERANK_ALERT_URL is not set."
