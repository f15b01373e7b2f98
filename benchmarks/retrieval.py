"""Time of all candidate sources for one request, at the size of the largest MovieLens data set.

The sources have the shapes of a fit on `ml-32m` (see `serving_world.sources_of`) and random values, and the
histories have the lengths of MovieLens users: the work is that of a real request, the recommendations mean
nothing. Everything runs on one thread. The baseline in the same run makes each list of the best rows with
NumPy, by a partition and a sort over the whole catalogue.

    PYTHONPATH=. python benchmarks/retrieval.py [--json OUT.json]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.serving_world import CONFIG, FULL, sources_of
from movierank_core.retrieval.candidates import UnratedRows, find_candidates
from movierank_core.retrieval.query import Query
from movierank_core.retrieval.source import Source

N_MOVIES = FULL.n_movies
N_REQUESTS = 400
N_REPEATS = 5


def make_queries(rng: np.random.Generator, weight: NDArray[np.float64]) -> list[Query]:
    """Histories with a median of 73 events and a mean of about 160, as in ml-32m."""
    lengths = np.clip(rng.lognormal(np.log(73), 1.25, N_REQUESTS), 20, 5000).astype(int)
    queries = []
    for length in lengths:
        rows = rng.choice(N_MOVIES, length, replace=False, p=weight)
        latest = rows[-CONFIG.max_history :]
        ratings = rng.integers(1, 11, len(latest)).astype(np.float32) / 2
        queries.append(
            Query(
                rows=latest,
                timestamps=np.arange(len(latest)),
                ratings=ratings,
                centred=(ratings - ratings.mean()).astype(np.float32),
                is_liked=ratings >= 4,
                is_disliked=ratings <= 2,
                is_presence=np.ones(len(latest), np.bool_),
                excluded=rows,
                hidden=rows[:0],
                n_events=length,
                mean_rating=3.5,
                like_share=0.5,
                as_of=length,
            )
        )
    return queries


def eligible_for(query: Query) -> NDArray[np.bool_]:
    mask = np.ones(N_MOVIES, np.bool_)
    mask[query.excluded] = False
    return mask


def by_numpy(query: Query, sources: dict[str, Source]) -> NDArray[np.int64]:
    """The baseline: the same scores, with NumPy for the best rows of each source and for the fusion."""
    eligible = eligible_for(query)
    fused = np.zeros(N_MOVIES, np.float32)
    for source in sources.values():
        scores = np.where(eligible, source.support.everywhere(source.scores(query)), -np.inf)
        best = np.argpartition(-scores, 200)[:200]
        best = best[np.argsort(-scores[best], kind="stable")]
        fused[best] += 1.0 / (61.0 + np.arange(200))
    rows = np.argpartition(-fused, 500)[:500]
    return rows[np.argsort(-fused[rows], kind="stable")]


def milliseconds(answer: Callable[[Query], object], queries: list[Query]) -> NDArray[np.float64]:
    """[n_queries] median over the repeats, in milliseconds."""
    times = np.empty((N_REPEATS, len(queries)))
    for repeat in range(N_REPEATS):
        for request, query in enumerate(queries):
            started = time.perf_counter()
            answer(query)
            times[repeat, request] = time.perf_counter() - started
    return np.median(times, axis=0) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    weight = 1.0 / (np.arange(N_MOVIES) + 50.0) ** 1.3
    weight = rng.permutation(weight / weight.sum())
    sources, queries = sources_of(rng, weight), make_queries(rng, weight)
    little_known = UnratedRows.among(np.sort(np.argsort(weight)[: N_MOVIES // 4]), sources)

    def ours(query: Query) -> object:
        return find_candidates(
            query,
            sources,
            eligible_for(query),
            fusion={},
            n_per_source=200,
            n_candidates=500,
            little_known=little_known,
            n_little_known=20,
        )

    with threadpool_limits(1):
        for query in queries[:20]:
            ours(query)
        measured = {
            "movierank": milliseconds(ours, queries),
            "numpy": milliseconds(lambda query: by_numpy(query, sources), queries),
            **{f"scores of {name}": milliseconds(source.scores, queries) for name, source in sources.items()},
        }
    report = {
        name: {"p50_ms": float(np.median(times)), "p99_ms": float(np.quantile(times, 0.99))}
        for name, times in measured.items()
    }
    for name, figures in report.items():
        ratio = figures["p50_ms"] / report["numpy"]["p50_ms"]
        times = f"p50 {figures['p50_ms']:7.3f} ms  p99 {figures['p99_ms']:7.3f} ms"
        print(f"{name:28s} {times}  {ratio:6.3f} of numpy")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
