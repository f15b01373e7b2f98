"""`movierank demo` and `movierank evaluate`, from ratings to answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from movierank_cli import demo as demo_module
from movierank_cli.console import StepLines, duration
from movierank_cli.demo import choose_data, service_of, serving_version
from movierank_cli.service_process import ServiceError
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.ingest.sample.dataset import synthesize, write_dataset
from movierank_pipeline.release.mlflow_client import connect, experiment_id
from movierank_pipeline.release.registry import Registry, RegistryError
from movierank_pipeline.settings import Settings
from tests.support.tiny_pipeline import environment, write_tiny_ratings
from tests.support.waiting import PATIENCE_SECONDS


def run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MOVIERANK_", "MLFLOW_", "DAGSTER_"))
    }
    variables = {name: value for name, value in environment(root).items() if name != "MOVIERANK_DATA_DIR"}
    return subprocess.run(
        [sys.executable, "-m", "movierank_cli", *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        env={**inherited, **variables},
    )


def lines_to(folder: Path) -> tuple[StepLines, Path]:
    """Step lines that end up in a file."""
    file = folder / "lines.txt"
    return StepLines(Console(file=file.open("w"), soft_wrap=True, highlight=False)), file


def demo(root: Path) -> str:
    """What a demo on the tiny ratings says on its way to the three answers of version 1."""
    done = run(root, "demo", "--check", "--data-dir", str(root / "tiny"))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    rank, movie, feedback = answers.values()
    assert next(iter(answers)) == "POST /rank"
    assert len(rank["results"]) == 5
    assert rank["model_version"] == "1"
    assert movie["movie_id"] == rank["results"][0]["movie_id"]
    assert feedback["accepted"]
    assert "Data: tiny (its films are real, its RATINGS ARE SIMULATED)." in done.stderr
    assert "Version 1 is in production" in done.stderr
    for noise in ("DEBUG", "INFO", "Warning", "STEP_START", "it/s"):
        assert noise not in done.stderr
    assert [process.pid for process in psutil.process_iter(["cmdline"]) if of(process, root)] == []
    return done.stderr


@pytest.mark.slow
def test_a_demo_of_what_was_made_before_gives_three_answers_and_makes_nothing(root: Path) -> None:
    said = demo(root)
    assert "up to date: " in said
    assert "training_set  " not in said


@pytest.mark.heavy
def test_the_demo_goes_from_ratings_to_three_answers_and_a_second_one_reuses_them(tmp_path: Path) -> None:
    write_tiny_ratings(tmp_path)
    demo(tmp_path)
    said = demo(tmp_path)
    assert "up to date: " in said
    assert "training_set  " not in said


def of(process: psutil.Process, root: Path) -> bool:
    """Whether a process works on `root`."""
    try:
        return process.environ().get("MOVIERANK_ROOT") == str(root)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@pytest.mark.slow
def test_evaluate_prints_and_writes_every_system_with_intervals(tmp_path: Path) -> None:
    write_tiny_ratings(tmp_path)
    json_file, html_file = tmp_path / "out.json", tmp_path / "out.html"
    done = run(
        tmp_path,
        *("evaluate", "--data-dir", str(tmp_path / "tiny"), "--protocol", "temporal"),
        *("--json", str(json_file), "--html", str(html_file)),
    )
    assert done.returncode == 0, done.stderr
    systems = json.loads(json_file.read_text())["systems"]
    assert {"movierank", "random", "popularity", "popularity_30d", "fused"} <= set(systems)
    for figures in systems.values():
        assert {"mean", "low", "high"} == set(figures["ndcg@10"])
        assert {"recall@100", "coverage@10"} <= set(figures)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["system", "ndcg@10", "recall@100", "debiased_ndcg@10", "coverage@10"]
    assert {line.split()[0] for line in lines[1 : len(systems) + 1]} == set(systems)
    assert html_file.read_text().startswith("<!doctype html>")
    assert not (tmp_path / "mlruns").exists()


def test_without_a_choice_and_without_grouplens_the_sample_is_used_and_said(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_GROUPLENS_URL", "http://127.0.0.1:1")
    write_dataset(synthesize(20, 300, n_movies=50), paths.datasets / "sample")  # Instead of all of it.
    lines, file = lines_to(tmp_path)
    settings = choose_data(Settings.from_environment(), paths, lines)
    lines.console.file.flush()
    assert settings.dataset == "sample"
    assert file.read_text() == (
        "Data: GroupLens does not answer, so the built-in sample is used. sample (its films are real, its"
        " RATINGS ARE SIMULATED).\n"
    )


def test_what_was_downloaded_before_is_used_without_asking_grouplens(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_module, "is_grouplens_reachable", lambda: pytest.fail("asked"))
    folder = paths.datasets / "ml-latest-small"
    write_dataset(synthesize(20, 300, n_movies=50, name="ml-latest-small"), folder)
    assert choose_data(Settings.from_environment(), paths, lines_to(tmp_path)[0]).dataset == "ml-latest-small"


def register(paths: Paths, **tags: str) -> None:
    client = connect(paths)
    run = client.create_run(experiment_id(client, paths))
    Registry(client).register(run.info.artifact_uri, run.info.run_id, tags)


REFUSAL = {"gate.verdict": "refused", "gate.reason": "Not met: its best source is better."}


def test_a_first_version_that_the_gate_refused_serves_in_the_demo_and_that_is_said(
    paths: Paths, tmp_path: Path
) -> None:
    lines, file = lines_to(tmp_path)
    with pytest.raises(RegistryError, match="There is no finished version to serve"):
        serving_version(paths, lines, "auto")
    register(paths, **REFUSAL)
    assert serving_version(paths, lines, "auto") == 1
    lines.console.file.flush()
    assert file.read_text() == (
        "The gate refused version 1. Not met: its best source is better. It serves anyway, since no"
        " version is in production.\n"
    )
    production = Registry(connect(paths)).by_alias(PRODUCTION)
    assert production is not None
    assert production.tags["movierank.promoted_by"] == "demo"
    assert production.tags["gate.overruled_by"] == "demo"
    assert (
        production.tags["gate.overruled_why"] == "The demo must serve a version: no version is in production."
    )


def test_a_later_version_that_the_gate_refused_does_not_serve_in_the_demo(
    paths: Paths, tmp_path: Path
) -> None:
    register(paths, dataset="tiny")
    Registry(connect(paths)).promote(1, by="gate")
    register(paths, dataset="tiny", **REFUSAL)
    lines, file = lines_to(tmp_path)
    assert serving_version(paths, lines, "auto") == 1
    lines.console.file.flush()
    assert file.read_text() == (
        "Version 1 is in production.\nThe gate refused version 2. Not met: its best source is better.\n"
    )


@pytest.mark.parametrize(("policy", "serving"), [("auto", 2), ("manual", 1)])
def test_a_version_of_other_data_does_not_keep_the_demo_from_showing_these(
    paths: Paths, tmp_path: Path, policy: str, serving: int
) -> None:
    register(paths, dataset="sample")
    Registry(connect(paths)).promote(1, by="gate")
    register(paths, dataset="tiny", **REFUSAL)
    lines, file = lines_to(tmp_path)
    assert serving_version(paths, lines, policy) == serving
    lines.console.file.flush()
    if policy == "auto":
        assert "since version 1 in production was trained on another data set" in file.read_text()
        assert Registry(connect(paths)).get(2).tags["gate.overruled_by"] == "demo"


def test_a_provisional_version_and_a_waiting_one_are_called_so(paths: Paths, tmp_path: Path) -> None:
    register(paths, **{"gate.verdict": "provisional", "gate.reason": "Better on average."})
    Registry(connect(paths)).promote(1, by="gate")
    register(paths, **{"gate.verdict": "passed", "gate.reason": "Better."})
    Registry(connect(paths)).challenge(2)
    lines, file = lines_to(tmp_path)
    assert serving_version(paths, lines, "manual") == 1
    lines.console.file.flush()
    assert file.read_text() == (
        "Version 1 is in production, provisionally: Better on average.\n"
        "Version 2 is the challenger; `movierank promote 2` lets it serve. Better.\n"
    )


def test_a_service_that_ends_while_starting_is_reported_with_its_log(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_MAX_BODY_BYTES", "many")
    service = service_of(paths, "127.0.0.1", 0, 1)
    with service, pytest.raises(ServiceError) as failed:
        service.start()
    assert "The service ended with exit code 2 while it was starting." in str(failed.value)
    assert "MOVIERANK_MAX_BODY_BYTES" in str(failed.value)
    assert str(failed.value).endswith(f"Remedy: look into {service.log_file}.")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (42.4, "42 s"), (125.0, "2 min 05 s")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_off_a_terminal_a_long_step_speaks_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "lines.txt"
    with file.open("w") as out:
        lines = StepLines(Console(file=out, soft_wrap=True), clock=lambda: now[0])
        lines.started("ranker")
        for second in range(25):
            now[0] = float(second)
            lines.progressed("ranker", f"tree {second} [of 25]")
        lines.finished("ranker", 25.0)
        lines.started("ratings_checks")
        lines.finished("ratings_checks", 1.0)
        lines.checked("ratings", "schema", True, {})
        lines.checked("catalogue", "tmdb_links", False, {"share": 0.51234})
    assert file.read_text().splitlines() == [
        "  ranker             tree 10 [of 25]",
        "  ranker             tree 20 [of 25]",
        "  ranker             25 s",
        "  ! check tmdb_links of catalogue failed: share 0.5123",
    ]
