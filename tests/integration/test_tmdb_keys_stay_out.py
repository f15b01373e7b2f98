"""TMDB's keys, from a run that enriches to a service that runs in the same environment: they get nowhere."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from movierank_cli.exit_codes import VERSION_REFUSED
from movierank_cli.service_process import environment_without_settings
from movierank_core.paths import Paths
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry
from tests.support.service_process import PROGRAM, Service, serving
from tests.support.tiny_pipeline import environment, make_tiny_root
from tests.support.tmdb_server import TOKEN, V3_KEY, Behaviour, tmdb_server
from tests.support.trained_service import run
from tests.support.waiting import PATIENCE_SECONDS

N_MOVIES = 150
FACT = b"What happens in film 7. What happens"
"""Only the server knows it: a search that finds it would find a key as well."""


@pytest.fixture(scope="module")
def enriched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, str]:
    """A root on which everything was made with a v3 key, which travels in addresses, and what was said."""
    root = tmp_path_factory.mktemp("enriched")
    make_tiny_root(root)
    movies = pl.read_csv(root / "tiny" / "movies.csv")["movieId"]
    links = pl.DataFrame({"movieId": movies, "imdbId": None, "tmdbId": range(1, len(movies) + 1)})
    links.write_csv(root / "tiny" / "links.csv")
    kept = environment_without_settings()
    with tmdb_server(Behaviour(faults={"500": 0.05, "reset": 0.05})) as server:
        access = {"TMDB_API_KEY": V3_KEY, "MOVIERANK_TMDB_URL": server.url}
        made_with = {**kept, **environment(root), **access}
        said = run([*PROGRAM, "materialize"], made_with, codes=(0, VERSION_REFUSED))
        assert len(server.report().served) == N_MOVIES
    paths = Paths(root=root, home=root / ".movierank")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Registry(connect(paths)).promote(1, by="a person", overrule="to be looked at")
    return paths, said


@pytest.fixture(scope="module")
def service(enriched: tuple[Paths, str]) -> Iterator[Service]:
    with serving(enriched[0], TMDB_ACCESS_TOKEN=TOKEN, TMDB_API_KEY=V3_KEY) as service:
        yield service


def files_with(text: bytes, folder: Path) -> set[str]:
    """Every file below `folder` that holds `text`, compressed tables included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)) for path in files if text in contents(path)}


def contents(path: Path) -> bytes:
    """The bytes of a file; of a table, which is compressed, its values in plain text as well."""
    raw = path.read_bytes()
    if path.suffix != ".parquet":
        return raw
    return raw + pl.read_parquet(path).write_ndjson().encode()


def answer(service: Service, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Status, and head and body of the answer as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE_SECONDS)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, str(response.headers).encode() + response.read()
    finally:
        connection.close()


def test_key_is_in_no_registry_entry_no_cache_and_no_log(enriched: tuple[Paths, str]) -> None:
    paths, said = enriched
    assert V3_KEY not in said
    assert files_with(V3_KEY.encode(), paths.root) == set()


def test_the_search_finds_what_enrichment_brought(enriched: tuple[Paths, str]) -> None:
    found = files_with(FACT, enriched[0].root)
    assert any(name.startswith("mlruns/") for name in found), found
    assert any("tmdb_cache.db" in name for name in found), found


def test_keys_are_in_no_answer_of_the_service(service: Service, enriched: tuple[Paths, str]) -> None:
    document = json.loads(answer(service, "GET", "/schema/openapi.json")[1].split(b"\n\n", 1)[1])
    paths = [path for path, item in document["paths"].items() if "get" in item]
    asked = [("GET", re.sub(r"{[^}]*}", "1", path), None) for path in paths]
    asked += [
        ("GET", "/nowhere", None),
        ("GET", "/movie/none", None),
        ("POST", "/rank", {"user_id": 1, "k": 20, "explain": True}),
        ("POST", "/rank", {"user_id": "one"}),
        ("POST", "/explain", {"user_id": 1, "movie_id": 1}),
        ("POST", "/feedback", {"user_id": 1, "movie_id": 1, "event": "like"}),
    ]
    answers = {(method, path): answer(service, method, path, body) for method, path, body in asked}
    assert sum(status == 200 for status, _ in answers.values()) > len(paths) / 2
    text = b"".join(part for _, part in answers.values())
    for key in (TOKEN, V3_KEY):
        assert key.encode() not in text
        assert files_with(key.encode(), enriched[0].root) == set()
