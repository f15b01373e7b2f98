"""The model card: what a version is, what it was made from, how good it is, what it is not for."""

import math

from movierank_core.manifest import Manifest
from movierank_core.mlflow_store import MODEL_NAME
from movierank_pipeline.evaluation.bootstrap import Interval
from movierank_pipeline.evaluation.compare import HEADLINE, RECALL
from movierank_pipeline.evaluation.evaluate import EvaluationReport

SHOWN = (HEADLINE, "recall@10", RECALL, "mrr", "coverage@10", "novelty@10")

SIMULATED = """\
**The ratings are simulated.** The films are real, the people are not: the figures say how well the method
recovers a known model of taste, not how well it would serve people.
"""
LICENCE = {
    False: "MovieLens data are for research; GroupLens's licence forbids commercial use without permission."
    " See the README of the data set.",
    True: "The simulated ratings may be used freely.",
}
TMDB = (
    "Film facts come from TMDB where they were enriched. This product uses the TMDB API but is not endorsed"
    " or certified by TMDB."
)


def model_card(manifest: Manifest, report: EvaluationReport, data_from: str, data_until: str) -> str:
    """Markdown; figures are those of the report, with 95 % intervals over users."""
    simulated = f"\n{SIMULATED}" if manifest.ratings_are_simulated else ""
    return f"""\
# {MODEL_NAME}: {manifest.dataset}, {manifest.data_as_of[:10]}
{simulated}
## What it does

Ranks the films of its catalogue for one person, from that person's events up to the moment of the request.
The score is the probability that they like a film (rate it 4 or more) if they watch it.

**Intended use**: proposing films to people. **Not for**: judging people, or anything where a wrong guess
costs more than an evening.

## Data

| | |
|---|---|
| data set | {manifest.dataset} |
| events | {manifest.n_interactions:,} from {data_from[:10]} to {data_until[:10]} |
| people | {manifest.n_users:,} |
| films | {manifest.n_movies:,} |
| hash of the events | `{manifest.data_hash}` |
| fitted on events before | {manifest.data_as_of} |

The version holds aggregates over people, and nothing about any single person.

## How good it is

Protocol `{report.protocol}`: fitted on events before {report.split_time}, asked at {report.n_requests:,}
later moments of {report.n_users:,} people, over the full catalogue. Means over people; 95 % intervals in
brackets.

{_systems_table(report)}

The ranker minus the best single source and minus what was popular lately, paired by person:

{_differences_table(report)}

Expected calibration error of the score: {report.expected_calibration_error:.3f}.

By length of the history, nDCG@10 and, in the last columns, the ranker's lead as a share of the other's:

{_slices_table(report)}

## Limits

- Offline figures count films that people rated, which are films they came across by other ways. They say
  which model orders films better, not how many more people will be content.
- {report.unknown_like_share:.0%} of later likes were for films that nobody had an event with before the
  split; only content can propose those.
- A person without a history gets what was popular lately.
- MovieLens timestamps say when a rating was typed, in the order in which the site proposed films.
- TMDB's votes and popularity are of the day they were retrieved, not of the day of the rating.

## Loading it

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


def _systems_table(report: EvaluationReport) -> str:
    shown = [metric for metric in SHOWN if any(metric in figures for figures in report.systems.values())]
    lines = [f"| system | {' | '.join(shown)} |", f"|---|{'---|' * len(shown)}"]
    for system, figures in report.systems.items():
        cells = [_interval(figures[metric]) if metric in figures else "" for metric in shown]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rivals(report: EvaluationReport) -> list[str]:
    """The best source and recent popularity, which may be the same."""
    return list(dict.fromkeys((report.best_source, report.recent_popularity)))


def _differences_table(report: EvaluationReport) -> str:
    lines = [f"| minus | {HEADLINE} | {RECALL} |", "|---|---|---|"]
    for name in _rivals(report):
        cells = [
            _interval(differences[name], signed=True) if name in differences else ""
            for differences in (report.differences, report.recall_differences)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _slices_table(report: EvaluationReport) -> str:
    systems = list(dict.fromkeys(name for part in report.slices.values() for name in part.systems))
    rivals = _rivals(report)
    columns = ["nDCG@10", "requests", "people", *systems, *(f"against {name}" for name in rivals)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for label, part in report.slices.items():
        cells = [f"{part.systems[name][HEADLINE].mean:.3f}" for name in systems]
        leads = [part.differences[name].relative for name in rivals]
        cells += ["–" if math.isnan(lead) else f"{lead:+.1%}" for lead in leads]
        lines.append(f"| {label} | {part.n_requests:,} | {part.n_users:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(interval: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if interval.low == interval.high:
        return f"{interval.mean:{sign}.3f}"
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
