"""The evaluation as one HTML file that needs nothing else: styles and pictures are inside it.

The input is the JSON of `EvaluationReport`, read as plain data, so that a file written earlier can be
shown as well:

- `systems` (needed): {system: {metric: {"mean", "low", "high"}}}
- `differences`, `recall_differences`: {system: {"mean", "low", "high", "relative"}}, the ranker minus that
  system in nDCG@10 and in recall@100
- `slices`: {label: {"n_requests", "n_users", "systems", "differences": as above}}
- `best_source`, `recent_popularity`: the systems that slices are compared with
- `calibration`: the rows of a reliability table
- `importance`: {feature: share of the gain}
- `ablations`, `source_ablations`: {what: {"n_features", "metrics": {metric: …}, "differences": {metric: …}}}
- `without`: names of what the ranker was trained without
- every other key with a number, a text or a truth value is shown as a fact about the run.

What is missing is left out; a null is a value that nobody has, shown as a dash.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from movierank_pipeline.evaluation.plots import (
    Interval,
    Systems,
    differences_plot,
    importance_plot,
    reliability_plot,
    slices_plot,
    systems_plot,
)

HEADLINE: Final = "ndcg@10"
RECALL: Final = "recall@100"
MAIN: Final = "movierank"

_MEANINGS: Final = {
    "ndcg": "how near the top the liked movies are, 1 for the best possible order",
    "precision": "share of the places filled with movies that were liked later",
    "recall": "share of the later likes that are in the list",
    "map": "mean average precision: precision at each liked movie found, over all liked",
    "mrr": "one over the place of the first liked movie",
    "coverage": "share of the catalogue that is in anybody's list",
    "novelty": "mean surprise of the movies shown, in bits: higher is less known",
    "diversity": "one minus the mean likeness in genre of the pairs in a list",
}

_STYLE: Final = """
:root { color-scheme: light dark; --line: #cbd5e1; --soft: #64748b; --accent: #c2410c; --mark: #ffedd5; }
@media (prefers-color-scheme: dark) {
  :root { --line: #334155; --soft: #94a3b8; --accent: #fb923c; --mark: #43200f; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.main td { background: var(--mark); font-weight: 600; }
td small { color: var(--soft); font-weight: 400; display: block; }
td.best { color: var(--accent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; border-radius: .4rem; }
figcaption { color: var(--soft); }
"""


def render_html(report: Mapping[str, Any], title: str = "movierank: evaluation") -> str:
    """One self-contained HTML page of `report`, in the shape described above."""
    systems: Systems = report["systems"]
    slices: Mapping[str, Any] = report.get("slices") or {}
    parts = [f"<h1>{escape(title)}</h1>", _facts(report)]
    parts += ["<h2>Systems</h2>", _systems_table(systems), _meanings(systems)]
    if any(HEADLINE in metrics for metrics in systems.values()):
        parts.append(_figure(systems_plot(systems, HEADLINE), f"Systems by {HEADLINE}"))
    if report.get("differences"):
        parts += [
            f"<h2>{MAIN} minus each other system, paired by user</h2>",
            _differences(report["differences"], report.get("recall_differences") or {}),
            _figure(differences_plot(report["differences"], HEADLINE), f"{MAIN} minus each other system"),
        ]
    if slices:
        rivals = [report[key] for key in ("best_source", "recent_popularity") if report.get(key)]
        parts += ["<h2>By length of the history</h2>", _slices_table(slices, list(dict.fromkeys(rivals)))]
        by_slice = {label: part["systems"] for label, part in slices.items()}
        plot = slices_plot(by_slice, HEADLINE, always=rivals)
        parts.append(_figure(plot, f"{HEADLINE} by length of the history"))
    if report.get("ablations"):
        parts += ["<h2>What each group of features is worth</h2>", _ablation_table(report["ablations"])]
    if report.get("source_ablations"):
        parts += ["<h2>What each candidate source is worth</h2>", _ablation_table(report["source_ablations"])]
    if report.get("calibration"):
        parts += ["<h2>Are the scores probabilities?</h2>", _calibration_table(report["calibration"])]
        parts.append(_figure(reliability_plot(report["calibration"]), "Reliability diagram"))
    if report.get("importance"):
        parts += ["<h2>What the ranker looks at</h2>"]
        parts.append(_figure(importance_plot(report["importance"]), "Feature importance"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _facts(report: Mapping[str, Any]) -> str:
    given = {**report, "without": ", ".join(report.get("without") or ())}
    facts = [
        (name, value) for name, value in given.items() if isinstance(value, str | int | float) and value != ""
    ]
    rows = [f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{_value(value)}</dd>" for name, value in facts]
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


def _systems_table(systems: Systems) -> str:
    """One row per system, best first by the headline metric (or the first one there is)."""
    metrics = list(dict.fromkeys(metric for values in systems.values() for metric in values))
    key = HEADLINE if HEADLINE in metrics else metrics[0] if metrics else ""
    names = sorted(systems, key=lambda name: -_mean(systems[name].get(key)))
    best = {metric: max(_mean(systems[name].get(metric)) for name in names) for metric in metrics}
    rows = []
    for name in names:
        cells = []
        for metric in metrics:
            interval = systems[name].get(metric)
            mark = ' class="best"' if _mean(interval) == best[metric] else ""
            cells.append(f"<td{mark}>{_interval(interval)}</td>")
        row_class = ' class="main"' if name == MAIN else ""
        rows.append(f"<tr{row_class}><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return _table(["system", *metrics], rows)


def _meanings(systems: Systems) -> str:
    shown = {metric.partition("@")[0] for values in systems.values() for metric in values}
    known = [(name, text) for name, text in _MEANINGS.items() if name in shown]
    rows = [f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in known]
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


def _differences(differences: Mapping[str, Interval], of_recall: Mapping[str, Interval]) -> str:
    """Nearest system first."""
    rows = []
    for name in sorted(differences, key=lambda name: _mean(differences[name])):
        cells = [f"<td>{_interval(differences[name], signed=True)}</td>", _share(differences[name])]
        if of_recall:
            cells += [f"<td>{_interval(of_recall.get(name), signed=True)}</td>", _share(of_recall.get(name))]
        rows.append(f"<tr><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return _table(["system", HEADLINE, "relative", *([RECALL, "relative"] if of_recall else [])], rows)


def _slices_table(slices: Mapping[str, Any], rivals: Sequence[str]) -> str:
    names = list(dict.fromkeys(name for part in slices.values() for name in part["systems"]))
    rows = []
    for name in names:
        cells = [
            f"<td>{_interval(part['systems'].get(name, {}).get(HEADLINE))}</td>" for part in slices.values()
        ]
        row_class = ' class="main"' if name == MAIN else ""
        rows.append(f"<tr{row_class}><td>{escape(name)}</td>{''.join(cells)}</tr>")
    for name in rivals:
        found = [(part.get("differences") or {}).get(name) for part in slices.values()]
        cells = [
            f"<td>{_interval(difference, signed=True)}{_percent(difference)}</td>" for difference in found
        ]
        rows.append(f"<tr><td>{MAIN} minus {escape(name)}</td>{''.join(cells)}</tr>")
    counts = "".join(f"<td>{part['n_requests']} / {part['n_users']}</td>" for part in slices.values())
    rows.append(f"<tr><td>requests / users</td>{counts}</tr>")
    return _table([f"{HEADLINE} of", *slices], rows)


def _ablation_table(ablations: Mapping[str, Any]) -> str:
    """What matters most first: the whole ranker minus one that was trained without a part."""
    rows = []
    for name in sorted(ablations, key=lambda name: -_mean(ablations[name]["differences"].get(HEADLINE))):
        part = ablations[name]
        cells = [f"<td>{part['n_features']}</td>"]
        for metric in (HEADLINE, RECALL):
            cells.append(f"<td>{_interval(part['metrics'].get(metric))}</td>")
            cells.append(f"<td>{_interval(part['differences'].get(metric), signed=True)}</td>")
        rows.append(f"<tr><td>{escape(name)}</td>{''.join(cells)}</tr>")
    return _table(["without", "features", HEADLINE, "worth", RECALL, "worth"], rows)


def _calibration_table(table: Sequence[Mapping[str, float]]) -> str:
    rows = [
        f"<tr><td>{row['p_low']:.2f}–{row['p_high']:.2f}</td><td>{row['n']:.0f}</td>"
        f"<td>{row['mean_p']:.3f}</td><td>{row['observed']:.3f}</td></tr>"
        for row in table
    ]
    return _table(["predicted", "movies", "mean prediction", "liked"], rows)


def _table(head: Iterable[str], rows: Sequence[str]) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    whole = f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def _figure(png: bytes, caption: str) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    text = escape(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _interval(interval: Interval | None, *, signed: bool = False) -> str:
    """The mean, and below it the bounds where they say more than the mean."""
    form = "+.4f" if signed else ".4f"
    if interval is None or (mean := interval["mean"]) is None:
        return "–"
    low, high = interval["low"], interval["high"]
    if low is None or high is None or low == high:
        return format(mean, form)
    return f"{mean:{form}}<small>{low:{form}} to {high:{form}}</small>"


def _share(difference: Interval | None) -> str:
    """The difference as a share of the other system's mean."""
    share = None if difference is None else difference.get("relative")
    return f"<td>{'–' if share is None else f'{share:+.1%}'}</td>"


def _percent(difference: Interval | None) -> str:
    share = None if difference is None else difference.get("relative")
    return "" if share is None else f"<small>{share:+.1%}</small>"


def _mean(interval: Interval | None) -> float:
    mean = None if interval is None else interval["mean"]
    return float("-inf") if mean is None else mean


def _value(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
