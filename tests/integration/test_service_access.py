"""Who may do what: keys with scopes, tokens of users, origins and rates."""

import json
import logging
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from movierank_core.errors import ConfigError
from movierank_serving.openapi import API_HANDLERS, SCHEMA_HANDLERS
from movierank_serving.routes.pages import PAGE_HANDLERS
from movierank_serving.settings import Settings
from movierank_serving.web.access import Access, access_of
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import API_PREFIX
from movierank_serving.web.rate_limit import RateLimiter
from movierank_serving.web.user_tokens import UserTokens
from tests.support.service import FakeRecommender, client_of, publish, serve_version, settings_in

KEYS = {scope: f"{scope.replace(':', '-')}-key-5f1d77aa" for scope in Scope}
"""A key for each scope, with no other scope."""
KEY_LINES = "\n".join(f"{scope.replace(':', '.')} {scope} {key}" for scope, key in KEYS.items())
SECRET, OLD_SECRET = "secret-of-tokens-" + 15 * "a", "former-secret-of-" + 15 * "b"
TOKENS = UserTokens([SECRET])
OWN, OTHER = 7, 8
"""The user of the token, and another one."""
LIKE = {"movie_id": 1, "event_type": "like"}


@contextmanager
def service(folder: Path, **changes: Any) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(folder, **{"open_scopes": "", **changes})
    serve_version(settings, "1")
    publish(settings, (OWN, 603, "rating", 5.0, 1_000), (OTHER, 603, "rating", 5.0, 1_000))
    with client_of(settings, lambda _: Telling()) as client:
        yield client


class Telling(FakeRecommender):
    """Every reason names a movie of the history."""

    def rank(self, *args: Any, **options: Any) -> Any:
        ranking = super().rank(*args, **options)
        for movie in ranking.results:
            movie.reasons[:] = ["because_you_liked:603", "popular_lately"]
        return ranking


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    secrets = f"{SECRET},{OLD_SECRET}"
    folder = tmp_path_factory.mktemp("keyed")
    with service(folder, api_keys=KEY_LINES, token_secrets=secrets, log_requests=True) as client:
        yield client


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


WITHOUT_PREFIX: dict[tuple[str, str], set[Scope] | None] = {
    ("POST", "/rank"): {Scope.RANK},
    ("POST", "/explain"): {Scope.RANK, Scope.USERS_READ},
    ("GET", "/movie/{movie_id:int}"): {Scope.RANK},
    ("GET", "/movie/tmdb/{tmdb_id:int}"): {Scope.RANK},
    ("GET", "/movie/{movie_id:int}/similar"): {Scope.RANK},
    ("GET", "/movies"): {Scope.RANK},
    ("GET", "/model"): {Scope.RANK},
    ("POST", "/feedback"): {Scope.FEEDBACK},
    ("POST", "/impressions"): {Scope.FEEDBACK},
    ("GET", "/users"): {Scope.USERS_READ},
    ("GET", "/users/{user_id:int}"): {Scope.USERS_READ},
    ("GET", "/users/{user_id:int}/verdicts"): {Scope.USERS_READ},
    ("DELETE", "/users/{user_id:int}"): {Scope.USERS_DELETE},
    ("GET", "/metrics"): {Scope.OPERATE},
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
}
NEEDED = {
    (method, prefix + path): scopes
    for (method, path), scopes in WITHOUT_PREFIX.items()
    for prefix in ("", API_PREFIX)
}
"""The scopes that each route needs; None: it is open."""
TOKEN_REFUSED = {("GET", prefix + path) for prefix in ("", API_PREFIX) for path in ("/users", "/metrics")}
"""Routes that no token opens."""
FILES = {path for handler in (*PAGE_HANDLERS, *SCHEMA_HANDLERS) for path in handler.paths}
"""Routes of files that everybody may read."""
BODIES: dict[str, dict[str, Any]] = {
    "/rank": {},
    "/explain": {"movie_id": 550},
    "/feedback": LIKE,
    "/impressions": {"ranking_id": "r", "movie_ids": [1]},
}


def routes_of(app: Litestar) -> list[tuple[str, str]]:
    """(method, path) of every route of the API."""
    found = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }
    return sorted(entry for entry in found if entry[1] not in FILES)


def call(client: TestClient[Litestar], method: str, path: str, user_id: int, headers: dict[str, str]) -> Any:
    """Calls a route for the data of a user."""
    values = {"user_id": user_id, "movie_id": 550, "tmdb_id": 603}
    body = BODIES.get(path.removeprefix(API_PREFIX))
    return client.request(
        method,
        re.sub(r"{(\w+):int}", lambda name: str(values[name[1]]), path),
        json=None if body is None else {**body, "user_id": user_id},
        headers=headers,
    )


def is_open(response: Any) -> bool:
    """Whether the caller was let through. A refusal must be complete."""
    if response.status_code not in (401, 403):
        # The fake recommender explains nothing, which is 503.
        assert response.status_code in (200, 202) or response.json()["type"].endswith("ranking-failed")
        return True
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"].endswith("unauthorized" if response.status_code == 401 else "forbidden")
    assert response.headers["www-authenticate"].startswith('Bearer realm="movierank"')
    assert problem["remedy"]
    return False


def test_every_route_has_its_row_in_the_table(keyed: TestClient[Litestar]) -> None:
    assert set(routes_of(keyed.app)) == set(NEEDED)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_a_key_opens_the_routes_of_its_scope_and_no_other(
    keyed: TestClient[Litestar], method: str, path: str, scope: Scope
) -> None:
    needed = NEEDED[method, path]
    response = call(keyed, method, path, OWN, bearer(KEYS[scope]))
    assert is_open(response) == (needed is None or needed <= {scope})
    if needed is not None and not needed <= {scope}:
        assert response.status_code == 403
        missing = needed - {scope}
        assert any(f"lacks the scope {name}." in response.json()["detail"] for name in missing)
        assert any(f'scope="{name}"' in response.headers["www-authenticate"] for name in missing)


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_without_a_key_only_open_routes_answer(keyed: TestClient[Litestar], method: str, path: str) -> None:
    needed = NEEDED[method, path]
    for headers in ({}, bearer("wrong" * 5), {"Authorization": f"Basic {KEYS[Scope.RANK]}"}, bearer(" ")):
        response = call(keyed, method, path, OWN, headers)
        assert is_open(response) == (needed is None)
        if needed is not None:
            assert response.status_code == 401
    missing = call(keyed, method, path, OWN, {})
    if needed is not None:
        assert any(f"the scope {name}," in missing.json()["detail"] for name in needed)
        assert missing.headers["www-authenticate"] == 'Bearer realm="movierank"'


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_a_token_opens_the_routes_of_its_user_and_no_other(
    keyed: TestClient[Litestar], method: str, path: str
) -> None:
    headers = bearer(TOKENS.sign(OWN, 600))
    concerns_a_user = "user_id" in path or path.removeprefix(API_PREFIX) in BODIES
    assert is_open(call(keyed, method, path, OWN, headers)) == ((method, path) not in TOKEN_REFUSED)
    others = call(keyed, method, path, OTHER, headers)
    assert is_open(others) == ((method, path) not in TOKEN_REFUSED and not concerns_a_user)
    assert others.status_code != 401


CACHED = {"/movie/{movie_id:int}", "/movie/tmdb/{tmdb_id:int}", "/movie/{movie_id:int}/similar", "/movies"}
"""Routes whose answers concern no user and change with a version only."""


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_every_answer_says_who_may_keep_it(keyed: TestClient[Litestar], method: str, path: str) -> None:
    expected = "max-age=60, private" if path.removeprefix(API_PREFIX) in CACHED else "no-store"
    token = TOKENS.sign(OTHER, 600)
    answer = call(keyed, method, path, OTHER, bearer(token))
    assert answer.headers.get_list("cache-control") == [expected if answer.status_code < 400 else "no-store"]
    refused = call(keyed, method, path, OTHER, bearer("wrong" * 5))
    assert refused.headers.get_list("cache-control") == [
        expected if refused.status_code < 400 else "no-store"
    ]


def test_what_is_refused_changes_nothing(keyed: TestClient[Litestar]) -> None:
    before = keyed.app.state.worker.store().count()
    for headers in ({}, bearer(KEYS[Scope.RANK]), bearer(TOKENS.sign(OTHER, 600))):
        assert keyed.post("/feedback", json={"user_id": OWN, **LIKE}, headers=headers).status_code > 400
        assert keyed.delete(f"/users/{OWN}", headers=headers).status_code > 400
    assert keyed.app.state.worker.store().count() == before


def test_a_route_without_a_declaration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "secret"

    monkeypatch.setattr("movierank_serving.app.API_HANDLERS", (*API_HANDLERS, forgotten))
    with service(tmp_path, open_scopes="all") as client:
        response = client.get("/forgotten")
    assert (response.status_code, "secret" in response.text) == (500, False)


def test_the_document_has_the_scope_of_each_route(keyed: TestClient[Litestar]) -> None:
    for handler in API_HANDLERS:
        scope = access_of(handler).scope
        assert handler.security == (None if scope is None else [{"bearer": [scope]}, {}])


def test_a_visitor_has_no_user_so_a_ranking_needs_only_its_scope(keyed: TestClient[Litestar]) -> None:
    body = {"history": [{"movie_id": 603, "rating": 5}]}
    for key in (KEYS[Scope.RANK], TOKENS.sign(OWN, 600)):
        answer = keyed.post("/rank", json=body, headers=bearer(key))
        assert answer.json()["results"][0]["reasons"] == ["because_you_liked:603", "popular_lately"]
        explained = keyed.post("/explain", json={**body, "movie_id": 550}, headers=bearer(key))
        assert is_open(explained)


def test_reasons_tell_a_users_movies_only_to_those_who_may_read_them(tmp_path: Path) -> None:
    lines = "a rank ranks-ranks-ranks\nb rank,users:read reads-reads-reads"
    with service(tmp_path, api_keys=lines, token_secrets=SECRET) as client:

        def reasons(key: str, **more: Any) -> list[str]:
            answer = client.post("/rank", json={"user_id": OWN, **more}, headers=bearer(key))
            found: list[str] = answer.json()["results"][0]["reasons"]
            return found

        everything = ["because_you_liked:603", "popular_lately"]
        assert reasons("ranks-ranks-ranks") == ["popular_lately"]
        assert reasons("ranks-ranks-ranks", history=[{"movie_id": 1, "rating": 5}]) == ["popular_lately"]
        assert reasons("reads-reads-reads") == everything
        assert reasons(TOKENS.sign(OWN, 600)) == everything


def test_causes_in_readiness_are_for_operators(tmp_path: Path) -> None:
    url = f"postgresql://someone:hidden@127.0.0.1:1/{tmp_path.name}"
    with service(tmp_path, api_keys=KEY_LINES, events_url=url) as client:
        operator = client.get("/health/ready", headers=bearer(KEYS[Scope.OPERATE]))
        assert "127.0.0.1" in operator.json()["problems"][0]
        for headers in ({}, bearer(KEYS[Scope.RANK]), bearer("of-a-former-operator")):
            answer = client.get("/health/ready", headers=headers)
            assert answer.status_code == 200
            assert "The event store is unavailable. The log has the cause." in answer.json()["problems"]
            assert "127.0.0.1" not in answer.text
            assert "connection" not in answer.text.lower()


def test_without_a_model_strangers_learn_no_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_in(tmp_path, api_keys=KEY_LINES, open_scopes="rank")
    serve_version(settings, "1", "broken")
    with client_of(settings) as client:
        for response in (client.get("/health/ready"), client.post("/rank", json={"user_id": 1})):
            assert response.status_code == 503
            assert str(tmp_path) not in response.text
            assert response.json()["detail"].endswith("The log has the cause.")
        told = client.get("/health/ready", headers=bearer(KEYS[Scope.OPERATE])).json()
        assert str(tmp_path) in told["detail"]
        assert str(tmp_path) in told["health"]["problems"][0]
    logged = [getattr(record, "error", "") for record in caplog.records]
    assert any(str(tmp_path) in error for error in logged)


def test_open_scopes_are_those_of_a_request_without_a_key(tmp_path: Path) -> None:
    with service(tmp_path, api_keys=KEY_LINES, open_scopes="rank") as client:
        assert client.post("/rank", json={"user_id": OWN}).status_code == 200
        assert client.get("/users").status_code == 401
        # A key adds to them.
        assert (
            client.post("/rank", json={"user_id": OWN}, headers=bearer(KEYS[Scope.OPERATE])).status_code
            == 200
        )


def test_without_keys_and_open_scopes_the_application_is_closed(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        assert client.post("/rank", json={"user_id": OWN}).status_code == 401
        assert client.get("/health/live").status_code == 200


def test_with_all_scopes_open_everything_is(tmp_path: Path) -> None:
    with service(tmp_path, open_scopes="all") as client:
        for method, path in NEEDED:
            assert is_open(call(client, method, path, OWN, bearer("of-a-proxy-in-front")))


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
            "The signature of the token is not valid.",
        ),
        (lambda token: token + "=", "The signature of the token is not valid."),
        (lambda token: token.rpartition(".")[0], "The key is not valid."),
        (lambda token: ".".join([*token.split(".")[:2], ""]), "The signature of the token is not valid."),
    ],
)
def test_a_changed_token_is_refused(
    keyed: TestClient[Litestar], change: Callable[[str], str], detail: str
) -> None:
    response = keyed.get(f"/users/{OWN}", headers=bearer(change(TOKENS.sign(OWN, 600))))
    assert (response.status_code, response.json()["detail"]) == (401, detail)


def test_an_expired_token_is_refused_and_a_former_secret_still_verifies(keyed: TestClient[Litestar]) -> None:
    hour_ago = UserTokens([SECRET], clock=lambda: time.time() - 3600)
    response = keyed.get(f"/users/{OWN}", headers=bearer(hour_ago.sign(OWN, 3599)))
    assert (response.status_code, response.json()["detail"]) == (401, "The token has expired.")
    assert response.headers["www-authenticate"].endswith('error="invalid_token"')
    former = UserTokens([OLD_SECRET]).sign(OWN, 600)
    assert keyed.post("/rank", json={"user_id": OWN}, headers=bearer(former)).status_code == 200
    foreign = UserTokens(["c" * 32]).sign(OWN, 600)
    assert keyed.post("/rank", json={"user_id": OWN}, headers=bearer(foreign)).status_code == 401


def test_no_key_is_ever_logged_or_shown_but_its_name_is(
    keyed: TestClient[Litestar], caplog: pytest.LogCaptureFixture
) -> None:
    token = TOKENS.sign(OWN, 600)
    with caplog.at_level(logging.DEBUG):
        texts = [
            keyed.get(f"/users/{OWN}", headers=bearer(given)).text
            for given in (
                KEYS[Scope.USERS_READ],
                KEYS[Scope.RANK],
                f"{KEYS[Scope.RANK]}x",
                token,
                f"{token}x",
            )
        ]
    shown = json.dumps([vars(record) for record in caplog.records], default=str) + "".join(texts)
    shown += repr(keyed.app.state.worker.settings) + repr(vars(keyed.app.state.access))
    for secret in (*KEYS.values(), SECRET, token):
        assert secret not in shown
    names = [getattr(r, "key", None) for r in caplog.records if r.name == "movierank.requests"]
    assert names == ["users.read", "rank", None, "user-token", None]


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    access = Access(settings_in(tmp_path, api_keys=KEY_LINES))
    assert access.caller_of(f"bearer {KEYS[Scope.RANK]}").name == "rank"
    assert len(compared) == len(KEYS)  # Also after the first was the right one.
    assert {len(digest) for pair in compared for digest in pair} == {32}


def test_other_origins_get_nothing_unless_they_are_named(tmp_path: Path) -> None:
    ours, theirs = {"Origin": "https://films.example"}, {"Origin": "https://evil.example"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with service(tmp_path / "off", open_scopes="all") as client:
        assert "access-control-allow-origin" not in client.get("/model", headers=ours).headers
        refused = client.options("/rank", headers={**ours, **preflight})
        assert "access-control-allow-origin" not in refused.headers
    with service(tmp_path / "on", cors_origins="https://films.example", api_keys=KEY_LINES) as client:
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
    with service(tmp_path, open_scopes="all", rate_limit_per_minute=5) as client:
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
