"""How far a like, a dislike or a click moves the ten most similar films in the next answer.

    PYTHONPATH=. python benchmarks/feedback_moves.py --data-dir DIR [--tmdb-file FILE] [--requests 250]
        [--validation] [--json OUT.json]

The ranker of the temporal protocol answers requests twice: as they are, and one second later, after an event
with one of the first hundred films of the list. The ten most similar films of the catalogue are looked up in
both lists, without the film of the event. Positive places are a move down; a film that leaves the list has
the place after the last. Beside the median: nDCG@10 and recall@100 as served, and minus the same lists
without the rule for dislikes (`reranking/dislikes.py`), paired by user. `--validation` takes the validation
requests, on which the rule was chosen, instead of the test requests.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movierank_core.data.catalogue import Catalogue
from movierank_core.data.history import Event
from movierank_core.data.interactions import InteractionArrays
from movierank_core.paths import Paths
from movierank_core.recommender.model import RankingModel
from movierank_core.recommender.state import fit_state
from movierank_core.reranking.dislikes import similar_films
from movierank_pipeline.evaluation.compare import paired_differences, request_values, system_intervals
from movierank_pipeline.evaluation.interval_text import interval_text
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.ranking_metrics import hits_of
from movierank_pipeline.settings import Settings
from movierank_pipeline.training.ranker import train_ranker
from movierank_pipeline.training.requests import Request, fit_moments, plan_requests, replay
from movierank_pipeline.training.training_set import build_training_set

EVENTS: Final = {"like": ("rating", 4.5), "dislike": ("rating", 1.5), "click": ("click", None)}
"""Event type and rating."""
N_SIMILAR: Final = 10
N_FIRST: Final = 100
"""The film of an event is drawn from so many first films of the list."""
DEPTH: Final = 100
SERVED, UNRULED = "movierank", "without the rule"


def moves(
    model: RankingModel, catalogue: Catalogue, requests: list[Request], kind: str, seed: int
) -> NDArray[np.int64]:
    """Places by which each of the similar films in the list moves down after an event of `kind`."""
    rng = np.random.default_rng(seed)
    event_type, rating = EVENTS[kind]
    found: list[int] = []
    for request in requests:
        before = model.score(request.history, as_of=request.as_of).listed
        film = int(before[rng.integers(min(N_FIRST, len(before)))])
        event = Event(int(catalogue.movie_ids[film]), event_type, request.as_of, rating)
        after = model.score(request.history.then([event]), as_of=request.as_of + 1).listed
        similar = similar_films(film, model.state.sources)
        most = similar.rows[np.lexsort((similar.rows, -similar.values))[:N_SIMILAR]]
        places = [
            {row: place for place, row in enumerate(ranked[ranked != film].tolist())}
            for ranked in (before, after)
        ]
        found += [
            places[1].get(row, len(places[1])) - places[0][row] for row in most.tolist() if row in places[0]
        ]
    return np.array(found, np.int64)


def cost(model: RankingModel, requests: list[Request], seed: int) -> dict[str, Any]:
    """nDCG@10 and recall@100 of the lists, and their difference to the lists without the rule."""
    lists = {name: np.full((len(requests), DEPTH), -1, np.int64) for name in (SERVED, UNRULED)}
    for index, request in enumerate(requests):
        scored = model.score(request.history, as_of=request.as_of)
        plain = replace(scored, drops=np.zeros(len(scored.rows)))
        for name, rows in ((SERVED, scored.listed), (UNRULED, plain.listed)):
            lists[name][index, : len(rows[:DEPTH])] = rows[:DEPTH]
    targets = [request.targets for request in requests]
    n_relevant = np.array([len(rows) for rows in targets])
    user_ids = np.array([request.user_id for request in requests])
    values = {name: request_values(hits_of(ranked, targets), n_relevant) for name, ranked in lists.items()}
    differences = paired_differences(values, user_ids, seed)
    return {
        metric: {
            "served": system_intervals(values, user_ids, seed)[SERVED][metric],
            "less without the rule": of_metric[UNRULED],
        }
        for metric, of_metric in differences.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="a folder with the files of any MovieLens edition")
    parser.add_argument("--tmdb-file", help="a TMDB metadata file")
    parser.add_argument("--requests", type=int, default=250, help="requests that get an event")
    parser.add_argument("--validation", action="store_true", help="the validation requests, not the test")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    settings = Settings.from_environment(given={"data_dir": given.data_dir, "tmdb_file": given.tmdb_file})
    config = settings.model_parameters
    interactions, catalogue = read_events(settings, Paths.from_environment(), print)
    data = InteractionArrays.from_frame(interactions, catalogue)
    planned = plan_requests(data, catalogue, config)
    role = "validation" if given.validation else "test"
    moments = fit_moments(data, config)
    as_of = moments[-2] if given.validation else moments[-1]
    stop = moments[-1] if given.validation else None
    ranker = train_ranker(build_training_set(data, planned, catalogue, config, print), config)
    model = ranker.on(catalogue, fit_state(data, catalogue, as_of, config))
    chosen = planned.filter(planned["role"] == role)
    requests = [each for each in replay(chosen, data, catalogue, stop) if len(each.history)]
    drawn = np.random.default_rng(config.seed).permutation(len(requests))[: given.requests]
    some = [requests[index] for index in drawn]
    report: dict[str, Any] = {"requests": role, "n_requests": len(requests), "moves": {}}
    print(f"| event ({role} requests) | median places down | quartiles | films |\n|---|---|---|---|")
    for kind in EVENTS:
        places = moves(model, catalogue, some, kind, config.seed)
        low, median, high = (float(np.quantile(places, share)) for share in (0.25, 0.5, 0.75))
        report["moves"][kind] = {"median": median, "quartiles": [low, high], "n_films": len(places)}
        print(f"| {kind} | {median:+.0f} | {low:+.0f}, {high:+.0f} | {len(places)} |")
    report["cost"] = msgspec.to_builtins(cost(model, requests, config.seed))
    print("\n| metric | served | less without the rule |\n|---|---|---|")
    for metric, figures in report["cost"].items():
        served, difference = figures["served"], figures["less without the rule"]
        print(f"| {metric} | {interval_text(served)} | {interval_text(difference, signed=True)} |")
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
