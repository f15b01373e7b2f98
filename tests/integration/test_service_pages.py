"""What browsers and scrapers get: the page, the API viewer and its document, headers, metrics, log lines."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.data.history import EVENT_TYPES, FEEDBACK_EVENT_TYPES
from movierank_serving.openapi import API_HANDLERS, SCHEMA_HANDLERS, STRUCTS
from movierank_serving.routes.pages import PAGE_HANDLERS
from movierank_serving.schemas.common import FeedbackEventType, HistoryEventType
from movierank_serving.schemas.examples import REQUESTS, RESPONSES
from movierank_serving.web.logs import JsonFormatter
from movierank_serving.web.middleware import API_PREFIX
from tests.support.service import client_of, serve_version, settings_in


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Litestar]]:
    settings = settings_in(tmp_path_factory.mktemp("pages"), log_requests=True)
    serve_version(settings, "3")
    with client_of(settings) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient[Litestar]) -> dict[str, Any]:
    content: dict[str, Any] = client.get("/schema/openapi.json").json()
    return content


def test_the_page_is_served_at_the_root(client: TestClient[Litestar]) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    assert client.get("/index.html").content == page.content
    script = client.get("/api.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_file_the_browser_has_is_not_sent_again(client: TestClient[Litestar]) -> None:
    etag = client.get("/").headers["etag"]
    for sent in (etag, f'"other", W/{etag}', "*"):
        again = client.get("/", headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_gives_the_headers_alone(client: TestClient[Litestar]) -> None:
    page, head = client.get("/"), client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == page.headers[name]
    assert client.head("/api.js").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/%2fetc%2fpasswd",
        "/.git/config",
        "/components",
        "/missing.js",
        "/schema/../app.py",
        "/schema/%2e%2e/%2e%2e/app.py",
        "/schema/missing.js",
        "/nul%00.js",
        f"/{'long' * 100}.js",
        "/caf%C3%A9.js",
        "/bad%FF.js",
    ],
)
def test_nothing_outside_the_page_is_served(client: TestClient[Litestar], path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/rank", "/movie/550", "/health/live", "/nothing", "/schema"])
def test_every_answer_has_the_security_headers(client: TestClient[Litestar], path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'self'; img-src 'self' https://image.tmdb.org data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/main.js", "/styles/base.css"])
def test_scripts_and_styles_have_what_concerns_them(client: TestClient[Litestar], path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "x-request-id" in headers
    assert "content-security-policy" not in headers


def test_metrics_are_packed_for_whoever_takes_that(client: TestClient[Litestar]) -> None:
    plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    packed = client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert "movierank_requests_total" in packed.text


def test_a_plain_request_id_of_the_caller_is_kept(client: TestClient[Litestar]) -> None:
    answer = client.post("/rank", json={"user_id": 1}, headers={"X-Request-Id": "abc-1"})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "abc-1"
    other = client.get("/health/live", headers={"X-Request-Id": 'x" onclick'})
    assert re.fullmatch("[0-9a-f]{16}", other.headers["x-request-id"])


def test_a_request_is_one_line_of_json(
    client: TestClient[Litestar], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "movierank.requests"):
        client.post("/rank", json={"user_id": 41}, headers={"X-Request-Id": "abc-2"})
        client.get("/movie/1?secret=1")
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert lines[0].pop("latency_ms") > 0
    assert lines[0].pop("time").endswith("+00:00")
    assert lines[0] == {
        "level": "info",
        "logger": "movierank.requests",
        "message": "request",
        "request_id": "abc-2",
        "method": "POST",
        "route": "/rank",
        "status": 200,
        "model_version": "3",
        "user_id": 41,
    }
    assert lines[1]["route"] == "/movie/{movie_id}"
    assert "secret" not in json.dumps(lines[1])


def test_probes_are_not_logged(client: TestClient[Litestar], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "movierank.requests"):
        for path in ("/health/live", "/health/ready", "/metrics"):
            client.get(path)
    assert [record.message for record in caplog.records if record.name == "movierank.requests"] == []


def test_metrics_count_requests_by_route(client: TestClient[Litestar]) -> None:
    def count(route: str, status: int, method: str = "POST") -> float:
        name = f'movierank_requests_total{{method="{method}",route="{route}",status="{status}"}}'
        text = client.get("/metrics").text
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    before = count("/rank", 200), count("/rank", 400), count("/movie/{movie_id}", 200, "GET")
    for body in ({"user_id": 1}, {"user_id": 1}, {"user_id": "x"}):
        client.post("/rank", json=body)
    client.get("/movie/1")
    after = count("/rank", 200), count("/rank", 400), count("/movie/{movie_id}", 200, "GET")
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 1]
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'movierank_rank_stage_seconds_count{stage="history"}' in answer.text
    assert 'movierank_rankings_total{served_by="popularity"}' in answer.text


def test_browsers_get_the_viewer_and_programs_the_document(client: TestClient[Litestar]) -> None:
    viewer = client.get("/schema", headers={"Accept": "text/html,*/*"})
    assert viewer.headers["content-type"] == "text/html; charset=utf-8"
    for path in re.findall(r'(?:src|href)="(/schema/[^"]+)"', viewer.text):
        assert client.get(path).status_code == 200
    assert client.get("/schema").json() == client.get("/schema/openapi.json").json()


def test_the_viewer_needs_nothing_from_elsewhere() -> None:
    folder = Path(__file__).resolve().parents[2] / "movierank_serving" / "static" / "schema"
    for file in folder.iterdir():
        text = file.read_text("utf-8")
        assert not re.search(r"https?://|//cdn|@import", text), file.name
        assert not re.search(r"<script>|<style>|\son\w+=|style=", text), file.name


def test_the_document_describes_every_route(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    routes = {
        (API_PREFIX + re.sub(r":\w+}", "}", path), method.lower())
        for handler in API_HANDLERS
        for path in handler.paths
        for method in handler.http_methods
    }
    assert described == routes
    assert len(routes) == 16
    assert not any(handler.include_in_schema for handler in (*SCHEMA_HANDLERS, *PAGE_HANDLERS))


OPERATIONS = [
    "explain",
    "find_users",
    "forget_user",
    "get_metrics",
    "get_model",
    "get_movie",
    "get_movie_by_tmdb_id",
    "get_user",
    "get_verdicts",
    "is_live",
    "is_ready",
    "rank",
    "search_movies",
    "send_feedback",
    "send_impressions",
    "similar_movies",
]
"""Names of functions in generated clients: they stay."""


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    ids = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert operation["summary"]
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            for status, response in operation["responses"].items():
                expected = "application/problem+json" if int(status) >= 400 else None
                assert response["description"]
                assert expected is None or list(response["content"]) == [expected]
    assert sorted(ids) == OPERATIONS


def test_every_example_is_valid_and_every_body_has_one(document: dict[str, Any]) -> None:
    structs = {struct.__name__: struct for struct in STRUCTS}
    with_request = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            parts = [operation.get("requestBody", {}), *operation["responses"].values()]
            for part in parts:
                for media in part.get("content", {}).values():
                    if "example" in media:
                        struct = structs[media["schema"]["$ref"].rpartition("/")[2]]
                        msgspec.convert(media["example"], struct)
            if "requestBody" in operation:
                with_request.add(operation["operationId"])
                [media] = operation["requestBody"]["content"].values()
                assert media["example"], operation["operationId"]
    assert with_request == set(REQUESTS)
    assert set(REQUESTS) | set(RESPONSES) <= set(OPERATIONS)


def test_requests_of_the_examples_are_answered_at_both_paths(
    client: TestClient[Litestar], document: dict[str, Any]
) -> None:
    for path in (f"{API_PREFIX}/rank", "/rank"):
        answer = client.post(path, json=msgspec.to_builtins(REQUESTS["rank"]))
        assert (answer.status_code, answer.json()["user_id"]) == (200, 123)
    for path in ("/health/live", "/movie/550", "/movies?query=fight", "/users?query=1"):
        old, new = client.get(path).json(), client.get(f"{API_PREFIX}{path}").json()
        assert old | {"latency_ms": 0} == new | {"latency_ms": 0}
    assert client.get(f"{API_PREFIX}/nothing").status_code == 404


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(names) | {struct.__name__ for struct in STRUCTS} == set(document["components"]["schemas"])


STRICT = ("RankRequest", "ExplainRequest", "FeedbackRequest", "ImpressionsRequest", "VisitorEvent", "Filters")


def test_every_field_of_a_request_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    undescribed = [
        f"{name}.{field}"
        for name in STRICT
        for field, schema in schemas[name]["properties"].items()
        if not any("description" in part for part in (schema, *schema.get("anyOf", [])))
    ]
    assert undescribed == []


def test_requests_of_the_document_are_strict(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in STRICT:
        assert schemas[name]["additionalProperties"] is False
    k = schemas["RankRequest"]["properties"]["k"]
    assert (k["type"], k["minimum"], k["maximum"], k["default"]) == ("integer", 1, 500, 25)


def test_the_event_types_are_those_of_histories() -> None:
    assert set(msgspec.inspect.type_info(HistoryEventType).values) == set(EVENT_TYPES)  # type: ignore[attr-defined]
    assert set(msgspec.inspect.type_info(FeedbackEventType).values) == set(FEEDBACK_EVENT_TYPES)  # type: ignore[attr-defined]
