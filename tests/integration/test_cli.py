"""The command-line program: what it prints, how it fails, and what it needs."""

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pytest

from movierank_cli.main import COMMANDS, load, main
from movierank_core.mlflow_store import MODEL_NAME
from movierank_core.paths import Paths
from movierank_pipeline.ingest.movielens.reader import read_dataset
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry
from tests.support.waiting import PATIENCE_SECONDS

BLOCKED = {
    "serving host": ("dagster", "lightgbm", "implicit", "scipy", "matplotlib"),
    "pipeline host": ("litestar", "uvicorn"),
}


QUICK = ("versions", "promote", "rollback", "synth", "recommend")
"""Commands that leave this process as it is: a new one imports MLflow for two seconds."""


def in_this_process(arguments: tuple[str, ...], more: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["movierank", *arguments])
        for name, value in more.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, ended.value.code or 0, out.getvalue(), err.getvalue())


def movierank(
    *arguments: str, without: tuple[str, ...] = (), **more: str
) -> "subprocess.CompletedProcess[str]":
    """Runs the program. Without packages, and unless it is quick, in a process of its own."""
    if not without and arguments[0] in QUICK:
        return in_this_process(arguments, more)
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {without!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from movierank_cli.main import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, **more},
    )


def test_help_lists_every_command_without_importing_any() -> None:
    everything = ("dagster", "mlflow", "litestar", "polars", "numba", "lightgbm")
    done = movierank("--help", without=everything)
    assert done.returncode == 0, done.stderr
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert lazy.help.split()[0] in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_help_is_the_first_sentence_of_the_command(name: str) -> None:
    command = load(name)
    assert str(command.help).split("\n")[0] == COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str) -> None:
    options = [parameter for parameter in load(name).params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_an_unknown_command_is_a_usage_error() -> None:
    done = movierank("recommend")
    assert done.returncode == 2
    assert "No such command 'recommend'" in done.stderr


def test_a_problem_the_user_can_mend_is_one_paragraph_and_exit_code_2(paths: Paths, tmp_path: Path) -> None:
    done = movierank("materialize", "--data-dir", str(tmp_path / "nowhere [red]"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: There is no folder {tmp_path}/nowhere [red]. Expected: the folder of an extracted MovieLens"
        " data set. Remedy: extract the archive first, or download one with `movierank download"
        " ml-latest-small`\n"
    )


def test_a_bad_setting_in_the_environment_is_named(paths: Paths) -> None:
    done = movierank("materialize", MOVIERANK_MODEL_SEED="many")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The setting model_seed cannot be 'many'.")
    assert "Traceback" not in done.stderr


def test_a_serving_host_can_serve_and_move_aliases(paths: Paths) -> None:
    without = BLOCKED["serving host"]
    assert movierank("serve", "--help", without=without).returncode == 0
    done = movierank("versions", without=without)
    assert (done.returncode, done.stdout) == (
        0,
        "No version of movie-ranker is registered yet. Run `movierank materialize`.\n",
    )


def test_a_missing_part_of_the_installation_is_named() -> None:
    done = movierank("materialize", without=BLOCKED["serving host"])
    assert done.returncode == 2
    assert done.stderr == (
        "Error: `movierank materialize` needs the package dagster, which is not installed. Remedy: run"
        ' `pip install "movierank[pipeline]"`\n'
    )
    done = movierank("serve", without=BLOCKED["pipeline host"])
    assert done.returncode == 2
    assert 'run `pip install "movierank[serving]"`' in done.stderr


def test_a_service_that_cannot_have_its_port_fails_like_every_command(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = movierank("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The service cannot listen on 127.0.0.1:")


def register(paths: Paths, **tags: str) -> int:
    client = connect(paths)
    run = client.create_run(experiment_id(client, paths))
    return Registry(client).register(run.info.artifact_uri, run.info.run_id, tags).number


def test_versions_promote_and_rollback(paths: Paths) -> None:
    register(paths, dataset="tiny", ndcg_at_10="0.2000")
    register(paths, dataset="tiny", ndcg_at_10="0.2100")
    client = connect(paths)
    run = client.create_run(experiment_id(client, paths))
    client.create_model_version(MODEL_NAME, run.info.artifact_uri, run.info.run_id)
    assert movierank("promote", "1").stdout == "Version 1 of movie-ranker is in production.\n"
    assert movierank("promote", "2").stdout == "Version 2 of movie-ranker is in production.\n"
    lines = movierank("versions").stdout.splitlines()
    assert lines[0].split() == ["version", "aliases", "made", "data", "nDCG@10", "gate"]
    assert "not finished" in lines[1]
    assert lines[2].split()[:2] == ["2", "production"]
    assert lines[3].split()[:2] == ["1", "previous"]
    assert "0.2000" in lines[3]
    assert movierank("rollback").stdout == "Version 1 of movie-ranker is in production again.\n"


def test_promoting_what_the_gate_refused_takes_a_reason(paths: Paths) -> None:
    register(paths, **{"gate.verdict": "refused", "gate.reason": "Not met: latency."})
    done = movierank("promote", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: The gate refused version 1: Not met: latency. Expected: a version that the gate accepted, or"
        ' a reason to overrule the gate. Remedy: run `movierank promote 1 --overrule "why"`\n'
    )
    done = movierank("promote", "1", "--overrule", "a faster machine is on its way")
    assert (done.returncode, done.stdout) == (0, "Version 1 of movie-ranker is in production.\n")
    tags = Registry(connect(paths)).get(1).tags
    assert tags["gate.overruled_why"] == "a faster machine is on its way"
    assert tags["gate.overruled_by"] == tags["movierank.promoted_by"]
    assert "refused, overruled" in movierank("versions").stdout


def test_promoting_what_does_not_exist_or_was_never_finished_fails(paths: Paths) -> None:
    done = movierank("promote", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no version 1 of movie-ranker" in done.stderr
    done = movierank("rollback")
    assert done.returncode == 2
    assert "a rollback is not possible" in done.stderr


def test_synth_writes_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    done = movierank("synth", str(folder), "--users", "20", "--ratings", "300", "--movies", "50")
    assert (done.returncode, done.stdout) == (0, f"{folder}\n")
    assert len((folder / "ratings.csv").read_text().splitlines()) == 301
    assert json.loads((folder / "dataset.json").read_text())["ratings_are_simulated"] is True
    done = movierank("synth", str(folder))
    assert done.returncode == 2
    assert f"{folder} is not empty" in done.stderr


def test_synth_takes_the_films_of_a_folder_with_movies_csv_alone(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    lines = [f"{10 * k},Film {k} ({1980 + k}),Drama" for k in range(1, 31)]
    (films / "movies.csv").write_text("\n".join(["movieId,title,genres", *lines]) + "\n", "utf-8")
    folder = tmp_path / "set"
    done = movierank("synth", str(folder), "--users", "20", "--ratings", "200", "--catalogue", str(films))
    assert done.returncode == 0, done.stderr
    written = read_dataset(folder)
    assert len(written.ratings) == 200
    assert written.movies["title"].to_list() == [f"Film {k}" for k in range(1, 31)]
    (films / "movies.csv").rename(films / "other.csv")
    done = movierank("synth", str(tmp_path / "more"), "--catalogue", str(films))
    assert done.returncode == 2
    assert "it holds other.csv" in done.stderr


def test_a_port_in_use_is_refused_before_anything_is_trained(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = movierank("demo", "--dataset", "sample", "--port", str(port))
    assert done.returncode == 2
    assert f"Error: Port {port} on 127.0.0.1 cannot be used: Address already in use." in done.stderr
    assert not paths.assets.exists()
