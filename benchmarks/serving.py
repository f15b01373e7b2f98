"""Measures the service under load at the size of the largest MovieLens set, and a naive service in the same
run.

    python benchmarks/serving.py [--quick] [--json OUT.json] [--memory-requests 200000]

Creates the data of `serving_world` once (stored in `--cache`), and starts `movierank serve` and
`naive_service` with two workers each. The clients of `load_client` run on the same cores. One client and
sixteen clients run a closed loop, for latency and throughput; sixteen clients run an open loop (requests at
random moments, independent of responses), for latency under load. Bundles are placed in the local cache of
versions; the run has no registry. Requests are logged, as by default. Figures are medians over repeats.
"""

import argparse
import json
import os
import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import naive_service
from benchmarks.load_client import closed_loop, open_loop, rank_requests
from benchmarks.serving_world import (
    FULL,
    ROOT,
    TINY,
    VERSIONS,
    Size,
    has_real_titles,
    make_world,
    set_version,
)
from movierank_cli.service_process import ServiceProcess, environment_without_settings
from movierank_core.paths import Paths

N_CLIENTS: Final = 16
N_WORKERS: Final = 2
TARGET_RATE: Final = 500.0
"""Rate of the open loop for our service, in requests per second."""
NAIVE_RATE: Final = 125.0
"""Rate of the open loop for the naive service, which cannot reach `TARGET_RATE`."""
ROUNDS: Final = 4
FILTERS: Final = {"genres_any": ["drama", "comedy"], "genres_none": ["horror"], "year_min": 1950}
"""Filters that most movies pass, so that the ranking itself costs as much as without."""
N_REQUEST_USERS: Final = 20_000
MB: Final = 1e6


@dataclass(frozen=True)
class Plan:
    """Size and duration of the measurement."""

    size: Size
    repeats: int
    seconds: float
    """Duration of each load, in seconds."""


@contextmanager
def movierank(paths: Paths) -> Iterator[ServiceProcess]:
    """`movierank serve` with two workers on the world below `paths`, without events from earlier runs."""
    for file in paths.home.glob("events.db*"):
        file.unlink()
    set_version(paths, VERSIONS[0])
    folders = {"MOVIERANK_ROOT": str(paths.root), "MOVIERANK_HOME": str(paths.home)}
    with ServiceProcess(
        paths.root / "service.log",
        variables={**environment_without_settings(), **folders},
        workers=N_WORKERS,
    ) as server:
        yield server


@contextmanager
def naive(paths: Paths, n_trees: int) -> Iterator[ServiceProcess]:
    """The service of `naive_service` with two workers and a model of `n_trees` trees."""
    model = paths.root / f"naive-{n_trees}.txt"
    if not model.is_file():
        naive_service.train(model, n_trees)
    variables = {
        naive_service.MODEL_VARIABLE: str(model),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    with ServiceProcess(
        paths.root / "naive.log",
        variables={**environment_without_settings(), **variables},
        workers=N_WORKERS,
        command=(sys.executable, "-m", "benchmarks.naive_service"),
    ) as server:
        yield server


def seconds_to_ready(server: ServiceProcess, method: str, path: str, body: object = None) -> float:
    """Starts the service. Seconds until ten new connections in a row were answered with 200."""
    started = time.perf_counter()
    server.start()
    server.wait_until(
        lambda: all(server.call(method, path, body)[0] == 200 for _ in range(10)), "answer ten times in a row"
    )
    return time.perf_counter() - started


def load_with_filters(server: ServiceProcess, users: Sequence[int], plan: Plan) -> dict[str, float]:
    """Latency of one closed-loop client whose requests have FILTERS."""
    requests = rank_requests(users, server.port, filters=FILTERS)
    one = closed_loop(server.port, requests, n_clients=1, seconds=plan.seconds)
    return {
        "filters_p50_ms": one.milliseconds(0.5),
        "filters_p99_ms": one.milliseconds(0.99),
        "filters_failures": float(len(one.failures)),
    }


def load(server: ServiceProcess, users: Sequence[int], plan: Plan, rate: float) -> dict[str, float]:
    """Runs one closed-loop client, then sixteen closed-loop clients, then sixteen open-loop clients at
    `rate`.

    The kernel distributes connections to workers at random, perhaps eleven to five. Therefore the sixteen
    clients reconnect ROUNDS times, and the best round counts, for both services.
    """
    requests = rank_requests(users, server.port)
    closed_loop(server.port, requests[-2000:], n_clients=N_CLIENTS, seconds=min(1.0, plan.seconds))
    one = closed_loop(server.port, requests, n_clients=1, seconds=plan.seconds)
    rounds = [
        closed_loop(server.port, requests, n_clients=N_CLIENTS, seconds=plan.seconds / 2)
        for _ in range(ROUNDS)
    ]
    many = max(rounds, key=lambda load: load.per_second)
    at_rate = open_loop(server.port, requests, n_clients=N_CLIENTS, seconds=plan.seconds, rate=rate)
    failures = [failure for load in (one, *rounds, at_rate) for failure in load.failures]
    return {
        "p50_ms": one.milliseconds(0.5),
        "p99_ms": one.milliseconds(0.99),
        "per_second": many.per_second,
        "closed_p99_ms": many.milliseconds(0.99),
        "open_per_second": at_rate.per_second,
        "open_p50_ms": at_rate.milliseconds(0.5),
        "open_p99_ms": at_rate.milliseconds(0.99),
        "client_ms": 1000 * many.client_cpu_seconds / len(many.seconds),
        "failures": float(len(failures)),
    }


def memory(server: ServiceProcess) -> dict[str, float]:
    """Memory of the largest worker in megabytes: resident, proportional share, and private."""
    figures = []
    for worker in server.workers():
        info = worker.memory_full_info()
        rollup = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
        own = sum(int(value) for value in re.findall(r"^Private_Dirty:\s+(\d+)", rollup, re.MULTILINE))
        figures.append((info.rss / MB, info.pss / MB, own * 1024 / MB))
    rss, pss, own = (max(column) for column in zip(*figures, strict=True))
    return {"rss_mb": rss, "pss_mb": pss, "private_mb": own}


def stages(server: ServiceProcess) -> dict[str, float]:
    """Mean milliseconds per stage, from the service's own metrics."""
    text = server.expect(200, "GET", "/metrics")

    def of(kind: str, name: str, label: str) -> float:
        found = re.search(rf"^{name}_{kind}{{{label}}} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    rank = 'method="POST",route="/rank"'
    means = {"whole request": ("movierank_request_seconds", rank)}
    means |= {
        stage: ("movierank_rank_stage_seconds", f'stage="{stage}"')
        for stage in re.findall(r'movierank_rank_stage_seconds_sum{stage="([^"]+)"}', text)
    }
    return {
        stage: 1000 * of("sum", name, label) / max(of("count", name, label), 1)
        for stage, (name, label) in means.items()
    }


def swap(
    server: ServiceProcess, paths: Paths, users: Sequence[int], plan: Plan, rate: float
) -> dict[str, float]:
    """p99 latency of an open loop before a version swap, and during the swap until all workers have it."""
    requests = rank_requests(users, server.port)
    seconds = 3 * plan.seconds
    marks: dict[str, float] = {}

    def move() -> None:
        time.sleep(plan.seconds)
        marks["moved"] = time.perf_counter()
        loaded = _n_swaps(server)
        set_version(paths, VERSIONS[1])
        while _n_swaps(server) < loaded + N_WORKERS and time.perf_counter() < marks["moved"] + seconds:
            time.sleep(0.25)
        marks["served"] = time.perf_counter()

    mover = threading.Thread(target=move)
    begun = time.perf_counter()
    mover.start()
    at_rate = open_loop(server.port, requests, n_clients=N_CLIENTS, seconds=seconds, rate=rate)
    mover.join()
    before = at_rate.window(begun, marks["moved"])
    during = at_rate.window(marks["moved"], marks["served"])
    return {
        "before_p99_ms": float(np.quantile(before, 0.99)) * 1000,
        "during_p99_ms": float(np.quantile(during, 0.99)) * 1000,
        "seconds": marks["served"] - marks["moved"],
        "per_second": rate,
        "failures": float(len(at_rate.failures)),
    }


def _n_swaps(server: ServiceProcess) -> float:
    found = re.search(
        r"^movierank_model_swaps_total (\S+)$", server.expect(200, "GET", "/metrics"), re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def flat_memory(server: ServiceProcess, users: Sequence[int], n_requests: int) -> dict[str, float]:
    """Memory of the workers after the first and the last of many requests."""
    requests = rank_requests(users, server.port)
    closed_loop(server.port, requests, n_clients=N_CLIENTS, seconds=5)
    first, n = memory(server), 0
    while n < n_requests:
        n += len(closed_loop(server.port, requests, n_clients=N_CLIENTS, seconds=10).seconds)
    last = memory(server)
    return {
        "n_requests": float(n),
        **{f"first_{name}": value for name, value in first.items()},
        **{f"last_{name}": value for name, value in last.items()},
    }


def measure(plan: Plan, paths: Paths, memory_requests: int) -> dict[str, Any]:
    users = np.random.default_rng(7).integers(1, plan.size.n_users + 1, N_REQUEST_USERS).tolist()
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    report: dict[str, Any] = {}
    for repeat in range(plan.repeats):
        with naive(paths, min(naive_service.N_TREES, plan.size.n_trees)) as server:
            seconds_to_ready(server, "POST", "/rank", {"user_id": 1})
            theirs.append(load(server, users, plan, NAIVE_RATE))
        with movierank(paths) as server:
            ready = seconds_to_ready(server, "GET", "/health/ready")
            ours.append(
                {
                    "ready_seconds": ready,
                    **load(server, users, plan, TARGET_RATE),
                    **load_with_filters(server, users, plan),
                    **memory(server),
                }
            )
            report["stages_ms"] = stages(server)
            if repeat == plan.repeats - 1:
                report["swap"] = swap(server, paths, users, plan, ours[-1]["per_second"] / 2)
                if memory_requests:
                    report["memory"] = flat_memory(server, users, memory_requests)
    report["movierank"] = _medians(ours)
    report["naive"] = _medians(theirs)
    report["runs"] = {"movierank": ours, "naive": theirs}
    return report


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    ours, theirs = report["movierank"], report["naive"]

    def row(name: str, key: str, unit: str, target: str, digits: int = 1) -> str:
        here, there = ours[key], theirs.get(key)
        beside = "" if there is None else f"{there:.{digits}f} {unit}"
        ratio = f"{here / there:.2f}" if there else ""
        return f"| {name} | {here:.{digits}f} {unit} | {beside} | {ratio} | {target} |"

    def under_load(name: str, key: str, target: str) -> str:
        rates = (f"{TARGET_RATE:.0f} /s", f"{NAIVE_RATE:.0f} /s")
        here, there = (
            f"{part[key]:.1f} ms at {rate}" for part, rate in zip((ours, theirs), rates, strict=True)
        )
        return f"| open loop, {name} | {here} | {there} | | {target} |"

    moved = report["swap"]
    during = f"{moved['during_p99_ms']:.1f} ms for {moved['seconds']:.1f} s"
    before = f"{moved['before_p99_ms']:.1f} ms before"
    growth = moved["during_p99_ms"] / moved["before_p99_ms"]
    lines = [
        "| | movierank | naive | ratio | target |",
        "|---|---|---|---|---|",
        row("one client, p50", "p50_ms", "ms", "≤ 4 ms", 2),
        row("one client, p99", "p99_ms", "ms", "≤ 10 ms", 2),
        row("one client with filters, p50", "filters_p50_ms", "ms", "≤ 0.3 ms above", 2),
        row("one client with filters, p99", "filters_p99_ms", "ms", "", 2),
        row(f"{N_CLIENTS} clients, throughput", "per_second", "/s", "≥ 500 /s, ≥ 2.5 × naive", 0),
        row(f"{N_CLIENTS} clients, p99 at that throughput", "closed_p99_ms", "ms", "", 1),
        under_load("p50", "open_p50_ms", ""),
        under_load("p99", "open_p99_ms", "≤ 60 ms"),
        row("start-up to ready", "ready_seconds", "s", "≤ 15 s"),
        row("memory of a worker, resident", "rss_mb", "MB", "≤ 1500 MB", 0),
        row("… its share of what is mapped", "pss_mb", "MB", "", 0),
        row("… private", "private_mb", "MB", "", 0),
        f"| swap of a version at {moved['per_second']:.0f} /s, p99 | {during}, {before} | | {growth:.2f} | |",
        row("client's own processor time", "client_ms", "ms a request", "", 2),
        row("failed requests", "failures", "", "0", 0),
        row("… with filters", "filters_failures", "", "0", 0),
    ]
    if "memory" in report:
        flat = report["memory"]
        private = f"{flat['first_private_mb']:.0f} MB first, {flat['last_private_mb']:.0f} MB last"
        resident = f"{flat['first_rss_mb']:.0f} MB, {flat['last_rss_mb']:.0f} MB"
        n = f"{flat['n_requests']:.0f}"
        lines.append(f"| private memory over {n} requests | {private} (resident {resident}) | | | flat |")
    lines += ["", "| stage | mean ms |", "|---|---|"]
    lines += [f"| {stage} | {value:.2f} |" for stage, value in report["stages_ms"].items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repeat of short loads: a minute's look")
    parser.add_argument("--tiny", action="store_true", help="a tiny world, to try the script")
    parser.add_argument("--cache", type=Path, default=Path(ROOT / ".movierank" / "bench-serving"))
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--memory-requests", type=int, default=0, help="requests to watch memory over")
    given = parser.parse_args(arguments)
    size = TINY if given.tiny else FULL
    if given.tiny:
        plan = Plan(size, repeats=1, seconds=0.5)
    else:
        plan = Plan(size, repeats=1, seconds=4) if given.quick else Plan(size, repeats=3, seconds=8)
    folder = given.cache / ("tiny" if given.tiny else "full")
    paths = make_world(folder, size, lambda message: print(message, file=sys.stderr))
    report = measure(plan, paths, given.memory_requests)
    titles = "of ml-32m" if has_real_titles(folder) else "made up"
    print(
        f"{size.n_movies} movies (titles {titles}), {size.n_users} users, {size.n_ratings} ratings, "
        f"all simulated; a bundle assembled from parts of the pipeline's shapes; {N_WORKERS} workers on "
        f"{os.cpu_count()} cores, which the clients share; medians of {plan.repeats}\n"
    )
    print(table(report))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
