"""The model card of a version: purpose, data, evaluation, limits and licences, as Markdown."""

import math

from movierank_core.manifest import Manifest
from movierank_core.mlflow_store import MODEL_NAME
from movierank_pipeline.evaluation.compare import HEADLINE, RECALL
from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.report import Report

DIGITS = 3
"""Decimal places of the figures in the tables."""
SHOWN = (HEADLINE, "recall@10", RECALL, "mrr", "coverage@10", "novelty@10")

SIMULATED = """\
**The ratings are simulated.** The films are real, the people are not. The figures show how well the method
recovers a known model of taste, not how well it would serve real people.
"""
LICENCE = {
    False: "MovieLens data are for research. GroupLens's licence forbids commercial use without permission;"
    " see the README of the data set.",
    True: "The simulated ratings may be used freely.",
}
TMDB = (
    "Enriched film facts come from TMDB. This product uses the TMDB API but is not endorsed or certified by"
    " TMDB."
)


def model_card(manifest: Manifest, report: Report, data_from: str, data_until: str) -> str:
    """The model card as Markdown. All figures come from `report`, with 95 % intervals over users."""
    simulated = f"\n{SIMULATED}" if manifest.ratings_are_simulated else ""
    return f"""\
# {MODEL_NAME}: {manifest.dataset}, {manifest.data_as_of[:10]}
{simulated}
## What it does

Ranks the films of its catalogue for one person, from that person's events before the request. The score is
the probability that the person likes the film (rates it 4 or more), given that they rate it.

**Intended use**: recommending films. **Not for**: decisions about people, or any use in which a wrong
recommendation does harm.

## Data

| | |
|---|---|
| data set | {manifest.dataset} |
| events | {manifest.n_interactions:,} from {data_from[:10]} to {data_until[:10]} |
| people | {manifest.n_users:,} |
| films | {manifest.n_movies:,} |
| hash of the events | `{manifest.data_hash}` |
| fitted on events before | {manifest.data_as_of} |

The version holds aggregates over people. It holds no history of a person.

## Evaluation

Protocol `{report.protocol}`: fitted on events before {report.split_time}, then {report.n_requests:,} later
requests of {report.n_users:,} people{report.sample_text}, ranked over the full catalogue. Means over people,
with 95 % intervals in brackets.

{_systems_table(report)}

The ranker minus the best single source, and minus recent popularity, paired by person:

{_differences_table(report)}

Expected calibration error of the score: {report.expected_calibration_error:.3f}.

nDCG@10 by history length. The last columns give the ranker's lead as a share of the baseline's nDCG@10:

{_slices_table(report)}

## Limits

- Offline figures only count films that people rated, and people found those films in other ways. The figures
  compare models; they do not predict how many recommendations people will like.
- {report.unknown_like_share:.0%} of later likes were for films without any event before the split. Only the
  content source can propose those.
- A person without a history gets recent popularity.
- MovieLens timestamps record when a rating was typed, in the order in which the site proposed films.
- TMDB's votes and popularity are values of the day of retrieval, not of the day of the rating.

## Loading

```python
import mlflow

model = mlflow.pyfunc.load_model("models:/{MODEL_NAME}@production")
model.predict([{{"movie_ids": [...], "ratings": [...], "timestamps": [...], "k": 10}}])
```

or `mlflow models serve -m models:/{MODEL_NAME}@production --env-manager local`, or `movierank serve`.
Bundle format {manifest.format_version}, {len(manifest.features)} features, written with
{", ".join(f"{name} {version}" for name, version in sorted(manifest.library_versions.items()))}.

## Licences

{LICENCE[manifest.ratings_are_simulated]} {TMDB}
"""


def _systems_table(report: Report) -> str:
    shown = [metric for metric in SHOWN if any(metric in figures for figures in report.systems.values())]
    lines = [f"| system | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for system, figures in report.systems.items():
        cells = [
            interval_text(figures[metric], digits=DIGITS) if metric in figures else "" for metric in shown
        ]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _baselines(report: Report) -> list[str]:
    """The best source and recent popularity; one entry if they are the same system."""
    return list(dict.fromkeys((report.best_source, report.recent_popularity)))


def _differences_table(report: Report) -> str:
    lines = [f"| minus | {HEADLINE} | {RECALL} |", "|---|---|---|"]
    for name in _baselines(report):
        cells = [
            interval_text(differences[name], digits=DIGITS, signed=True) if name in differences else ""
            for differences in (report.differences[HEADLINE], report.differences[RECALL])
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _slices_table(report: Report) -> str:
    systems = list(dict.fromkeys(name for part in report.slices.values() for name in part.systems))
    baselines = _baselines(report)
    columns = ["nDCG@10", "requests", "people", *systems, *(f"against {name}" for name in baselines)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for label, part in report.slices.items():
        cells = [f"{part.systems[name][HEADLINE].mean:.3f}" for name in systems]
        leads = [part.differences[HEADLINE][name].relative for name in baselines]
        cells += ["–" if math.isnan(lead) else f"{lead:+.1%}" for lead in leads]
        lines.append(f"| {label} | {part.n_requests:,} | {part.n_users:,} | {' | '.join(cells)} |")
    return "\n".join(lines)
