"""What a training leaves in MLflow, and that it gives the scores of the bundle from there."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from movierank_core.bundle import read_bundle
from movierank_core.data.history import Event, History
from movierank_core.mlflow_store import BUNDLE_IN_MODEL, PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release, log_release
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from tests.support.stores import paths_with_store
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for

HISTORY = [Event(20, "rating", 1_704_200_000, 5.0), Event(40, "like", 1_704_300_000), Event(70, "click", 1)]
AS_OF = 1_706_000_000


@pytest.fixture(scope="module")
def released(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A store with one version made from `release`, in production."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        paths = paths_with_store(tmp_path_factory.mktemp("released"))
        version = log_release(connect(paths), paths, release)
        Registry(connect(paths)).promote(version.number, by="gate")
        return paths


def version_folder(paths: Paths) -> Path:
    import mlflow

    connect(paths)
    return Path(mlflow.artifacts.download_artifacts("models:/movie-ranker@production"))


def as_columns(history: list[Event], **more: Any) -> dict[str, Any]:
    kept = History.from_events(history).events()
    return {
        "movie_ids": [event.movie_id for event in kept],
        "ratings": [np.nan if event.rating is None else event.rating for event in kept],
        "timestamps": [event.timestamp for event in kept],
        "event_types": [event.event_type for event in kept],
        **more,
    }


def expected(release: Release, history: list[Event], k: int) -> tuple[list[int], list[float]]:
    """What `/rank` answers: the recommender of the bundle, asked directly."""
    recommender = read_bundle(release.bundle)
    ranking = recommender.rank(History.from_events(history), as_of=AS_OF, k=k)
    ids = recommender.catalogue.movie_ids
    return [int(ids[movie.row]) for movie in ranking.results], [movie.score for movie in ranking.results]


def test_the_run_holds_parameters_data_and_metrics_beside_their_baselines(released: Paths) -> None:
    client = connect(released)
    run = client.search_runs([experiment_id(client, released)])[0]
    assert run.info.status == "FINISHED"
    assert run.data.params["model.seed"] == "1"
    assert run.data.params["data.from"].startswith("2024-01-01T")
    assert run.data.tags["dataset"] == "tiny"
    assert run.data.tags["dagster.run_id"] == "a-dagster-run"
    assert run.data.tags["dagster.run_url"] == "http://127.0.0.1:3000/runs/a-dagster-run"
    assert {"ndcg_at_10", "ndcg_at_10_low", "recall_at_100", "random/ndcg_at_10"} <= set(run.data.metrics)
    assert run.inputs.dataset_inputs[0].dataset.name == "tiny"


def test_the_run_holds_plots_reports_and_the_model_card(released: Paths) -> None:
    client = connect(released)
    run = client.search_runs([experiment_id(client, released)])[0]
    paths = [
        entry.path
        for folder in ("", "plots", "evaluation")
        for entry in client.list_artifacts(run.info.run_id, folder)
        if not entry.is_dir
    ]
    assert sorted(paths) == [
        "evaluation/evaluation.json",
        "evaluation/report.html",
        "model_card.md",
        "plots/importance.png",
    ]


def test_the_model_card_says_what_a_reader_needs(released: Paths) -> None:
    version = Registry(connect(released)).versions()[0]
    import mlflow

    card = mlflow.artifacts.load_text(f"runs:/{version.run_id}/model_card.md")
    for part in (
        "# movie-ranker: tiny, 2024-",
        "**The ratings are simulated.**",
        "Intended use",
        "| random |",
        "| minus | ndcg@10 | recall@100 |",
        "| nDCG@10 | requests | people |",
        "against popularity_365d |",
        "## Limits",
        'mlflow.pyfunc.load_model("models:/movie-ranker@production")',
        "TMDB",
    ):
        assert part in card


def test_the_version_is_ready_and_says_where_it_comes_from(released: Paths) -> None:
    version = Registry(connect(released)).by_alias(PRODUCTION)
    assert version is not None
    assert version.is_ready
    assert version.tags["dataset"] == "tiny"
    assert version.tags["dagster.run_id"] == "a-dagster-run"
    assert version.run_id


def test_the_bundle_is_where_the_service_looks_for_it(released: Paths, release: Release) -> None:
    bundle = version_folder(released) / BUNDLE_IN_MODEL
    manifest = read_bundle(bundle).manifest
    assert (manifest.files, manifest.created_at) == (release.manifest.files, release.manifest.created_at)


def test_nothing_in_a_version_is_a_pickle(released: Paths) -> None:
    files = [path for path in version_folder(released).rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [
        path.name for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pyc", ".nbc"}
    ] == []
    # Pickle protocols 2 to 5 begin so; plain arrays and text never do.
    assert [
        path.name for path in files if path.read_bytes()[:2] in {b"\x80" + bytes([n]) for n in range(2, 6)}
    ] == []
    for path in files:
        if path.suffix == ".npy":
            np.load(path, allow_pickle=False)


def test_the_pyfunc_model_answers_like_the_bundle(released: Paths, release: Release) -> None:
    import mlflow

    connect(released)
    model = mlflow.pyfunc.load_model("models:/movie-ranker@production")
    requests = pd.DataFrame([as_columns(HISTORY, k=7, as_of=AS_OF), as_columns([], k=3, as_of=AS_OF)])
    answer = model.predict(requests)
    for row, (history, k) in enumerate([(HISTORY, 7), ([], 3)]):
        movie_ids, scores = expected(release, history, k)
        assert answer["movie_ids"][row] == movie_ids
        assert answer["scores"][row] == scores


def test_the_pyfunc_model_does_not_know_what_was_said_later(released: Paths, release: Release) -> None:
    import mlflow

    connect(released)
    model = mlflow.pyfunc.load_model("models:/movie-ranker@production")
    row = as_columns(HISTORY, k=7, as_of=AS_OF)
    for name, value in {
        "movie_ids": 20,
        "ratings": 0.5,
        "timestamps": AS_OF,
        "event_types": "rating",
    }.items():
        row[name] = [*row[name], value]
    answer = model.predict(pd.DataFrame([row]))
    assert (answer["movie_ids"][0], answer["scores"][0]) == expected(release, HISTORY, 7)


def test_the_pyfunc_model_has_defaults_for_what_is_optional(released: Paths) -> None:
    import mlflow

    connect(released)
    model = mlflow.pyfunc.load_model("models:/movie-ranker@production")
    answer = model.predict([{"movie_ids": [20], "ratings": [5.0], "timestamps": [1_704_200_000]}])
    assert len(answer["movie_ids"][0]) == 25
    assert 20 not in answer["movie_ids"][0]


@pytest.mark.slow
def test_mlflow_serves_the_scores_of_the_bundle_over_http(
    released: Paths, release: Release, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        "MLFLOW_TRACKING_URI": released.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/movie-ranker@production"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--env-manager", "local", "--port", str(port)],
            env=environment, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/ping"), "an answer to /ping", process=server)
            row = as_columns(HISTORY, k=5, as_of=AS_OF)
            row["ratings"] = [None if np.isnan(rating) else rating for rating in row["ratings"]]
            body = json.dumps({"dataframe_records": [row]}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                answer = json.load(response)["predictions"][0]
        finally:
            os.killpg(server.pid, 15)
            exit_code(server)
    movie_ids, scores = expected(release, HISTORY, 5)
    assert answer == {"movie_ids": movie_ids, "scores": scores}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS):
            return True
    except OSError:
        return False


def test_a_failure_while_logging_leaves_a_failed_run_and_no_version(
    paths: Paths, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    def disk_full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    client = connect(paths)
    monkeypatch.setattr(mlflow.pyfunc, "log_model", disk_full)
    with pytest.raises(OSError, match="No space left on device"):
        log_release(client, paths, release)
    assert [run.info.status for run in client.search_runs([experiment_id(client, paths)])] == ["FAILED"]
    assert Registry(client).versions() == []


def test_the_code_in_a_version_reads_its_bundle_on_its_own(released: Paths, tmp_path: Path) -> None:
    """The core beside the bundle is complete: nothing else is imported."""
    version = version_folder(released)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1] + '/code')\n"
        "import movierank_core\n"
        "assert movierank_core.__file__.startswith(sys.argv[1]), movierank_core.__file__\n"
        "from pathlib import Path\n"
        "from movierank_core.bundle import read_bundle\n"
        "read_bundle(Path(sys.argv[1], 'artifacts', 'bundle'))\n"
        "assert not any(name.startswith('movierank_pipeline') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(version)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
