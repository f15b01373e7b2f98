"""`movierank demo`: runs data, training, registration, promotion and the service with one command."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import click

from movierank_cli.console import StepLines
from movierank_cli.options import data_options, policy_option, settings_of
from movierank_cli.pipeline import reason_of, say_outcome, say_versions
from movierank_cli.service_process import ServiceProcess, require_free_port
from movierank_core.data.history_snapshot import open_histories
from movierank_core.mlflow_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.datasets import DOWNLOADED_BY_DEFAULT, SAMPLE, dataset_folder
from movierank_pipeline.ingest.movielens.byte_progress import byte_progress_bar
from movierank_pipeline.ingest.movielens.download import is_grouplens_reachable
from movierank_pipeline.ingest.movielens.editions import find_edition
from movierank_pipeline.materialize import materialize
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import GATE_VERDICT_TAG, REFUSED, Registry, RegistryError
from movierank_pipeline.settings import Settings


@click.command()
@data_options
@policy_option
@click.option("--check", is_flag=True, help="Call the service three times, print the answers, and stop.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes.")
def demo(
    data_dir: Path | None,
    dataset: str | None,
    tmdb_file: Path | None,
    policy: str | None,
    check: bool,
    host: str,
    port: int,
    workers: int,
) -> None:
    """Train, register, promote and serve with one command.

    Uses the given folder or data set; else ml-latest-small if GroupLens answers, else the built-in sample. A
    second run only repeats the steps whose inputs changed.
    """
    paths = Paths.from_environment()
    lines = StepLines()
    service = service_of(paths, host, 0 if check else port, 1 if check else workers)
    require_free_port(host, service.port)
    try:
        settings = choose_data(
            settings_of(data_dir, dataset, tmdb_file, promotion_policy=policy), paths, lines
        )
        lines.line("From ratings to a model version:")
        outcome = materialize(settings, paths, lines, min_new_events=settings.feedback_threshold)
        say_outcome(lines, outcome)
        number = serving_version(paths, lines, settings.promotion_policy)
        with service:
            with lines.working("service"):
                service.start()
                service.wait_until_ready(number)
            if check:
                answers = call_three_routes(service, user_with_history(paths))
                click.echo(json.dumps(answers, indent=2, ensure_ascii=False))
                lines.line("All three calls were answered; stopping the service.")
            else:
                _say_where(lines, service, settings)
                service.wait()
    finally:
        lines.stop()


def service_of(paths: Paths, host: str, port: int, workers: int) -> ServiceProcess:
    """`movierank serve` on the demo's folders, not started yet."""
    folders = {"MOVIERANK_ROOT": str(paths.root), "MOVIERANK_HOME": str(paths.home)}
    return ServiceProcess(
        paths.home / "service.log",
        variables={**os.environ, **folders},
        host=host,
        port=port,
        workers=workers,
    )


def call_three_routes(service: ServiceProcess, user_id: int) -> dict[str, Any]:
    """The answers of `POST /rank`, and of `GET /movie/{id}` and `POST /feedback` for its first result.

    Raises ServiceError if an answer has an unexpected status or the ranking is empty.
    """
    rank = service.expect(200, "POST", "/rank", {"user_id": user_id, "k": 5})
    if not rank["results"]:
        raise service.failure(f"/rank has no results for user {user_id}")
    movie_id = int(rank["results"][0]["movie_id"])
    movie = service.expect(200, "GET", f"/movie/{movie_id}")
    click = {"user_id": user_id, "movie_id": movie_id, "event_type": "click"}
    feedback = service.expect(202, "POST", "/feedback", click)
    return {"POST /rank": rank, f"GET /movie/{movie_id}": movie, "POST /feedback": feedback}


def choose_data(settings: Settings, paths: Paths, lines: StepLines) -> Settings:
    """Settings that name the data set. Downloads it if necessary, and prints its name and why it was
    chosen."""
    reason = ""
    if settings.data_dir is None and settings.dataset is None:
        is_there = (paths.datasets / DOWNLOADED_BY_DEFAULT).is_dir()
        if is_there or is_grouplens_reachable():
            name = DOWNLOADED_BY_DEFAULT
        else:
            name, reason = SAMPLE, "GroupLens does not answer, so the built-in sample is used. "
        settings = Settings(**{**settings.model_dump(), "dataset": name})
    with byte_progress_bar() as progress:
        info = find_edition(dataset_folder(settings, paths, progress)).info
    kind = "its films are real, its RATINGS ARE SIMULATED" if info.ratings_are_simulated else "real ratings"
    lines.line(f"Data: {reason}{info.name} ({kind}).")
    return settings


def serving_version(paths: Paths, lines: StepLines, policy: str) -> int:
    """The number of the version that the demo serves: production's, else the newest version's.

    The demo must serve something. If no version is in production, or production was trained on another data
    set, the newest version is promoted even if the gate refused it; its tags record that the gate was
    overruled. With the policy `manual`, an existing production version is never replaced.
    """
    registry = Registry(connect(paths))
    production = registry.by_alias(PRODUCTION)
    newest = next((version for version in registry.versions() if version.is_ready), None)
    if newest is None:
        raise RegistryError(
            "There is no finished version to serve", remedy="run `movierank materialize --all`"
        )
    if production is not None:
        is_of_these_data = production.tags.get("dataset") == newest.tags.get("dataset")
        if is_of_these_data or policy == "manual":
            say_versions(lines, registry)
            return production.number
        why = f"version {production.number} in production was trained on another data set"
    else:
        why = "no version is in production"
    registry.promote(newest.number, by="demo", overrule=f"The demo must serve a version: {why}.")
    is_refused = newest.tags.get(GATE_VERDICT_TAG) == REFUSED
    lines.line(
        f"The gate {'refused' if is_refused else 'left to a person'} version {newest.number}."
        f" {reason_of(newest)} It serves anyway, since {why}.",
        style="yellow",
    )
    return newest.number


def user_with_history(paths: Paths) -> int:
    """The id of one user with a published history."""
    return int(open_histories(paths.histories).user_ids()[0])


def _say_where(lines: StepLines, service: ServiceProcess, settings: Settings) -> None:
    data = "" if settings.data_dir is None else f" --data-dir {shlex.quote(settings.data_dir)}"
    if settings.data_dir is None and settings.dataset is not None:
        data = f" --dataset {settings.dataset}"
    lines.line("")
    for what, where in {
        "Page": service.url,
        "API": f"{service.url}schema",
        "Dagster": f"movierank dagster{data}",
        "MLflow": "movierank mlflow",
        "Log": str(service.log_file),
    }.items():
        lines.line(f"  {what:<9} {where}")
    lines.line("\nCtrl-C stops the service.")
