"""`movierank materialize`."""

import sys
from pathlib import Path

import click

from movierank_cli.console import StepLines
from movierank_cli.exit_codes import CHECK_FAILED, STEP_FAILED, VERSION_REFUSED, fail
from movierank_cli.options import data_options, policy_option, settings_of
from movierank_core.mlflow_store import CHALLENGER, PRODUCTION
from movierank_core.paths import Paths
from movierank_pipeline.materialize import REFUSAL, CheckFailedError, Outcome, materialize
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import (
    GATE_REASON_TAG,
    GATE_VERDICT_TAG,
    PROVISIONAL,
    REFUSED,
    Registry,
    Version,
)


@click.command("materialize")
@data_options
@click.option("--select", help="Only these assets: a Dagster selection such as `ranker` or `key:ranker+`.")
@click.option("--all", "everything", is_flag=True, help="All assets, also up-to-date ones.")
@policy_option
def materialize_command(
    data_dir: Path | None,
    dataset: str | None,
    tmdb_file: Path | None,
    select: str | None,
    everything: bool,
    policy: str | None,
) -> None:
    """Materialise the assets that are not up to date.

    Runs the asset graph in this process: reads the ratings, trains, evaluates, registers a version, and
    applies the gate. Assets made from the same code, settings and data are reused.

    \b
    Exit codes: 0 done, 1 defect, 2 wrong use or setting, 3 a step failed,
    4 a blocking check failed, 5 the gate refused the new version.
    """
    paths = Paths.from_environment()
    settings = settings_of(data_dir, dataset, tmdb_file, promotion_policy=policy)
    lines = StepLines()
    try:
        outcome = materialize(settings, paths, lines, select=select, everything=everything)
    except CheckFailedError as error:
        lines.stop()
        fail(error, CHECK_FAILED)
    except Exception as error:
        lines.stop()
        if lines.failed_step is None:
            raise
        fail(error, STEP_FAILED)
    finally:
        lines.stop()
    say_outcome(lines, outcome)
    say_versions(lines, Registry(connect(paths)))
    if REFUSAL in outcome.failed_checks:
        sys.exit(VERSION_REFUSED)


def say_outcome(lines: StepLines, outcome: Outcome) -> None:
    """Prints which assets were reused and which checks failed."""
    if outcome.reused:
        lines.line(f"  up to date: {', '.join(outcome.reused)}")
    if outcome.failed_checks:
        lines.line(f"  checks that failed: {'; '.join(outcome.failed_checks)}", style="yellow")


def say_versions(lines: StepLines, registry: Registry) -> None:
    """Prints which version is in production, and the gate's verdict on the newest version if it is another
    one."""
    versions = [version for version in registry.versions() if version.is_ready]
    production = next((version for version in versions if PRODUCTION in version.aliases), None)
    if production is None:
        lines.line("No version is in production.")
    elif production.tags.get(GATE_VERDICT_TAG) == PROVISIONAL:
        lines.line(
            f"Version {production.number} is in production, provisionally: {reason_of(production)}",
            style="yellow",
        )
    else:
        lines.line(f"Version {production.number} is in production.")
    if not versions or PRODUCTION in versions[0].aliases:
        return
    newest = versions[0]
    if newest.tags.get(GATE_VERDICT_TAG) == REFUSED:
        lines.line(f"The gate refused version {newest.number}. {reason_of(newest)}", style="yellow")
    elif CHALLENGER in newest.aliases:
        lines.line(
            f"Version {newest.number} is the challenger; `movierank promote {newest.number}` lets it serve."
            f" {reason_of(newest)}"
        )


def reason_of(version: Version) -> str:
    return version.tags.get(GATE_REASON_TAG, "The gate has not judged it.")
