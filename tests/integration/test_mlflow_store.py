import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from movierank_core.mlflow_store import EXPERIMENT_NAME, follow_move, is_embedded, tracking_uri
from movierank_core.paths import Paths
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from tests.support.waiting import PATIENCE_SECONDS

CODE = """
import mlflow
from pathlib import Path

class Reader(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.text = Path(context.artifacts["bundle"], "fact.txt").read_text()

    def predict(self, context, model_input, params=None):
        return [self.text for _ in range(len(model_input))]

mlflow.models.set_model(Reader())
"""


def register_reader(paths: Paths, folder: Path, fact: str) -> None:
    """A version whose prediction is `fact`, read from an artifact."""
    import mlflow

    client = connect(paths)
    (folder / "bundle").mkdir(parents=True)
    (folder / "bundle" / "fact.txt").write_text(fact)
    (folder / "reader.py").write_text(CODE)
    with mlflow.start_run(experiment_id=experiment_id(client, paths)) as run:
        client.log_text(run.info.run_id, "a note", "note.txt")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(folder / "reader.py"),
            artifacts={"bundle": str(folder / "bundle")},
            pip_requirements=[],
        )
    Registry(client).register(info.model_uri, run.info.run_id, {})
    shutil.rmtree(folder)


READ = """
import mlflow, pandas
from movierank_core.paths import Paths
from movierank_pipeline.release.registry import Registry
from movierank_pipeline.release.mlflow_client import connect

version = Registry(connect(Paths.from_environment())).versions()[0]
model = mlflow.pyfunc.load_model(f"models:/movie-ranker/{version.number}")
print(model.predict(pandas.DataFrame({"a": [1]}))[0])
print(mlflow.artifacts.load_text(f"runs:/{version.run_id}/note.txt"))
"""


def read_facts(paths: Paths) -> list[str]:
    """What the registered version predicts, and the note of its run, as a new process sees them.

    MLflow remembers in a process where a run's artifacts are, so a move under its feet goes unnoticed.
    """
    environment = {**os.environ, "MOVIERANK_ROOT": str(paths.root)}
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def stored_paths(paths: Paths) -> str:
    with closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as connection:
        return "\n".join(line for line in connection.iterdump() if line.startswith("INSERT"))


def test_the_environment_wins_over_the_embedded_store(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(paths) == f"sqlite:///{paths.root}/mlruns/mlflow.db"
    assert is_embedded(paths)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri(paths) == "http://mlflow:5000"
    assert not is_embedded(paths)


def test_the_experiment_is_made_once_with_absolute_artifacts(paths: Paths) -> None:
    client = connect(paths)
    assert experiment_id(client, paths) == experiment_id(client, paths)
    location = client.get_experiment_by_name(EXPERIMENT_NAME).artifact_location
    assert location == str(paths.root / "mlruns" / "artifacts")


def test_a_missing_store_is_made_on_first_use(tmp_path: Path, clean_environment: None) -> None:
    paths = Paths(root=tmp_path / "with space", home=tmp_path / "home")
    experiment_id(connect(paths), paths)
    assert (tmp_path / "with space" / "mlruns" / "mlflow.db").is_file()
    assert paths.artifacts.is_dir()


def test_models_and_runs_load_after_the_checkout_has_moved(paths: Paths, tmp_path: Path) -> None:
    register_reader(paths, tmp_path / "source", "Fight Club")
    moved = Paths(root=tmp_path / "moved to" / "new", home=tmp_path / "home")
    moved.root.parent.mkdir()
    paths.root.rename(moved.root)
    assert read_facts(moved) == ["Fight Club", "a note"]
    assert f"{paths.root}/" not in stored_paths(moved)


def test_a_copied_checkout_reads_its_own_artifacts_and_leaves_the_original_alone(
    paths: Paths, tmp_path: Path
) -> None:
    register_reader(paths, tmp_path / "source", "Alien")
    before = stored_paths(paths)
    copy = Paths(root=tmp_path / "copy", home=tmp_path / "home")
    shutil.copytree(paths.root, copy.root)
    assert follow_move(copy) > 0
    assert follow_move(copy) == 0
    assert stored_paths(paths) == before
    shutil.rmtree(paths.root)
    assert read_facts(copy) == ["Alien", "a note"]


def test_files_of_a_run_land_in_the_store_that_the_process_works_on(paths: Paths, tmp_path: Path) -> None:
    client = connect(paths)
    run_id = client.create_run(experiment_id(client, paths)).info.run_id
    client.log_text(run_id, "here", "original.txt")
    copy = Paths(root=tmp_path / "copy", home=tmp_path / "home")
    shutil.copytree(paths.root, copy.root)
    connect(copy).log_text(run_id, "there", "copy.txt")
    connect(paths).log_text(run_id, "here again", "again.txt")
    assert {path.name for path in paths.artifacts.rglob("*.txt")} == {"original.txt", "again.txt"}
    assert {path.name for path in copy.artifacts.rglob("*.txt")} == {"original.txt", "copy.txt"}


def test_a_place_that_merely_begins_like_the_old_one_is_not_rewritten(paths: Paths, tmp_path: Path) -> None:
    client = connect(paths)
    other = f"{paths.artifacts}-of-someone-else"
    client.create_experiment("other", artifact_location=other)
    moved = Paths(root=tmp_path / "moved", home=tmp_path / "home")
    paths.root.rename(moved.root)
    assert connect(moved).get_experiment_by_name("other").artifact_location == other


def test_another_server_is_never_rewritten(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = '/elsewhere/mlruns/artifacts'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{paths.root}/mlruns/../mlruns/mlflow.db")
    client = connect(paths)
    assert client.get_experiment_by_name(EXPERIMENT_NAME).artifact_location == "/elsewhere/mlruns/artifacts"
