"""The service as it runs: real processes, a real port, a real registry, a real model."""

import hashlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from movierank_core.bundle import read_bundle
from movierank_core.data.history_snapshot import open_histories
from movierank_core.events.store import open_event_store
from movierank_core.manifest import MANIFEST, RANKER
from movierank_core.mlflow_store import BUNDLE_IN_MODEL
from movierank_core.paths import Paths
from movierank_pipeline.release.log_run import Release
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from tests.support.service_process import PROGRAM, Service, add_version, prepare, serving
from tests.support.simulated import SimulatedRatings
from tests.support.waiting import PATIENCE_SECONDS, exit_code, join, wait_for


@pytest.fixture(scope="module")
def prepared(
    release: Release, simulated: SimulatedRatings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Paths]:
    """Three versions, the first in production, and published histories."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield prepare(tmp_path_factory.mktemp("service"), release, simulated, 3)


@pytest.fixture(scope="module")
def service(prepared: Paths) -> Iterator[Service]:
    quick = {"MOVIERANK_REGISTRY_POLL_SECONDS": "0.3", "MOVIERANK_WATCH_SECONDS": "0.1"}
    with serving(prepared, **quick) as service:
        yield service


def test_the_service_answers_what_the_model_says(service: Service, prepared: Paths, release: Release) -> None:
    recommender = read_bundle(release.bundle)
    history = open_histories(prepared.histories).history_of(3)
    assert history is not None
    before = int(time.time())
    answer = service.rank(3, k=10)
    assert answer["known_user"]
    assert answer["model_version"] == "1"
    candidates = [
        recommender.rank(history, as_of=as_of, k=10).results for as_of in range(before, int(time.time()) + 3)
    ]
    got = [(result["movie_id"], result["score"], result["reasons"]) for result in answer["results"]]
    assert got in [
        [(int(recommender.catalogue.movie_ids[r.row]), r.score, r.reasons) for r in results]
        for results in candidates
    ]


def test_filters_of_every_kind_are_answered(service: Service) -> None:
    for filters in (
        {},
        {"genres_any": []},
        {"genres_all": ["comedy"]},
        {"genres_none": ["COMEDY"]},
        {"languages": []},
        {"languages": ["fr"], "year_min": 1990, "year_max": 2000},
        {"runtime_min": 100, "runtime_max": 120},
        {"exclude_movie_ids": [10, 20, 2**53]},
        {"min_votes": 2**53},
        {"year_min": -(2**53)},
    ):
        answer = service.rank(3, filters=filters, diversity=0.5, explain=True)
        for result in answer["results"]:
            assert abs(sum(result["contributions"].values()) - result["raw_score"]) < 1e-6


def test_feedback_shows_in_the_next_ranking_on_every_worker(service: Service) -> None:
    seen = {result["movie_id"] for result in service.rank(4, k=5)["results"]}
    for movie_id in seen:
        status, _ = service.call(
            "POST", "/feedback", {"user_id": 4, "movie_id": movie_id, "event_type": "like"}
        )
        assert status == 202
        for _ in range(6):  # New connections: the workers take turns as they please.
            assert movie_id not in {result["movie_id"] for result in service.rank(4, k=25)["results"]}


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not deal connections out")
def test_connections_are_shared_by_the_workers(service: Service) -> None:
    """One worker that took all that come at once would leave the others idle for as long as clients stay."""
    workers = service.workers()

    def held() -> list[int]:
        """Per worker, connections that it holds."""
        return [
            sum(c.laddr.port == service.port and c.status == "ESTABLISHED" for c in of_worker)
            for of_worker in (worker.net_connections("tcp") for worker in workers)
        ]

    for _ in range(3):
        wait_for(lambda: sum(held()) == 0, what="no connections")
        for worker in workers:
            worker.suspend()  # So that all are there when the first one looks.
        try:
            clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(64)]
        finally:
            for worker in workers:
                worker.resume()
        try:
            wait_for(lambda: sum(held()) == 64, what="connections")
            assert min(held()) >= 12, held()  # Five standard deviations of fair dealing.
        finally:
            for client in clients:
                client.close()


def test_two_services_do_not_share_a_port(service: Service) -> None:
    command = [*PROGRAM, "serve", "--port", str(service.port), "--workers", "2"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert second.returncode != 0
    assert f"cannot listen on 127.0.0.1:{service.port}" in second.stderr


def test_metrics_are_summed_over_workers(service: Service) -> None:
    def count() -> float:
        text = service.call("GET", "/metrics")[1]
        lines = [line for line in text.splitlines() if 'route="/rank",status="400"' in line]
        return sum(float(line.split()[-1]) for line in lines)

    # Only this test sends refused requests: those of others may be counted after their answer.
    assert count() == 0
    for _ in range(20):
        assert service.call("POST", "/rank", {"user_id": "one"})[0] == 400
    wait_for(lambda: count() >= 20, "the count")
    assert count() == 20
    assert 'movierank_model_loaded{version="1"} 1.0' in service.call("GET", "/metrics")[1]
    assert "movierank_model_age_seconds " in service.call("GET", "/metrics")[1]


class Load:
    """Clients that rank without a pause, and everything that they were answered."""

    def __init__(self, service: Service, n_clients: int = 4) -> None:
        self._service = service
        self._stop = threading.Event()
        self.answers: list[tuple[int, str]] = []
        """(status, version) in the order of arrival."""
        self.failures: list[str] = []
        self._askers = [threading.Thread(target=self._ask, args=(user,)) for user in range(1, n_clients + 1)]

    def _ask(self, user_id: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=PATIENCE_SECONDS)
        body = json.dumps({"user_id": user_id})
        while not self._stop.is_set():
            try:
                connection.request("POST", "/rank", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = json.loads(response.read())
                version = content.get("model_version", "")
                self.answers.append((response.status, version))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()

    def only(self, version: str) -> bool:
        """Every answer of the last moments is from this version."""
        latest = self.answers[-40:]
        return bool(latest) and {served for _, served in latest} == {version}

    def __enter__(self) -> Self:
        for asker in self._askers:
            asker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        join(self._askers)


@pytest.mark.parametrize("n_moves", [4, pytest.param(20, marks=pytest.mark.heavy)])
def test_the_alias_moves_under_load_without_a_failed_request(
    service: Service, prepared: Paths, n_moves: int
) -> None:
    registry = Registry(connect(prepared))
    with Load(service) as load:
        for move in range(n_moves):
            version = "2313"[move % 4]
            if move % 4 == 1:
                registry.promote(3, by="test")
            elif move % 4 == 3:
                registry.rollback(by="test")
            else:
                registry.promote(int(version), by="test")
            wait_for(lambda version=version: load.only(version), what=f"version {version}")
        registry.promote(1, by="test")
        wait_for(lambda: load.only("1"), what="version 1")
    assert load.failures == []
    assert {status for status, _ in load.answers} == {200}
    assert len(load.answers) > 25 * n_moves


def reseal(bundle: Path) -> None:
    """Make the manifest vouch for the files as they are, as a careless hand might."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    for path in manifest["files"]:
        manifest["files"][path] = hashlib.sha256((bundle / path).read_bytes()).hexdigest()
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def cut_short(bundle: Path) -> None:
    (bundle / "catalogue.parquet").write_bytes(b"PAR1")


def leaves_that_are_no_numbers(bundle: Path) -> None:
    model = bundle / RANKER
    model.write_text(re.sub(r"leaf_value=\S+", "leaf_value=nan", model.read_text(), count=1))
    reseal(bundle)


def other_leaves(bundle: Path) -> None:
    model = bundle / RANKER

    def moved(line: re.Match[str]) -> str:
        return "leaf_value=" + " ".join(str(float(value) + 0.5) for value in line[1].split())

    model.write_text(re.sub(r"leaf_value=(.+)", moved, model.read_text(), count=1))
    reseal(bundle)


def exchanged_features(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    features = manifest["features"]
    half = len(features) // 2
    manifest["features"] = [*features[half:], *features[:half]]
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def an_unknown_feature(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["features"][0]["name"] = "horoscope"
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def a_missing_file(bundle: Path) -> None:
    next((bundle / "state").glob("als.*.npy")).unlink()


def test_a_poisoned_version_is_never_served_and_the_old_one_goes_on(
    service: Service, prepared: Paths, release: Release
) -> None:
    registry = Registry(connect(prepared))
    poisons = {
        cut_short: "catalogue.parquet in the bundle ",
        leaves_that_are_no_numbers: "",
        other_leaves: "Golden request ",
        exchanged_features: "",
        an_unknown_feature: "The bundle in ",
        a_missing_file: "The bundle in ",
    }
    with Load(service, 2) as load:
        for poison, start in poisons.items():
            number = add_version(prepared, release)
            poison(prepared.artifacts / registry.get(number).run_id / BUNDLE_IN_MODEL)
            registry.promote(number, by="test")

            def refusal(number: int = number) -> dict[str, str] | None:
                refused = service.call("GET", "/health/ready")[1]["refused_versions"]
                return next((entry for entry in refused if entry["model_version"] == str(number)), None)

            error = wait_for(refusal, what=f"the refusal of {poison.__name__}")["error"]
            assert error.startswith(start), (poison.__name__, error)
            assert service.rank(1)["model_version"] == "1"
        registry.promote(1, by="test")
    assert load.failures == []
    assert set(load.answers) == {(200, "1")}


def test_a_killed_worker_is_replaced(service: Service) -> None:
    workers = service.workers()
    assert len(workers) == 2
    workers[0].kill()
    wait_for(lambda: workers[0].pid not in {worker.pid for worker in service.workers()}, what="its end")
    wait_for(lambda: len(service.workers()) == 2, what="its replacement")
    for _ in range(5):
        wait_for(lambda: service.call("GET", "/health/ready")[0] == 200)
        service.rank(1)


def test_requests_in_flight_finish_when_the_service_is_stopped(prepared: Paths) -> None:
    with serving(prepared, workers=1, MOVIERANK_WATCH_SECONDS="0.2") as service:
        processes = service.processes()
        body = b'{"user_id": 1, "k": 3}'
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE_SECONDS)
        connection.putrequest("POST", "/rank")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:10])
        # The worker has the connection; it reads the request before it answers a later one.
        own_port = connection.sock.getsockname()[1]
        (worker,) = service.workers()
        wait_for(
            lambda: any(held.raddr and held.raddr.port == own_port for held in worker.net_connections("tcp")),
            "the request in the worker",
        )
        service.call("GET", "/health/live")
        assert is_listening(worker)
        service.process.terminate()
        wait_for(lambda: not is_listening(worker), what="the end of listening")
        connection.send(body[10:])
        response = connection.getresponse()
        assert response.status == 200
        assert len(json.loads(response.read())["results"]) == 3
        connection.close()
        assert exit_code(service.process) == 0
        _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
        assert alive == []


def is_listening(worker: psutil.Process) -> bool:
    return any(connection.status == psutil.CONN_LISTEN for connection in worker.net_connections("tcp"))


def test_acknowledged_feedback_survives_kills_exactly_once(prepared: Paths, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    acknowledged: list[str] = []
    for attempt, kills_all in enumerate((False, True)):
        with serving(prepared, MOVIERANK_EVENTS_URL=url) as service:
            processes = service.processes()

            def send(name: str, service: Service = service, attempt: int = attempt) -> None:
                for number in range(100_000):
                    event_id = f"{attempt}-{name}-{number}"
                    body = {"user_id": 5, "movie_id": 10, "event_type": "click", "event_id": event_id}
                    try:
                        status, answer = service.call("POST", "/feedback", body)
                    except (OSError, http.client.HTTPException):
                        return
                    assert (status, answer["duplicate"]) == (202, False)
                    acknowledged.append(event_id)

            target = len(acknowledged) + 40
            senders = [threading.Thread(target=send, args=(name,)) for name in "abcd"]
            for sender in senders:
                sender.start()
            wait_for(lambda target=target: len(acknowledged) >= target, what="feedback")
            for process in processes if kills_all else processes[:1]:
                process.kill()
            _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
            assert alive == []  # Workers whose parent was killed end by themselves.
            join(senders)
    store = open_event_store(url)
    stored = store.read_all()["event_id"].to_list()
    store.close()
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 8  # Stored, but killed before the answer.


def test_a_service_without_a_registry_says_so_and_answers(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, home=tmp_path / ".movierank")
    service = Service(paths, workers=1, MOVIERANK_REGISTRY_POLL_SECONDS="0.2")
    try:
        service.start()
        reason = (
            f"There is no registry at {tmp_path}/mlruns/mlflow.db yet. Remedy: run `movierank materialize`"
        )
        problem = wait_for(
            lambda: (
                (answer := service.call("POST", "/rank", {"user_id": 1})[1])["detail"] == reason and answer
            ),
            what="the reason",
        )
        assert (problem["status"], problem["type"]) == (503, "urn:movierank:no-model")
        service.wait_until(lambda: "\nNo model yet. " in service.log(), "say that it has no model")
    finally:
        service.signal(signal.SIGINT)
        assert exit_code(service.process) == 0


def test_a_port_in_use_is_an_error_that_names_the_remedy(service: Service) -> None:
    outcome = subprocess.run(
        [*PROGRAM, "serve", "--port", str(service.port)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert outcome.stderr == (
        f"Error: The service cannot listen on 127.0.0.1:{service.port}: [Errno 98] Address already in use "
        "(while attempting to bind on address "
        f"('127.0.0.1', {service.port})). Expected: a free port. "
        "Remedy: choose another with --port, or --port 0 for any.\n"
    )


def test_log_lines_are_json(service: Service) -> None:
    service.rank(1)
    service.wait_until(lambda: "\nModel version 1 is serving." in service.log(), "announce its version")
    service.wait_until(lambda: '"route":"/rank"' in service.log(), "log the request")  # After its answer.
    log = service.log().splitlines()
    lines = [json.loads(line) for line in log if line.startswith("{")]
    assert any(line["message"] == "request" and line["route"] == "/rank" for line in lines)
    first, *others = [
        line for line in log if not line.startswith("{") and not line.startswith("No model yet. ")
    ]
    assert first == f"movierank answers at {service.url.rstrip('/')} (2 workers); its API is at /schema."
    assert others == ["Model version 1 is serving."]
