"""`movierank evaluate`."""

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierank_cli.console import StepLines
from movierank_cli.options import data_options, settings_of
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.evaluate import HEADLINE, EvaluationReport
from movierank_pipeline.evaluation_run import evaluate_dataset

METRICS = (HEADLINE, "recall@100", "coverage@10")


@click.command()
@data_options
@click.option(
    "--protocol",
    type=click.Choice(["temporal"]),
    default="temporal",
    show_default=True,
    help="How requests and their targets are cut from the ratings.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a page with plots here.")
def evaluate(
    data_dir: Path | None,
    dataset: str | None,
    tmdb_file: Path | None,
    protocol: str,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Compare the ranker with every baseline on a data set.

    Trains on what came before the split and asks after it, as docs/evaluation.md describes. Nothing is
    registered, and nothing has to be.
    """
    lines = StepLines()
    try:
        stored = evaluate_dataset(
            settings_of(data_dir, dataset, tmdb_file), Paths.from_environment(), lines.working
        )
    finally:
        lines.stop()
    if json_file is not None:
        json_file.write_bytes(stored.report.to_json())
    if html_file is not None:
        html_file.write_text(stored.html, "utf-8")
    _print(stored.report)


def _print(report: EvaluationReport) -> None:
    console = Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("system")
    for metric in METRICS:
        table.add_column(metric)
    order = sorted(report.systems, key=lambda name: -report.systems[name][HEADLINE].mean)
    for name in order:
        figures = report.systems[name]
        table.add_row(name, *(escape(interval_text(figures[metric])) for metric in METRICS))
    console.print(table)
    best = report.best_source
    difference = interval_text(report.differences[best], signed=True)
    console.print(
        f"{report.n_requests:,} requests of {report.n_users:,} users after {report.split_time[:10]}."
        f" The ranker minus its best source, {best}: {difference} {HEADLINE}."
        f" Expected calibration error {report.expected_calibration_error:.3f}.",
        markup=False,
    )


def interval_text(interval: Interval, *, signed: bool = False) -> str:
    """The mean with its 95 % interval; the mean alone where there is none."""
    form = "+.4f" if signed else ".4f"
    if interval.low == interval.high:
        return f"{interval.mean:{form}}"
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
