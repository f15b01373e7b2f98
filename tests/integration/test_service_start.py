"""`movierank serve` without a model: what it needs to start, and what every worker then refuses."""

import http.client
import socket
import subprocess
from pathlib import Path

from movierank_cli.service_process import environment_without_settings
from movierank_core.paths import Paths
from tests.support.service_process import PROGRAM, Service
from tests.support.waiting import PATIENCE_SECONDS, wait_for

KEY = "0123456789abcdef"


def status_of(service: Service, path: str, key: str | None = None) -> int:
    connection = http.client.HTTPConnection(service.host, service.port, timeout=60)
    connection.request("GET", path, headers={} if key is None else {"Authorization": f"Bearer {key}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_on_a_network_the_service_does_not_start_without_keys(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [*PROGRAM, "serve", "--host", "0.0.0.0", "--port", "0"],
        env={**environment_without_settings(), "MOVIERANK_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(
        "Error: On 0.0.0.0 everybody who reaches this port could read and delete"
    )
    assert "Remedy: set MOVIERANK_API_KEYS or MOVIERANK_API_KEYS_FILE" in outcome.stderr


def test_workers_have_the_keys_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"ops operate {KEY}\n", "utf-8")
    paths = Paths(root=tmp_path, home=tmp_path / "home")
    with Service(paths, workers=2, MOVIERANK_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        service.start()
        assert [status_of(service, "/metrics", key) for key in (None, KEY, f"{KEY}x")] == [401, 200, 401]
        assert status_of(service, "/health/live") == 200
        assert KEY not in service.log()


def test_a_request_that_does_not_arrive_is_cut_off(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, home=tmp_path / "home")
    with Service(paths, workers=1, MOVIERANK_RECEIVE_SECONDS="0.5") as service:
        service.start()

        def asked() -> bytes:
            """Empty if the service closed the connection before a byte arrived: the machine is busy."""
            with socket.create_connection((service.host, service.port), timeout=PATIENCE_SECONDS) as client:
                client.sendall(b"GET /health/live HTTP/1.1\r\nX: begun")
                return client.recv(65_536)

        answer = wait_for(asked, what="an answer")
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_on_loopback_everything_is_open_without_keys(tmp_path: Path) -> None:
    with Service(Paths(root=tmp_path, home=tmp_path / "home"), workers=1) as service:
        service.start()
        assert status_of(service, "/metrics") == 200
        assert status_of(service, "/users") == 200
