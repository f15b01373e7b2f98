"""`movierank gc` and the end of the night on real stores: what goes, what stays, and what a kill leaves."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from movierank_cli.garbage import gc
from movierank_core.bundle import read_bundle
from movierank_core.mlflow_store import MODEL_NAME, PREVIOUS, PRODUCTION, follow_move
from movierank_core.paths import Paths
from movierank_pipeline.artifacts import VersionFacts
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs.clean_up import after_training
from movierank_pipeline.defs.one_run import BusyError
from movierank_pipeline.defs.provenance import plan
from movierank_pipeline.defs.run_history import find_old_runs
from movierank_pipeline.materialize import dagster_instance
from movierank_pipeline.release.log_run import FINGERPRINT_TAG, Release, log_release, version_bundle
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.retention.garbage import size_of
from movierank_pipeline.retention.trainings import TrainingStore, find_old_trainings
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.trained_ranker import Trial
from tests.support.stores import paths_with_store

TRIALS = [Trial(parameters={"learning_rate": 0.1}, ndcg=0.1, seconds=1.0)]


@pytest.fixture(scope="module")
def six_versions(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with six versions: 2 is in production, 1 is the way back, 3 has an alias of somebody's own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        paths = paths_with_store(tmp_path_factory.mktemp("six"))
        client = connect(paths)
        for number in range(1, 7):
            log_release(client, paths, replace(release, trials=TRIALS, dagster_run_id=f"dagster-{number}"))
        registry = Registry(client)
        registry.promote(1, by="gate")
        registry.promote(2, by="gate")
        client.set_registered_model_alias(MODEL_NAME, "frozen", "3")
        return paths.root


@pytest.fixture
def full(six_versions: Path, paths: Paths) -> Paths:
    """A copy of this root, in the environment."""
    shutil.rmtree(paths.root)
    shutil.copytree(six_versions, paths.root)
    follow_move(paths)
    return paths


def movierank_gc(*arguments: str) -> Result:
    return CliRunner().invoke(gc, arguments)


def numbers(paths: Paths) -> list[int]:
    return sorted(version.number for version in Registry(connect(paths)).versions())


def artifact_folders(paths: Paths) -> set[str]:
    """The folders of runs and of logged models."""
    folders = [path for path in paths.artifacts.iterdir() if path.name != "models"]
    return {path.name for path in [*folders, *(paths.artifacts / "models").iterdir()]}


def rows(paths: Paths) -> dict[str, int]:
    """Rows of the tables that grow with every training."""
    tables = ("runs", "logged_models", "metrics", "params", "tags")
    with closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def require_all_load(paths: Paths) -> None:
    """Every registered version has its files, which are the whole and right ones."""
    for number in numbers(paths):
        with version_bundle(paths, number) as bundle:
            read_bundle(bundle)


def test_old_versions_go_with_their_runs_models_and_trials_and_the_others_load(full: Paths) -> None:
    before, rows_before = size_of(full.artifacts), rows(full)
    done = movierank_gc("--keep", "2")
    assert done.exit_code == 0, done.output
    assert numbers(full) == [1, 2, 3, 5, 6]
    assert rows(full)["runs"] == rows_before["runs"] - 2  # With its one trial.
    assert rows(full)["logged_models"] == rows_before["logged_models"] - 1
    require_all_load(full)
    client = connect(full)
    kept = [Registry(client).get(number).run_id for number in (1, 2, 3, 5, 6)]
    folders = artifact_folders(full)
    assert {name for name in folders if not name.startswith("m-")} == set(kept)
    assert len(folders) == 10
    freed = before - size_of(full.artifacts)
    assert freed > before / 10
    (line, total) = done.output.splitlines()
    assert line.startswith("deleted version 4 and its run ")
    assert line.endswith(f", {freed / 1e6:.1f} MB")
    assert total == f"Together {freed / 1e6:.1f} MB."


@pytest.mark.parametrize("n_nights", [3, pytest.param(6, marks=pytest.mark.heavy)])
def test_the_disk_is_bounded_however_many_nights_there_are(
    paths: Paths, release: Release, n_nights: int
) -> None:
    client = connect(paths)
    used = []
    for _ in range(n_nights):
        number = log_release(client, paths, replace(release, trials=TRIALS)).number
        Registry(client).promote(number, by="gate")
        assert movierank_gc("--keep", "1").exit_code == 0
        used.append((size_of(paths.artifacts), len(artifact_folders(paths)), rows(paths)))
    # Production and the way back: two of each.
    assert numbers(paths) == [n_nights - 1, n_nights]
    assert used[1][1] == used[-1][1] == 4
    assert used[1][2] == used[-1][2]
    assert used[-1][0] == pytest.approx(used[1][0], rel=0.01)
    require_all_load(paths)


def test_a_dry_run_deletes_nothing_and_says_the_same(full: Paths) -> None:
    (full.home / ".bundle-x").mkdir(parents=True)
    folders, counts = artifact_folders(full), rows(full)
    dry = movierank_gc("--keep", "2", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert (artifact_folders(full), rows(full), numbers(full)) == (folders, counts, [1, 2, 3, 4, 5, 6])
    assert (full.home / ".bundle-x").is_dir()
    assert movierank_gc("--keep", "2").output == dry.output.replace("would delete", "deleted")
    assert not (full.home / ".bundle-x").exists()


def test_a_second_time_finds_nothing(full: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_KEEP_VERSIONS", "1")
    assert movierank_gc().exit_code == 0
    assert numbers(full) == [1, 2, 3, 6]
    assert movierank_gc().output == "There is nothing to delete.\n"
    assert movierank_gc("--keep", "0").exit_code == 2


class Killed(BaseException):
    """Stands for the end of the process."""


def _kill_after_the_version(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TrainingStore, "delete_training", _killed)


def _kill_among_the_files(patch: pytest.MonkeyPatch) -> None:
    def delete_one(folder: str) -> None:
        next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
        raise Killed

    patch.setattr("mlflow.store.artifact.local_artifact_repo.shutil.rmtree", delete_one)


def _kill_before_the_record_of_the(method: str) -> Callable[[pytest.MonkeyPatch], None]:
    def prepare(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(
            f"mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore._hard_delete_{method}", _killed
        )

    return prepare


def _killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(_kill_after_the_version, id="version"),
        pytest.param(_kill_among_the_files, id="files"),
        pytest.param(_kill_before_the_record_of_the("logged_model"), id="model", marks=pytest.mark.heavy),
        pytest.param(_kill_before_the_record_of_the("run"), id="run", marks=pytest.mark.heavy),
    ],
)
def test_a_kill_leaves_whole_versions_and_the_next_time_finishes(
    full: Paths, kill: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill(patch)
        with pytest.raises(Killed):
            CliRunner().invoke(gc, ["--keep", "2"], standalone_mode=False)
    require_all_load(full)
    assert numbers(full) == [1, 2, 3, 5, 6]
    again = movierank_gc("--keep", "2")
    assert again.exit_code == 0, again.output
    assert again.output.startswith("deleted run ")
    require_all_load(full)
    assert len(artifact_folders(full)) == 10
    assert (rows(full)["runs"], rows(full)["logged_models"]) == (10, 5)
    assert movierank_gc("--keep", "2").output == "There is nothing to delete.\n"


def test_a_version_that_gets_an_alias_meanwhile_stays_whole(full: Paths) -> None:
    client = connect(full)
    (item,) = find_old_trainings(client, full, 2)
    client.set_registered_model_alias(MODEL_NAME, "challenger", "4")
    assert not item.delete()
    assert numbers(full) == [1, 2, 3, 4, 5, 6]
    require_all_load(full)


def test_the_version_that_a_rollback_returns_to_stays_without_an_alias(full: Paths) -> None:
    client = connect(full)
    registry = Registry(client)
    registry.promote(4, by="a person")
    client.set_registered_model_alias(MODEL_NAME, PRODUCTION, "6")  # By hand: version 4 loses its alias.
    client.delete_registered_model_alias(MODEL_NAME, PREVIOUS)
    assert movierank_gc("--keep", "1").exit_code == 0
    assert numbers(full) == [3, 4, 6]
    assert registry.rollback(by="a person").number == 4


def test_the_version_of_the_stored_asset_stays(full: Paths) -> None:
    run_id = Registry(connect(full)).get(4).run_id
    VersionFacts(number=4, run_id=run_id).save(full.assets / "model_version")
    assert movierank_gc("--keep", "1").exit_code == 0
    assert numbers(full) == [1, 2, 3, 4, 6]


def test_a_run_that_another_registered_model_names_stays(full: Paths) -> None:
    client = connect(full)
    run_id = Registry(client).get(4).run_id
    model = next(
        model
        for model in client.search_logged_models([experiment_id(client, full)])
        if model.source_run_id == run_id
    )
    client.create_registered_model("another")
    client.create_model_version("another", f"models:/{model.model_id}", model_id=model.model_id)
    assert movierank_gc("--keep", "2").exit_code == 0
    assert numbers(full) == [1, 2, 3, 5, 6]
    assert (full.artifacts / "models" / model.model_id).is_dir()
    assert client.get_run(run_id).info.run_id == run_id


def test_failed_and_killed_trainings_go_and_runs_of_people_stay(paths: Paths) -> None:
    client = connect(paths)
    experiment = experiment_id(client, paths)

    def training(status: str | None, **tags: str) -> str:
        run = client.create_run(experiment, tags=tags)
        client.log_text(run.info.run_id, "x" * 1000, "evaluation/evaluation.json")
        if status is not None:
            client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    ours = {FINGERPRINT_TAG: "f"}
    of_a_person = training("FINISHED")
    failed, killed = training("FAILED", **ours), training(None, **ours)
    deleted = training("FAILED", **ours)
    client.delete_run(deleted)
    newest = training("FAILED", **ours)
    done = movierank_gc("--keep", "1")
    assert done.output == (
        "".join(f"deleted run {run}, which has no version, 0.0 MB\n" for run in (failed, killed, deleted))
        + "Together 0.0 MB.\n"
    )
    assert artifact_folders_of_runs(paths) == {of_a_person, newest}
    assert rows(paths)["runs"] == 2


def artifact_folders_of_runs(paths: Paths) -> set[str]:
    return {path.name for path in paths.artifacts.iterdir()}


def test_nothing_is_deleted_while_a_training_is_in_progress(full: Paths) -> None:
    with FileLock(full.home / "run.lock"):
        refused = movierank_gc("--keep", "1")
    assert isinstance(refused.exception, BusyError)
    assert numbers(full) == [1, 2, 3, 4, 5, 6]


@pytest.mark.heavy
def test_another_store_than_ours_is_asked_by_its_api(
    release: Release, tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(paths.mlruns / "mlflow.db", tmp_path / "theirs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'theirs.db'}")
    client = connect(paths)
    for _ in range(3):
        log_release(client, paths, replace(release, trials=TRIALS))
    old = Registry(client).get(1)
    failed = client.create_run(experiment_id(client, paths), tags={FINGERPRINT_TAG: "f"}, start_time=1)
    running = client.create_run(experiment_id(client, paths), tags={FINGERPRINT_TAG: "f"}, start_time=2)
    client.set_terminated(failed.info.run_id, "FAILED")
    done = movierank_gc("--keep", "2")
    assert done.exit_code == 0, done.output
    assert numbers(paths) == [2, 3]
    stages = [client.get_run(run).info.lifecycle_stage for run in (old.run_id, failed.info.run_id)]
    assert stages == ["deleted", "deleted"]
    # Another host may be training.
    assert client.get_run(running.info.run_id).info.lifecycle_stage == "active"
    assert done.output.endswith(
        "On the MLflow server, runs and models are only marked as deleted. Their artifacts stay until"
        " `mlflow gc` runs there.\n"
    )
    require_all_load(paths)
    assert movierank_gc("--keep", "2").output == "There is nothing to delete.\n"


def ended_run(instance: dg.DagsterInstance, job: str, tags: dict[str, str] | None = None) -> str:
    """A run of Dagster that failed, with events and captured output."""
    definition = build_defs().resolve_job_def(job)
    run = instance.create_run_for_job(definition, status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.report_engine_event("something happened", run)
    instance.report_run_failed(run)
    output = Path(instance.storage_directory(), run.run_id, "compute_logs")
    output.mkdir(parents=True)
    (output / "a.out").write_text("x")
    return run.run_id


def files_of(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    return list(Path(instance.root_directory).rglob(f"*{run_id}*"))


def test_old_dagster_runs_go_with_events_and_output(paths: Paths) -> None:
    with dagster_instance(paths, with_logs=True) as instance:
        runs = {job: [ended_run(instance, job) for _ in range(3)] for job in ("retrain", "publish")}
        assert all(files_of(instance, run_id) for run_id in runs["retrain"])
        found = find_old_runs(instance, paths, 1, linked={runs["publish"][0]})
        assert len(found) == 3
        assert all(item.n_bytes > 0 for item in found)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(instance.run_storage, "delete_run", _killed)
            with pytest.raises(Killed):
                found[0].delete()
        again = find_old_runs(instance, paths, 1, linked={runs["publish"][0]})
        assert [item.what for item in again] == [item.what for item in found]
        assert all(item.delete() for item in [*again, *again])
        staying = {runs["retrain"][2], runs["publish"][0], runs["publish"][2]}
        assert {run.run_id for run in instance.get_runs()} == staying
        for run_id in {*runs["retrain"], *runs["publish"]} - staying:
            assert files_of(instance, run_id) == []
        assert all(instance.all_logs(run_id) for run_id in staying)


def test_the_history_of_a_foreign_dagster_home_is_left_alone(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "theirs"))
    with dagster_instance(paths, with_logs=True) as instance:
        for _ in range(2):
            ended_run(instance, "retrain")
        assert find_old_runs(instance, paths, 1) == []


def test_assets_stay_fresh_after_many_later_runs(root: Path) -> None:
    paths = Paths.from_environment()
    with dagster_instance(paths) as instance:
        (made,) = instance.get_runs()
        for _ in range(2):
            ended_run(instance, "retrain")
            instance.create_run_for_job(
                build_defs().resolve_implicit_global_asset_job_def(), status=dg.DagsterRunStatus.SUCCESS
            )
    done = movierank_gc("--keep", "1")
    assert done.exit_code == 0, done.output
    assert done.output.count("deleted Dagster run") == 2
    with dagster_instance(paths) as instance:
        assert made.run_id in {run.run_id for run in instance.get_runs()}
        graph = build_defs().resolve_asset_graph()
        assert plan(graph, Settings.from_environment(), paths, instance).stale == []


@pytest.fixture
def instance(full: Paths) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(full, with_logs=True) as instance:
        yield instance


def night(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    settings = Settings.from_environment(given={"keep_versions": 2})
    job = build_defs({"settings": settings}).resolve_job_def("clean_up")
    return job.execute_in_process(instance=instance)


def test_the_night_ends_with_the_same_deletion(full: Paths, instance: dg.DagsterInstance) -> None:
    assert night(instance).success
    assert numbers(full) == [1, 2, 3, 5, 6]
    require_all_load(full)
    for _ in range(4):
        assert night(instance).success
    n_runs = len(instance.get_runs(dg.RunsFilter(job_name="clean_up")))
    assert n_runs == 3  # Two that ended before the last one.


def test_the_night_waits_for_a_command_by_leaving_everything(
    full: Paths, instance: dg.DagsterInstance
) -> None:
    with FileLock(full.home / "run.lock"):
        assert night(instance).success
    assert numbers(full) == [1, 2, 3, 4, 5, 6]


def test_the_sensor_asks_after_each_training_however_it_ended(instance: dg.DagsterInstance) -> None:
    def sensed(cursor: str | None) -> dg.SensorResult:
        result = after_training(dg.build_sensor_context(instance=instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        return result

    assert sensed(None).run_requests == []
    failed = ended_run(instance, "retrain")
    ended_run(instance, "publish")
    first = sensed(None)
    assert [request.run_key for request in first.run_requests or []] == [failed]
    assert sensed(first.cursor).run_requests == []
    instance.create_run_for_job(build_defs().resolve_job_def("retrain"), status=dg.DagsterRunStatus.STARTED)
    assert sensed(first.cursor).run_requests == []
    succeeded = instance.create_run_for_job(
        build_defs().resolve_job_def("retrain"), status=dg.DagsterRunStatus.SUCCESS
    )
    assert [request.run_key for request in sensed(first.cursor).run_requests or []] == [succeeded.run_id]
