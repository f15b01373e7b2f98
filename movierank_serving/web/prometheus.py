"""Prometheus metrics, summed over all workers.

`movierank serve` names a folder in PROMETHEUS_MULTIPROC_DIR before the workers start. Each worker writes its
values there, and the worker that answers `/metrics` adds them up.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
AGES: Final = {
    "model": "Time since the served version was made.",
    "histories": "Time since the histories were published.",
}
"""Meaning of the age of each part."""
_LATENCY_BUCKETS: Final = (
    0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
_STAGE_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1)


class Metrics:
    """The metrics of one worker, in a registry that only this object uses."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "movierank_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "movierank_request_seconds",
            "Time from the arrival of a request to the last byte of the response.",
            ["method", "route"],
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "movierank_rank_stage_seconds",
            "Duration of one stage of a ranking.",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=self._registry,
        )
        self._feedback = Counter(
            "movierank_feedback_events",
            "Acknowledged feedback events.",
            ["event_type", "duplicate"],
            registry=self._registry,
        )
        self._served_by = Counter(
            "movierank_rankings", "Rankings by what ordered them.", ["served_by"], registry=self._registry
        )
        self._left_out = Counter(
            "movierank_ranking_parts_left_out",
            "Parts left out of rankings, by reason.",
            ["part", "why"],
            registry=self._registry,
        )
        self._shed = Counter(
            "movierank_rankings_shed", "Rankings refused because the queue was full.", registry=self._registry
        )
        self._waiting = Gauge(
            "movierank_rank_queue",
            "Rankings that wait or are being computed.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._impressions = Counter(
            "movierank_impressions",
            "Served rankings and messages about impressions that were stored or dropped.",
            ["kind", "outcome"],
            registry=self._registry,
        )
        self._swaps = Counter(
            "movierank_model_swaps", "Model versions loaded and put into service.", registry=self._registry
        )
        self._model = Gauge(
            "movierank_model_loaded",
            "1 for the version that a worker serves.",
            ["version"],
            multiprocess_mode="livemax",
            registry=self._registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)

    def ranking(self, served_by: str, stage_ms: dict[str, float]) -> None:
        self._served_by.labels(served_by).inc()
        for stage, milliseconds in stage_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)

    def left_out(self, part: str, why: str) -> None:
        self._left_out.labels(part, why).inc()

    def rank_queue(self, length: int) -> None:
        self._waiting.set(length)

    def shed(self) -> None:
        self._shed.inc()

    def impressions(self, kind: str, outcome: str, n: int) -> None:
        """`kind`: ranking or impression; `outcome`: stored or dropped."""
        self._impressions.labels(kind, outcome).inc(n)

    def feedback(self, event_type: str, *, duplicate: bool) -> None:
        self._feedback.labels(event_type, str(duplicate).lower()).inc()

    def model_loaded(self, version: str, replaced: str | None) -> None:
        if replaced is not None and replaced != version:
            self._model.labels(replaced).set(0)
        self._model.labels(version).set(1)
        self._swaps.inc()

    def text(self, ages: Mapping[str, float]) -> bytes:
        """All workers' metrics in Prometheus' text format, and the age in seconds of each part in `ages`.

        An age grows by itself, so it is computed at each request instead of being stored by the workers.
        """
        computed = CollectorRegistry()
        computed.register(_Ages(ages))
        if MULTIPROCESS_FOLDER not in os.environ:
            return generate_latest(self._registry) + generate_latest(computed)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together) + generate_latest(computed)


class _Ages(Collector):
    """Gauges of ages, without a file of a worker."""

    def __init__(self, ages: Mapping[str, float]) -> None:
        self._ages = ages

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for part, seconds in self._ages.items():
            yield GaugeMetricFamily(f"movierank_{part}_age_seconds", AGES[part], value=seconds)


def forget_dead_workers() -> None:
    """Deletes the gauges of workers that have ended. A worker calls it when it starts."""
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    if folder is None:
        return
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)
        except PermissionError:
            pass  # The process id now belongs to another user's process: keep the file.
