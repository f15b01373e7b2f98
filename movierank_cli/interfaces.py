"""`movierank dagster` and `movierank mlflow`: start the two UIs with this project's settings."""

import os
import subprocess
import sys
from pathlib import Path

import click

from movierank_cli.options import data_options, settings_of
from movierank_core.errors import ConfigError, MovierankError
from movierank_core.mlflow_store import tracking_uri
from movierank_core.paths import Paths
from movierank_pipeline.materialize import prepare_dagster_home
from movierank_pipeline.release.mlflow_client import connect, experiment_id

WORKSPACE = "dagster_workspace.yaml"


@click.command("dagster")
@data_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port.")
def dagster_ui(
    data_dir: Path | None, dataset: str | None, tmdb_file: Path | None, host: str, port: int
) -> None:
    """Start the Dagster UI.

    Runs `dagster dev -w dagster_workspace.yaml` with this project's run history and the chosen data set.
    """
    paths = Paths.from_environment()
    settings = settings_of(data_dir, dataset, tmdb_file)
    chosen = {
        "MOVIERANK_DATA_DIR": settings.data_dir,
        "MOVIERANK_DATASET": settings.dataset,
        "MOVIERANK_TMDB_FILE": settings.tmdb_file,
    }
    workspace = paths.root / WORKSPACE
    what = ["-w", str(workspace)] if workspace.is_file() else ["-m", "movierank_pipeline.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *what, "-h", host, "-p", str(port)]
    _run(
        command,
        {
            "DAGSTER_HOME": str(prepare_dagster_home(paths)),
            **{name: value for name, value in chosen.items() if value is not None},
        },
        paths.root,
    )


@click.command("mlflow")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Port.")
def mlflow_ui(host: str, port: int) -> None:
    """Start the MLflow UI.

    Starts one worker and no job runners, since the default starts fifteen processes with 3 GB.
    """
    paths = Paths.from_environment()
    uri = tracking_uri(paths)
    if uri.startswith(("http://", "https://")):
        raise ConfigError(
            f"MLFLOW_TRACKING_URI is {uri}, a server that has a UI already",
            expected="a database, or the embedded store",
            remedy=f"open {uri} in a browser, or unset MLFLOW_TRACKING_URI",
        )
    client = connect(paths)
    experiment_id(client, paths)
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    store = ["--backend-store-uri", client.tracking_uri, "--default-artifact-root", str(paths.artifacts)]
    _run([*command, "--workers", "1", *store], {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, paths.root)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    """Runs `command` until it ends. Ctrl-C reaches the child as well, which then shuts down."""
    # The child starts programs that are installed next to this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    child = subprocess.Popen(command, env={**os.environ, "PATH": path, **environment}, cwd=folder)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        code = child.wait()
    if code not in (0, -2, 130):
        raise MovierankError(f"`{' '.join(command[1:4])}` ended with exit code {code}")
