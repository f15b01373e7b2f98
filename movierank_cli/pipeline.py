"""`movierank materialize`."""

from pathlib import Path

import click

from movierank_cli.console import StepLines
from movierank_cli.options import data_options, settings_of
from movierank_core.model_store import PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.materialize import Outcome, materialize
from movierank_pipeline.registry import Registry
from movierank_pipeline.settings import POLICIES
from movierank_pipeline.tracking import connect


@click.command("materialize")
@data_options
@click.option("--select", help="Only these assets: a Dagster selection such as `ranker` or `key:ranker+`.")
@click.option("--all", "everything", is_flag=True, help="Everything, up to date or not.")
@click.option("--policy", type=click.Choice(POLICIES), help="Whether a version that passes the gate serves.")
def materialize_command(
    data_dir: Path | None,
    dataset: str | None,
    tmdb_file: Path | None,
    select: str | None,
    everything: bool,
    policy: str | None,
) -> None:
    """Make what is not up to date.

    Runs the asset graph in this process: reads the ratings, trains, evaluates, registers a version and lets
    the gate decide whether it serves. What was made from the same code, settings and data is left alone.
    """
    paths = Paths.from_environment()
    settings = settings_of(data_dir, dataset, tmdb_file, promotion_policy=policy)
    lines = StepLines()
    try:
        outcome = materialize(settings, paths, lines, select=select, everything=everything)
    finally:
        lines.stop()
    say_outcome(lines, outcome)
    production = Registry(connect(paths)).by_alias(PRODUCTION)
    lines.line(
        "No version is in production."
        if production is None
        else f"Version {production.number} is in production."
    )


def say_outcome(lines: StepLines, outcome: Outcome) -> None:
    """What was made, what was left alone, and which checks failed."""
    if outcome.reused:
        lines.line(f"  up to date: {', '.join(outcome.reused)}")
    if outcome.failed_checks:
        lines.line(f"  checks that failed: {'; '.join(outcome.failed_checks)}", style="yellow")
