"""`movierank evaluate`."""

import math
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from movierank_cli.console import StepLines
from movierank_cli.options import data_options, settings_of
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.compare import HEADLINE, RECALL
from movierank_pipeline.evaluation.interval_text import interval_text, p_text
from movierank_pipeline.evaluation.measures.debiased import PREFIX
from movierank_pipeline.evaluation.measures.summary import summary_lines
from movierank_pipeline.evaluation.protocols.targets import TargetsMode
from movierank_pipeline.evaluation.report import Ablation, Report
from movierank_pipeline.evaluation.run import N_REFITS, ProtocolName, evaluate_dataset
from movierank_pipeline.training.requests import FactsMode

METRICS = (HEADLINE, RECALL, f"{PREFIX}{HEADLINE}", "coverage@10")
JUDGED_METRICS = (HEADLINE, RECALL, "bpref", "judged@10")
_WHO = {"strong": " whom training has not seen", "judged": " with judgments"}
TABLE_WIDTH = 160
"""Minimum width of the tables, in characters. Below it, cells would wrap where the output is not a
terminal."""


@click.command()
@data_options
@click.option(
    "--protocol",
    type=click.Choice(["temporal", "rolling", "strong"]),
    help="temporal (default): later moments of all users. rolling: the same requests, with the candidate"
    " sources fitted again at later moments. strong: users that training has not seen.",
)
@click.option(
    "--facts",
    type=click.Choice(["day", "origin"]),
    default="day",
    show_default=True,
    help="Which popularity and mean ratings of movies the temporal protocol shows to the ranker and the"
    " baselines. day: those of the midnight before each request, as in service. origin: those of the moment"
    " at which the sources were fitted.",
)
@click.option(
    "--targets",
    type=click.Choice(["all", "last", "random"]),
    default="all",
    show_default=True,
    help="What a request of the temporal or rolling protocol has to find: all later likes of its user, the"
    " last one, or one at random.",
)
@click.option(
    "--refits",
    "n_refits",
    type=click.IntRange(1, 100),
    help=f"Number of refits of the rolling protocol.  [default: {N_REFITS}]",
)
@click.option(
    "--qrels",
    type=click.Path(path_type=Path),
    help="Judgments in TREC's format, `user 0 movie grade`: the whole history of each judged user is the"
    " request. Replaces the protocol.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="PART",
    help="Train without this group of features (docs/features.md), this block, written `block:genre`, or this"
    " source, written `source:als`."
    " Repeat the option for several parts.",
)
@click.option(
    "--ablate",
    "with_ablations",
    is_flag=True,
    help="Also train without each group and block of features, and without each source; show the"
    " contributions.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures here.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a page with plots here.")
def evaluate(
    data_dir: Path | None,
    dataset: str | None,
    tmdb_file: Path | None,
    protocol: str | None,
    facts: str,
    targets: str,
    n_refits: int | None,
    qrels: Path | None,
    without: tuple[str, ...],
    with_ablations: bool,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Compare the ranker with every baseline on a data set.

    Trains on one part of the ratings and tests on another, as docs/protocols.md describes. It needs no
    registered model and registers none.
    """
    lines = StepLines()
    try:
        stored = evaluate_dataset(
            settings_of(data_dir, dataset, tmdb_file),
            Paths.from_environment(),
            lines.working,
            protocol=cast(ProtocolName | None, protocol),
            facts=cast(FactsMode, facts),
            targets=cast(TargetsMode, targets),
            n_refits=n_refits,
            qrels=qrels,
            without=without,
            with_ablations=with_ablations,
        )
    finally:
        lines.stop()
    if json_file is not None:
        json_file.write_bytes(stored.report.to_json())
    if html_file is not None:
        html_file.write_text(stored.html, "utf-8")
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, TABLE_WIDTH)
    _print(console, stored.report)
    _print_ablations(console, stored.report.ablations, "the group")
    _print_ablations(console, stored.report.block_ablations, "the block")
    _print_ablations(console, stored.report.source_ablations, "the source")


def _print(console: Console, report: Report) -> None:
    metrics = JUDGED_METRICS if report.protocol == "judged" else METRICS
    table = Table(box=None, pad_edge=False)
    table.add_column("system")
    for metric in metrics:
        table.add_column(metric)
    order = sorted(report.systems, key=lambda name: -report.systems[name][HEADLINE].mean)
    for name in order:
        figures = report.systems[name]
        table.add_row(name, *(escape(interval_text(figures[metric])) for metric in metrics))
    console.print(table)
    best = report.best_source
    lead = report.differences[HEADLINE][best]
    difference = f"{interval_text(lead, signed=True)} {HEADLINE}, {p_text(lead)}"
    what = f" after {report.split_time[:10]}" if report.split_time else _WHO.get(report.protocol, "")
    facts = f" Facts of the {report.facts}. Targets: {report.targets}." if report.split_time else ""
    without = f" Trained without {', '.join(report.without)}." if report.without else ""
    error = report.expected_calibration_error
    calibration = "" if math.isnan(error) else f" Expected calibration error {error:.3f}."
    console.print(
        f"{report.n_requests:,} requests of {report.n_users:,} users{what}{report.sample_text}."
        f"{facts}{without}"
        f" The ranker minus its best source, {best}: {difference}."
        f"{calibration}",
        markup=False,
    )
    for line in summary_lines(report):
        console.print(line, markup=False)


def _print_ablations(console: Console, ablations: dict[str, Ablation], what: str) -> None:
    """Prints the contribution of each part to the ranker, the largest in nDCG@10 first."""
    if not ablations:
        return
    table = Table(box=None, pad_edge=False)
    titles = ("without", "features", HEADLINE, f"contribution of {what}", f"{RECALL}, contribution")
    for title in (*titles, f"corrected, {HEADLINE}"):
        table.add_column(title, justify="right" if title == "features" else "left")
    for name in sorted(ablations, key=lambda name: -ablations[name].differences[HEADLINE].mean):
        part = ablations[name]
        table.add_row(
            name,
            str(part.n_features),
            escape(interval_text(part.metrics[HEADLINE])),
            *(escape(interval_text(part.differences[metric], signed=True)) for metric in (HEADLINE, RECALL)),
            p_text(part.differences[HEADLINE]),
        )
    console.print()
    console.print(table)
