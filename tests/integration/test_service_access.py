"""Keys, rates and origins: who may ask, and how often."""

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.errors import ConfigError
from movierank_serving.settings import Settings
from movierank_serving.web.auth import Access, RateLimiter
from tests.support.service import client_of, serve_version, settings_in

KEY, OTHER = "first-key-5f1d", "second-key-77aa"
LIKE = {"user_id": 7, "movie_id": 1, "event_type": "like"}
GUARDED = [("POST", "/feedback", LIKE), ("DELETE", "/users/7", None), ("GET", "/metrics", None)]
OPEN = [
    ("POST", "/rank", {"user_id": 7}),
    ("GET", "/movie/550", None),
    ("GET", "/movies?query=fight", None),
    ("GET", "/model", None),
    ("GET", "/health/live", None),
    ("GET", "/health/ready", None),
    ("GET", "/schema", None),
    ("GET", "/", None),
    ("GET", "/api.js", None),
]


@contextmanager
def service(folder: Path, **changes: Any) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(folder, **changes)
    serve_version(settings, "1")
    with client_of(settings) as client:
        yield client


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    with service(tmp_path_factory.mktemp("keyed"), api_keys=f"{KEY}, {OTHER}", log_requests=True) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body"), GUARDED)
@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="movierank"'),
        (f"Basic {KEY}", 'Bearer realm="movierank"'),
        ("Bearer", 'Bearer realm="movierank"'),
        ("Bearer  ", 'Bearer realm="movierank"'),
        ("Bearer wrong", 'Bearer realm="movierank", error="invalid_token"'),
        (f"Bearer {KEY[:-1]}", 'Bearer realm="movierank", error="invalid_token"'),
        (f"Bearer {KEY}, {OTHER}", 'Bearer realm="movierank", error="invalid_token"'),
    ],
)
def test_writing_and_administrative_routes_need_a_key(
    keyed: TestClient[Litestar], method: str, path: str, body: Any, authorization: str | None, challenge: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = keyed.request(method, path, json=body, headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:movierank:unauthorized"
    assert keyed.app.state.worker.store().count() == 0


@pytest.mark.parametrize(("method", "path", "body"), OPEN)
def test_reading_needs_no_key(keyed: TestClient[Litestar], method: str, path: str, body: Any) -> None:
    assert keyed.request(method, path, json=body).status_code == 200


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_any_of_the_keys_opens(tmp_path: Path, key: str) -> None:
    with service(tmp_path, api_keys=f"{KEY},{OTHER}") as client:
        for method, path, body in GUARDED:
            headers = {"Authorization": f"bearer {key}"}
            assert client.request(method, path, json=body, headers=headers).status_code in (200, 202)


def test_without_keys_everything_is_open(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        for method, path, body in GUARDED:
            assert client.request(method, path, json=body).status_code in (200, 202)


def test_no_key_is_ever_logged_or_shown(
    keyed: TestClient[Litestar], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        texts = [
            keyed.request(method, path, json=body, headers={"Authorization": f"Bearer {given}"}).text
            for method, path, body in GUARDED
            for given in (KEY, f"{KEY}x")
        ]
    assert KEY not in caplog.text + "".join(texts)
    assert KEY not in repr(keyed.app.state.worker.settings)
    assert KEY not in repr(Access(keyed.app.state.worker.settings).__dict__)


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    access = Access(settings_in(tmp_path, api_keys=f"{KEY},{OTHER}"))
    access.require_key(f"Bearer {KEY}")
    assert len(compared) == 2  # Also after the first was the right one.
    assert {len(digest) for pair in compared for digest in pair} == {32}


def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    with pytest.raises(ConfigError) as refusal:
        Settings.from_environment({"MOVIERANK_API_KEYS": "good,pass phrase"})
    assert "phrase" not in str(refusal.value)
    assert str(refusal.value).startswith("MOVIERANK_API_KEYS holds a key with spaces or characters")


def test_other_origins_get_nothing_unless_they_are_named(tmp_path: Path) -> None:
    ours, theirs = {"Origin": "https://films.example"}, {"Origin": "https://evil.example"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with service(tmp_path / "off") as client:
        assert "access-control-allow-origin" not in client.get("/model", headers=ours).headers
        refused = client.options("/rank", headers={**ours, **preflight})
        assert "access-control-allow-origin" not in refused.headers
    with service(tmp_path / "on", cors_origins="https://films.example", api_keys=KEY) as client:
        for path in ("/model", "/movie/2", "/metrics"):
            answer = client.get(path, headers=ours)
            assert answer.headers["access-control-allow-origin"] == "https://films.example", path
        allowed = client.options("/rank", headers={**ours, **preflight})
        assert allowed.headers["access-control-allow-origin"] == "https://films.example"
        assert "access-control-allow-credentials" not in allowed.headers
        assert "access-control-allow-origin" not in client.get("/model", headers=theirs).headers
        denied = client.options("/rank", headers={**theirs, **preflight})
        assert "access-control-allow-origin" not in denied.headers


def test_origins_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    with pytest.raises(ConfigError, match=r"MOVIERANK_CORS_ORIGINS cannot be 'films.example'"):
        Settings.from_environment({"MOVIERANK_CORS_ORIGINS": "films.example"})
    with pytest.raises(ConfigError, match="Expected: a whole number from 0 to 1,000,000,000"):
        Settings.from_environment({"MOVIERANK_RATE_LIMIT_PER_MINUTE": "-1"})
    off = Settings.from_environment({"MOVIERANK_RATE_LIMIT_PER_MINUTE": "0"})
    assert off.rate_limit_per_minute == 0


def test_a_client_that_asks_too_often_gets_429_and_retry_after(tmp_path: Path) -> None:
    with service(tmp_path, rate_limit_per_minute=5) as client:
        statuses = [client.post("/rank", json={"user_id": 1}).status_code for _ in range(5)]
        assert statuses == [200] * 5
        refused = client.post("/rank", json={"user_id": 1})
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        assert refused.json()["type"] == "urn:movierank:too-many-requests"
        assert client.get("/movie/550").status_code == 429
        for path in ("/health/live", "/health/ready", "/metrics", "/", "/api.js"):
            assert client.get(path).status_code == 200


def test_the_rate_is_even_after_the_first_and_each_client_has_its_own() -> None:
    now = 1000.0
    limiter = RateLimiter(60, None, lambda: now)
    assert [limiter.wait("a") for _ in range(60)] == [0.0] * 60
    assert limiter.wait("a") == pytest.approx(1.0)
    assert limiter.wait("b") == 0.0
    now += 0.5
    assert limiter.wait("a") == pytest.approx(0.5)
    now += 0.5
    assert limiter.wait("a") == 0.0
    assert limiter.wait("a") == pytest.approx(1.0)
    now += 1000
    assert [limiter.wait("a") for _ in range(60)] == [0.0] * 60
    assert limiter.wait("a") > 0


def ask_thrice(file: Path) -> list[bool]:
    limiter = RateLimiter(5, file)
    return [limiter.wait("client") == 0.0 for _ in range(3)]


def test_workers_share_the_rate(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as other:
        answers = ask_thrice(tmp_path / "rates") + other.apply(ask_thrice, (tmp_path / "rates",))
    assert answers == [True, True, True, True, True, False]
