"""A version goes into an MLflow server over HTTP, and comes back out of it."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from movierank_cli.garbage import gc
from movierank_core.bundle import read_bundle
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release, log_release, version_bundle
from movierank_pipeline.release.mlflow_client import StoreError, connect
from movierank_pipeline.release.registry import LONGEST_DESCRIPTION, Registry
from tests.support.postgres import postgres_database
from tests.support.waiting import exit_code, wait_for


@contextmanager
def mlflow_server(folder: Path, backend: str) -> Iterator[str]:
    """The URL of a server with one worker, its artifacts served by itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts")]
    names = ("MOVIERANK_", "MLFLOW_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    variables |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *store], cwd=folder, env=variables, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=60) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_for(is_up, "the MLflow server is up", process=process)
        yield url
    finally:
        process.terminate()
        exit_code(process)


@pytest.mark.heavy
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_version_goes_through_a_server_and_is_served_from_it(
    database: str, release: Release, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        backend = f"sqlite:///{tmp_path / 'server.db'}"
        if database == "postgresql":
            backend = stack.enter_context(postgres_database()).replace("postgresql:", "postgresql+psycopg:")
        url = stack.enter_context(mlflow_server(tmp_path, backend))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        paths = Paths(root=tmp_path / "root", home=tmp_path / "home")
        client = connect(paths)
        version = log_release(client, paths, release)
        assert version.is_ready
        assert client.get_run(version.run_id).info.status == "FINISHED"
        description = client.get_model_version("movie-ranker", str(version.number)).description
        assert description.startswith("# movie-ranker")
        assert len(description) <= LONGEST_DESCRIPTION
        registry = Registry(client)
        registry.promote(version.number, by="a person")
        second = log_release(client, paths, release)
        registry.promote(second.number, by="a person")
        assert registry.rollback(by="a person").number == version.number
        production = registry.by_alias(PRODUCTION)
        assert production is not None
        with version_bundle(paths, production.number) as bundle:
            assert read_bundle(bundle).manifest.data_hash == release.manifest.data_hash


def test_a_server_that_is_away_is_an_error_before_any_training(
    tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:secret@127.0.0.1:{port}")
    with pytest.raises(StoreError) as raised:
        connect(Paths(root=tmp_path, home=tmp_path / "home"))
    assert str(raised.value).startswith(
        f"The MLflow store http://somebody:***@127.0.0.1:{port} cannot be used:"
    )
    assert "secret" not in str(raised.value)
    assert str(raised.value).endswith(
        "Expected: a reachable MLflow server or database in MLFLOW_TRACKING_URI."
        " Remedy: start it, or unset MLFLOW_TRACKING_URI for the embedded store."
    )


@pytest.mark.heavy
def test_old_versions_of_a_server_go_by_its_api_and_mlflow_gc_deletes_their_artifacts(
    release: Release, tmp_path: Path, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = f"sqlite:///{tmp_path / 'server.db'}"
    with mlflow_server(tmp_path, backend) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path / "root"))
        paths = Paths.from_environment()
        client = connect(paths)
        old, newest = (log_release(client, paths, release) for _ in range(2))
        done = CliRunner().invoke(gc, ["--keep", "1"])
        assert done.output.startswith(f"deleted version {old.number} and its run {old.run_id}, 0.0 MB\n")
        assert [version.number for version in Registry(client).versions()] == [newest.number]
        assert client.get_run(old.run_id).info.lifecycle_stage == "deleted"
        assert {old.run_id, newest.run_id} <= folders_with_files(tmp_path)
        command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", backend]
        subprocess.run(command, env={**os.environ, "MLFLOW_TRACKING_URI": url}, cwd=tmp_path, check=True)
        folders = folders_with_files(tmp_path)
        assert old.run_id not in folders
        assert len([name for name in folders if name.startswith("m-")]) == 1
        with version_bundle(paths, newest.number) as bundle:
            assert read_bundle(bundle).manifest.data_hash == release.manifest.data_hash


def folders_with_files(folder: Path) -> set[str]:
    """Names of all folders of artifacts that hold a file, directly or further below."""
    files = [path for path in (folder / "artifacts").rglob("*") if path.is_file()]
    return {name for file in files for name in file.relative_to(folder).parts[:-1]}
