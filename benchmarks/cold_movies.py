"""How the content source and the ranks reserved for cold movies serve movies without a rating.

    PYTHONPATH=. python benchmarks/cold_movies.py --data-dir DIR [--tmdb-file FILE] [--json OUT.json]

All events of a tenth of the movies are withheld from fitting, from training and from the histories of the
test requests. Three models answer the requests of the temporal protocol: the serving model, the same model
without reserved ranks, and a model without the content source. Lists from all movies are judged by likes of
the other movies (nDCG@10, recall@100) and by likes of the withheld ones (recall@100). Lists from movies
without an event alone, as for a request with `filters.max_votes` 0, are judged by likes of the withheld ones.
The withheld movies have every popularity, so finding them is harder than finding merely new movies.

"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from movierank_core.config import ModelConfig
from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import History
from movierank_core.data.interactions import InteractionArrays
from movierank_core.features.movie_facts import FactsOverTime
from movierank_core.paths import Paths
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import fit_state
from movierank_core.reranking.filters import Filters
from movierank_core.retrieval.sources.content import Content
from movierank_pipeline.evaluation.bootstrap import bootstrap_intervals
from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.ranking_metrics import hits_of, ndcg, recall
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import plan_requests, replay, split_time
from movierank_pipeline.training.state_of_day import StateOfDay
from movierank_pipeline.training.training_set import build_training_set

SHARE: Final = 0.1
DEPTH: Final = 100
AS_SERVED, UNRESERVED, WITHOUT = "as served", "nothing reserved", "without content"
COLUMNS: Final = (AS_SERVED, UNRESERVED, WITHOUT, "less nothing reserved", "less without content")


@dataclass(frozen=True)
class ColdRequest:
    """One request, with its warm and its withheld (cold) targets as catalogue rows."""

    user_id: int
    as_of: int
    history: History
    warm: NDArray[np.int64]
    cold: NDArray[np.int64]


def cold_requests(
    data: InteractionArrays, catalogue: Catalogue, config: ModelConfig, is_cold: NDArray[np.bool_]
) -> Iterator[ColdRequest]:
    """The test requests of the temporal protocol, without the withheld movies in their histories."""
    requests = plan_requests(data, catalogue, config).filter(pl.col("role") == "test")
    for request in replay(requests, data, catalogue):
        events = request.history
        kept = ~is_cold[catalogue.rows_of(events.movie_ids)]
        yield ColdRequest(
            request.user_id,
            request.as_of,
            History(
                events.movie_ids[kept],
                events.ratings[kept],
                events.timestamps[kept],
                events.event_codes[kept],
            ),
            request.targets[~is_cold[request.targets]],
            request.targets[is_cold[request.targets]],
        )


def values_of(
    model: RankingModel, requests_made: list[ColdRequest], facts: FactsOverTime
) -> dict[str, NDArray[np.float64]]:
    """One value per request, by measure, with `facts` of its day; NaN where a request has no target."""
    of_day = StateOfDay(model.state, facts)
    lists, among_unknown = (np.full((len(requests_made), DEPTH), -1, np.int64) for _ in range(2))
    for index, request in enumerate(requests_made):
        model = replace(model, state=of_day.at(request.as_of))
        for ranked, filters in ((lists, None), (among_unknown, Filters(max_votes=0))):
            rows = model.score(request.history, as_of=request.as_of, filters=filters).listed[:DEPTH]
            ranked[index, : len(rows)] = rows
    warm, cold = [request.warm for request in requests_made], [request.cold for request in requests_made]
    n_warm, n_cold = (np.array([len(rows) for rows in targets]) for targets in (warm, cold))
    return {
        "others: ndcg@10": ndcg(hits_of(lists, warm), n_warm, 10),
        "others: recall@100": recall(hits_of(lists, warm), n_warm, DEPTH),
        "withheld: recall@100": recall(hits_of(lists, cold), n_cold, DEPTH),
        "withheld, asked for: recall@100": recall(hits_of(among_unknown, cold), n_cold, DEPTH),
    }


def measure(data: InteractionArrays, catalogue: Catalogue, config: ModelConfig) -> dict[str, Any]:
    rng = np.random.default_rng(config.seed)
    is_cold = np.zeros(len(catalogue), np.bool_)
    is_cold[rng.choice(len(catalogue), round(SHARE * len(catalogue)), replace=False)] = True
    known = data.select(~is_cold[data.rows])
    split = split_time(data, config)
    requests = plan_requests(known, catalogue, config)
    facts = FactsOverTime.of(known, len(catalogue))
    state = fit_state(known, catalogue, split, config)
    is_unknown = ~state.is_known
    requests_made = list(cold_requests(data, catalogue, config, is_cold))
    user_ids = np.array([request.user_id for request in requests_made])
    values = {}
    for name, without in ((AS_SERVED, ()), (WITHOUT, (f"source:{Content.name}",))):
        print(f"{name}: training", flush=True)
        ranker = train_ranker(
            build_training_set(known, requests, catalogue, config, without=without), config, without=without
        )
        values[name] = values_of(ranker.on(catalogue, state), requests_made, facts)
        if name == AS_SERVED:
            unreserved = ranker.on(catalogue, replace(state, n_little_known=0))
            values[UNRESERVED] = values_of(unreserved, requests_made, facts)
    report: dict[str, Any] = {
        "n_requests": len(requests_made),
        "n_withheld_movies": int(is_cold.sum()),
        "n_unknown_movies": int(is_unknown.sum()),
        "chance_among_unknown": DEPTH / int(is_unknown.sum()),
        "measures": {},
    }
    for metric in values[AS_SERVED]:
        of_users = (
            pl.DataFrame({"user_id": user_ids, **{name: found[metric] for name, found in values.items()}})
            .filter(~pl.col(AS_SERVED).is_nan())
            .group_by("user_id", maintain_order=True)
            .mean()
        )
        ours, *others = (of_users[name].to_numpy() for name in (AS_SERVED, UNRESERVED, WITHOUT))
        columns = np.stack([ours, *others, *(ours - other for other in others)], axis=1)
        intervals = bootstrap_intervals(columns, config.seed)
        report["measures"][metric] = {
            "n_requests": int((~np.isnan(values[AS_SERVED][metric])).sum()),
            "n_users": len(of_users),
            **dict(zip(COLUMNS, msgspec.to_builtins(intervals), strict=True)),
        }
    return report


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"| | requests | {' | '.join(COLUMNS)} |", "|---|" + "---|" * (len(COLUMNS) + 1)]
    for metric, found in report["measures"].items():
        cells = [interval_text(found[part]) for part in COLUMNS]
        lines.append(f"| {metric} | {found['n_requests']} | {' | '.join(cells)} |")
    n_unknown, chance = report["n_unknown_movies"], report["chance_among_unknown"]
    return "\n".join(
        [*lines, "", f"{n_unknown} movies without an event; random order finds a share of {chance:.4f}."]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="a folder with the files of any MovieLens edition")
    parser.add_argument("--tmdb-file", help="a TMDB metadata file")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    settings = Settings.from_environment(given={"data_dir": given.data_dir, "tmdb_file": given.tmdb_file})
    interactions, catalogue = read_events(settings, Paths.from_environment(), print)
    data = InteractionArrays.from_frame(interactions, catalogue)
    report = measure(data, catalogue, settings.model_parameters)
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(table(report))


if __name__ == "__main__":
    main()
