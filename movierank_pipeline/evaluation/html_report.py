"""The evaluation as one HTML file without references: styles and pictures are inside it.

The input is the JSON of `Report.to_json` as plain data, so files that were written earlier can be shown too:

- `systems` (required): {system: {metric: {"mean", "low", "high"}}}
- `differences`, `recall_differences`: {system: {"mean", "low", "high", "relative"}}, the ranker minus that
  system in nDCG@10 and in recall@100
- `slices`: {label: {"n_requests", "n_users", "systems", "differences": as above, "best_source", "leads"}}
- `slice_verdict`: one sentence about them
- `ties`: {"n_targets", "tied_share", "parts": {part: {"n_requests", "n_users", "systems"}}, "choice_share",
  "band": {system: {"worst", "best"}}}
- `shuffled`, `shuffled_ties`: {"metrics": {metric: …}, "differences": {metric: …}}
- `judged`: {name: number}
- `best_source`, `recent_popularity`: the systems that slices are compared with
- `calibration`: the rows of a reliability table
- `importance`: {feature: share of the gain}
- `ablations`, `block_ablations`, `source_ablations`: {part: {"n_features", "metrics": {metric: …},
  "differences": {metric: …}}}
- `without`, `refits`: lists of texts
- every other number, text or truth value is shown as a fact about the run.

Missing entries are left out. A null is an unknown value and shown as a dash.
"""

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from movierank_pipeline.evaluation.compare import HEADLINE, MAIN, RECALL
from movierank_pipeline.evaluation.interval_text import UNKNOWN, interval_text
from movierank_pipeline.evaluation.measures.debiased import PREFIX
from movierank_pipeline.evaluation.plots import (
    Interval,
    Systems,
    differences_plot,
    importance_plot,
    reliability_plot,
    slices_plot,
    systems_plot,
)

_TEMPLATES: Final = Path(__file__).with_name("templates")
_SHUFFLED: Final = {"shuffled": "all events", "shuffled_ties": "within each second"}
_MEANINGS: Final = {
    "ndcg": "normalised discounted cumulative gain: 1 if all liked movies are at the top of the list",
    "precision": "share of the ranks that hold a movie that was liked later",
    "recall": "share of the later likes that are in the list",
    "map": "mean average precision: precision at the rank of each listed like, over all later likes",
    "mrr": "mean reciprocal rank: one over the rank of the first liked movie",
    "coverage": "share of the catalogue that is in at least one list",
    "novelty": "mean surprise of the listed movies, in bits: a higher value is a lesser-known movie",
    "bpref": "binary preference: 1 if every relevant movie is above all judged movies that are not",
    "judged": "share of the ranks that hold a judged movie",
    "unreleased": "share of the results that did not exist yet",
    "diversity": "one minus the mean genre similarity of all pairs in a list",
}


def render_html(
    report: Mapping[str, Any],
    title: str = "movierank: evaluation",
    plots: Mapping[str, bytes] | None = None,
) -> str:
    """One self-contained HTML page of `report`, in the shape described above.

    `plots`: those of `plots_of`, if they are drawn already.
    """
    systems: Systems = report["systems"]
    slices: Mapping[str, Any] = report.get("slices") or {}
    differences: Mapping[str, Interval] = report.get("differences") or {}
    every_metric = list(dict.fromkeys(metric for figures in systems.values() for metric in figures))
    metrics = [metric for metric in every_metric if not metric.startswith(PREFIX)]
    debiased = [metric for metric in metrics if f"{PREFIX}{metric}" in every_metric]
    # Systems are sorted by the headline metric, or by the first one where that is missing.
    key = HEADLINE if HEADLINE in metrics else metrics[0] if metrics else ""
    names = sorted(systems, key=lambda name: -_mean(systems[name].get(key)))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            main=MAIN,
            unknown=UNKNOWN,
            headline=HEADLINE,
            recall=RECALL,
            facts=_facts(report),
            meanings=_meanings(metrics),
            systems=systems,
            names=names,
            metrics=metrics,
            debiased=debiased,
            debiased_prefix=PREFIX,
            ties=report.get("ties") or {},
            tie_metrics=[metric for metric in (key, RECALL) if metric in metrics],
            shuffled=[(what, report[name]) for name, what in _SHUFFLED.items() if report.get(name)],
            slice_verdict=report.get("slice_verdict"),
            best={metric: max(_mean(systems[name].get(metric)) for name in names) for metric in metrics},
            differences=sorted(differences.items(), key=lambda item: _mean(item[1])),
            recall_differences=report.get("recall_differences") or {},
            slices=slices,
            slice_names=list(dict.fromkeys(name for part in slices.values() for name in part["systems"])),
            baselines=list(dict.fromkeys(_baselines(report))),
            ablations=_largest_first(report.get("ablations") or {}),
            block_ablations=_largest_first(report.get("block_ablations") or {}),
            source_ablations=_largest_first(report.get("source_ablations") or {}),
            calibration=report.get("calibration") or [],
            plots=plots_of(report) if plots is None else plots,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        interval=_interval, share=_share, mean=_mean, data_uri=_data_uri, p_value=_p_value
    )
    return environment


def plots_of(report: Mapping[str, Any]) -> dict[str, bytes]:
    """The plots that `report` has the figures for, as PNG by name."""
    plots = {}
    systems, slices = report["systems"], report.get("slices")
    if any(HEADLINE in metrics for metrics in systems.values()):
        plots["systems"] = systems_plot(systems, HEADLINE)
    if report.get("differences"):
        plots["differences"] = differences_plot(report["differences"], HEADLINE)
    if slices:
        by_slice = {label: part["systems"] for label, part in slices.items()}
        plots["ndcg_by_history_length"] = slices_plot(by_slice, HEADLINE, always=_baselines(report))
    if report.get("calibration"):
        plots["reliability"] = reliability_plot(report["calibration"])
    if report.get("importance"):
        plots["importance"] = importance_plot(report["importance"])
    return plots


def _baselines(report: Mapping[str, Any]) -> list[str]:
    """The systems that slices are compared with."""
    return [report[key] for key in ("best_source", "recent_popularity") if report.get(key)]


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of all entries that are one value; empty texts are left out."""
    lists = {name: ", ".join(report.get(name) or ()) for name in ("without", "refits")}
    given = {**report, **lists, **(report.get("judged") or {})}
    return [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in given.items()
        if isinstance(value, str | int | float) and value != "" and name != "slice_verdict"
    ]


def _meanings(metrics: list[str]) -> list[tuple[str, str]]:
    shown = {metric.partition("@")[0] for metric in metrics}
    return [(name, text) for name, text in _MEANINGS.items() if name in shown]


def _largest_first(ablations: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Parts by their contribution to the headline metric, the largest first."""
    return sorted(ablations.items(), key=lambda item: -_mean(item[1]["differences"].get(HEADLINE)))


def _interval(interval: Interval | None, *, signed: bool = False) -> Markup:
    """The mean, with its bounds below it in small print."""
    layout = "{mean}<small>{low} to {high}</small>"
    return Markup(interval_text(interval or None, signed=signed, layout=layout))  # Digits alone.


def _share(difference: Interval | None) -> str:
    """The difference as a share of the other system's mean."""
    share = difference.get("relative") if difference else None
    return UNKNOWN if share is None else f"{share:+.1%}"


def _p_value(difference: Mapping[str, float | None] | None) -> str:
    """The corrected p value."""
    p = difference.get("p_holm") if difference else None
    return UNKNOWN if p is None else f"p {p:.3f}"


def _mean(interval: Interval | None) -> float:
    """The mean; minus infinity where it is unknown."""
    mean = interval["mean"] if interval else None
    return float("-inf") if mean is None else mean


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
