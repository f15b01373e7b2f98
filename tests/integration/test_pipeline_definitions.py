"""The code location: what it offers, what it costs to import, and that Dagster itself can run it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.execution.api import create_execution_plan
from filelock import FileLock

from movierank_core.events.store import FeedbackEvent, open_event_store
from movierank_core.paths import Paths
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs import automation
from movierank_pipeline.defs.automation import PUBLISHED, SENSOR, enough_feedback, hourly
from movierank_pipeline.defs.lost_runs import fail_lost_runs
from movierank_pipeline.defs.one_run import BusyError
from movierank_pipeline.materialize import dagster_instance, prepare_dagster_home
from movierank_pipeline.settings import Settings
from tests.support.tiny_pipeline import environment, make_tiny_root, run
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for

GROUPS = {
    "raw": {"ratings", "movies", "links", "feedback"},
    "enrichment": {"tmdb_movies", "catalogue"},
    "features": {"interactions", "movie_features"},
    "retrieval": {"retrievers"},
    "training": {"ranking_requests", "training_set"},
    "model": {"ranker", "evaluation", "model_version", "promotion"},
    "serving": {"histories", "recommendations"},
}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_assets_are_in_their_groups_with_descriptions_and_kinds() -> None:
    specs = build_defs().resolve_all_asset_specs()
    found: dict[str, set[str]] = {}
    for spec in specs:
        found.setdefault(str(spec.group_name), set()).add(spec.key.to_user_string())
    assert found == GROUPS
    assert [spec.key for spec in specs if not spec.description or not spec.kinds] == []
    assert {spec.code_version for spec in specs} != {None}
    assert [spec.key for spec in specs if spec.owners] == []


def test_every_asset_is_read_by_another_one_or_is_an_output() -> None:
    graph = build_defs().resolve_asset_graph()
    unread = {key.to_user_string() for key in graph.get_all_asset_keys() if not graph.get(key).child_keys}
    assert unread == {"histories", "recommendations"}


def test_movie_states_are_read_wherever_a_state_is_fitted() -> None:
    graph = build_defs().resolve_asset_graph()
    readers = {key.to_user_string() for key in graph.get(dg.AssetKey("movie_features")).child_keys}
    assert readers == {"retrievers", "training_set", "evaluation"}


def test_the_job_takes_everything_and_the_automations_are_off() -> None:
    definitions = build_defs()
    graph = definitions.resolve_asset_graph()
    selected = definitions.resolve_job_def("retrain").asset_layer.selected_asset_keys
    assert selected == graph.get_all_asset_keys()
    published = definitions.resolve_job_def("publish").asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in published} == {"feedback", "interactions", "histories"}
    for name, job, cron in (("nightly", "retrain", "0 3 * * *"), ("hourly", "publish", "30 * * * *")):
        schedule = definitions.resolve_schedule_def(name)
        assert (schedule.job_name, schedule.cron_schedule) == (job, cron)
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert definitions.resolve_sensor_def("enough_feedback").default_status == dg.DefaultSensorStatus.STOPPED


@pytest.mark.parametrize("name", ["retrain", None], ids=["retrain", "every asset"])
def test_one_step_at_a_time_holds_a_state_or_training_rows(name: str | None) -> None:
    definitions = build_defs()
    job = (
        definitions.resolve_implicit_global_asset_job_def()
        if name is None
        else definitions.resolve_job_def(name)
    )
    config = job.executor_def.apply_config_mapping({"config": {}}).value["config"]
    assert config["multiprocess"]["tag_concurrency_limits"] == [
        {"key": "movierank/heavy", "value": "yes", "limit": 1}
    ]
    steps = create_execution_plan(job).get_all_steps_in_topo_order()
    heavy = {step.key for step in steps if step.tags.get("movierank/heavy") == "yes"}
    assert heavy == {
        *("retrievers", "training_set", "ranker", "training_row_checks", "evaluation"),
        *("promotion", "recommendations"),
    }


def test_cleaning_up_after_a_training_is_on() -> None:
    sensor = build_defs().resolve_sensor_def("after_training")
    assert (sensor.job_name, sensor.default_status) == ("clean_up", dg.DefaultSensorStatus.RUNNING)


def test_checks_that_make_a_model_untrustworthy_block() -> None:
    graph = build_defs().resolve_asset_graph()
    specs = {
        f"{key.asset_key.to_user_string()}: {key.name}": graph.get_check_spec(key)
        for key in graph.asset_check_keys
    }
    assert {name for name, spec in specs.items() if spec.blocking} == {
        *("ratings: schema", "ratings: unique_keys", "ratings: rating_range", "catalogue: unique_keys"),
        *("ranker: no_future", "ranker: same_as_serving", "evaluation: better_than_popularity"),
    }
    assert "promotion: accepted" in specs
    assert all(spec.description for spec in specs.values())


@pytest.mark.parametrize("name", sorted(set().union(*GROUPS.values())))
def test_every_asset_can_be_made_alone(name: str) -> None:
    definitions = build_defs()
    wanted = definitions.resolve_asset_graph().get(dg.AssetKey(name)).execution_set_asset_keys
    job = definitions.resolve_implicit_global_asset_job_def()
    alone = job.get_subset(asset_selection=wanted)
    assert alone.asset_layer.selected_asset_keys == wanted


def test_importing_the_code_location_does_no_work(root: Path) -> None:
    code = (
        "import sys, movierank_pipeline.definitions\n"
        "heavy = {'mlflow', 'lightgbm', 'matplotlib', 'implicit', 'litestar', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert done.stdout == "[]\n"
    assert list(root.iterdir()) == []


def test_nothing_is_published_by_the_hour_before_the_first_run(root: Path) -> None:
    make_tiny_root(root)
    definitions = build_defs()
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(
            instance=instance,
            repository_def=definitions.get_repository_def(),
            resources={"settings": Settings.from_environment()},
        )
        skipped = hourly(context)
        assert isinstance(skipped, dg.SkipReason)
        assert skipped.skip_message == "Nothing was published yet. Run the job `retrain` first."
        paths = Paths.from_environment()
        paths.histories.mkdir(parents=True)
        (paths.histories / "CURRENT").write_text("x")
        requested = hourly(context)
        assert isinstance(requested, dg.RunRequest)
        assert requested.asset_selection is not None
        assert {key.to_user_string() for key in requested.asset_selection} == set(PUBLISHED)


def sensed(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"settings": Settings.from_environment(given={"feedback_threshold": 2})},
    )
    result = enough_feedback(context)
    assert isinstance(result, dg.SensorResult)
    return result


def skip(result: dg.SensorResult) -> str | None:
    return None if result.skip_reason is None else result.skip_reason.skip_message


def test_the_sensor_asks_for_a_retraining_once_there_is_enough_new_feedback(root: Path) -> None:
    store = open_event_store(Paths.from_environment().events_url)

    def feed(number: int) -> None:
        event = FeedbackEvent(
            event_id=str(number),
            user_id=1,
            movie_id=1,
            event_type="like",
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        )
        store.append([event])

    feed(0)
    with dagster_instance(Paths.from_environment()) as instance:
        first = sensed(instance, None)
        assert skip(first) == "counting from here"
        feed(1)
        waiting = sensed(instance, first.cursor)
        assert skip(waiting) == "1 of 2 new events"
        assert waiting.cursor is None
        feed(2)
        enough = sensed(instance, first.cursor)
        assert [request.run_key for request in enough.run_requests or []] == [enough.cursor]
        assert skip(sensed(instance, enough.cursor)) == "0 of 2 new events"
    store.close()


def test_the_sensor_asks_again_where_its_run_failed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_event_store(Paths.from_environment().events_url).close()
    with dagster_instance(Paths.from_environment()) as instance:
        cursor = sensed(instance, None).cursor
        failed = instance.create_run_for_job(
            retrain_job(), status=dg.DagsterRunStatus.STARTED, tags={"dagster/sensor_name": SENSOR}
        )
        instance.report_run_failed(failed)
        assert skip(sensed(instance, cursor)) == "0 of 2 new events"  # Not at once.
        monkeypatch.setattr(automation, "RETRY_SECONDS", 0)
        (again,) = sensed(instance, cursor).run_requests or []
        assert again.run_key is not None
        assert again.run_key.endswith(failed.run_id)


def test_telemetry_and_the_greeting_are_off_where_we_make_the_dagster_home(root: Path) -> None:
    home = prepare_dagster_home(Paths.from_environment())
    assert home == root / ".movierank" / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_the_dagster_home_lets_one_run_through_at_a_time(root: Path) -> None:
    home = prepare_dagster_home(Paths.from_environment())
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
        assert instance.run_monitoring_enabled


def test_a_dagster_home_of_an_older_version_is_renewed_and_a_changed_one_stays(root: Path) -> None:
    home = prepare_dagster_home(Paths.from_environment())
    current = (home / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    prepare_dagster_home(Paths.from_environment())
    assert (home / "dagster.yaml").read_text() == current
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: true\n")
    prepare_dagster_home(Paths.from_environment())
    assert (home / "dagster.yaml").read_text() == "telemetry:\n  enabled: true\n"


def started_run(instance: dg.DagsterInstance, pid: int) -> str:
    """A run that Dagster has noted as started in a process."""
    run = instance.create_run_for_job(
        build_defs().resolve_job_def("retrain"), status=dg.DagsterRunStatus.STARTED
    )
    instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))
    return run.run_id


def test_a_run_whose_process_is_gone_is_marked_as_failed(root: Path) -> None:
    paths = Paths.from_environment()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    alive = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)  # dagster"])
    try:
        with dagster_instance(paths) as instance:
            lost, running = started_run(instance, ended.pid), started_run(instance, alive.pid)
            assert fail_lost_runs(instance, paths) == [lost]
            by_id = {run.run_id: run.status for run in instance.get_runs()}
            assert by_id == {lost: dg.DagsterRunStatus.FAILURE, running: dg.DagsterRunStatus.STARTED}
            assert fail_lost_runs(instance, paths) == []
    finally:
        alive.kill()
        alive.wait()


def test_two_runs_at_once_are_refused(root: Path) -> None:
    paths = Paths.from_environment()
    with FileLock(paths.home / "run.lock"), pytest.raises(BusyError, match="one run at a time"):
        run()


def test_a_dagster_home_of_the_caller_is_left_as_it_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "theirs"))
    assert prepare_dagster_home(Paths.from_environment()) == tmp_path / "theirs"
    assert not (tmp_path / "theirs").exists()


def retrain_job() -> dg.JobDefinition:
    """For the multiprocess executor, which makes the job again in every process."""
    return build_defs().resolve_job_def("retrain")


A_FEW = ["ratings", "movies", "links"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("assets", "n_processes", "n_checks"),
    [(A_FEW, 2, 3), pytest.param(None, 11, 11, marks=pytest.mark.heavy)],
    ids=["few", "all"],
)
def test_the_default_executor_of_the_ui_runs_the_job_in_several_processes(
    root: Path, assets: list[str] | None, n_processes: int, n_checks: int
) -> None:
    make_tiny_root(root)
    with dagster_instance(Paths.from_environment()) as instance:
        result = dg.execute_job(
            dg.reconstructable(retrain_job),
            instance=instance,
            raise_on_error=True,
            asset_selection=assets and [dg.AssetKey(name) for name in assets],
        )
        with result:
            assert result.success
            process_ids = {entry.pid for entry in result.all_events if entry.is_step_start}
            assert len(process_ids) >= n_processes
            evaluations = result.get_asset_check_evaluations()
    assert [entry.check_name for entry in evaluations if not entry.passed] == []
    assert len(evaluations) == n_checks


QUERY = """{ repositoriesOrError { ... on RepositoryConnection {
    nodes { location { name } assetNodes { id } } } } }"""


@pytest.mark.slow
def test_dagster_dev_comes_up_with_the_workspace(root: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(ROOT / "dagster_workspace.yaml", root)
    command = [sys.executable, "-m", "movierank_cli", "dagster", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=dict(os.environ), stdout=log, stderr=log, start_new_session=True
        )
        try:
            nodes = wait_for(lambda: repositories(port), "repositories in the Dagster UI", process=server)
        finally:
            os.killpg(server.pid, 2)
            exit_code(server)
    assert [node["location"]["name"] for node in nodes] == ["movierank"]
    assert len(nodes[0]["assetNodes"]) == sum(len(names) for names in GROUPS.values())


def repositories(port: int) -> list[dict]:
    """The repositories; none until the code location has been loaded."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": QUERY}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            nodes: list[dict] = json.load(response)["data"]["repositoriesOrError"].get("nodes", [])
        return nodes
    except OSError:
        return []
