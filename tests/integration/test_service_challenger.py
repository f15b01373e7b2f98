"""A second version beside the served one: asked for by name, told by `/model`, absent unless it is wanted."""

from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from movierank_core.manifest import MANIFEST
from movierank_serving.model_sync.local_copies import CopiedVersion, ModelCopies, now
from movierank_serving.settings import Settings
from tests.support.service import client_of, serve_version, settings_in
from tests.support.waiting import wait_for


def name_challenger(settings: Settings, version: str, name: str = "good") -> None:
    """Make a fake copy the challenger, as `sync` does."""
    copies = ModelCopies(settings.paths.model_cache)
    named = CopiedVersion(version=version, run_id=f"run{version}", folder=f"{version}-x", aliased_at=now())
    copies.folder_of(named).mkdir(parents=True, exist_ok=True)
    (copies.folder_of(named) / MANIFEST).write_text(name)
    copies.write(copies.challenger_file, named)


def ask(client: TestClient[Any], version: str) -> tuple[int, Any]:
    answer = client.post("/rank", json={"user_id": 1, "k": 3, "version": version})
    return answer.status_code, answer.json()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path, serve_challenger=True)
    serve_version(settings, "1")
    return settings


def test_each_version_answers_what_asks_for_it(settings: Settings) -> None:
    name_challenger(settings, "2")
    with client_of(settings) as client:
        assert ask(client, "challenger")[1]["model_version"] == "2"
        assert ask(client, "production")[1]["model_version"] == "1"
        assert client.post("/rank", json={"user_id": 1}).json()["model_version"] == "1"
        told = client.get("/model").json()
        assert (told["model_version"], told["challenger"]["model_version"]) == ("1", "2")


def test_a_challenger_comes_and_goes_while_the_service_runs(settings: Settings) -> None:
    with client_of(settings) as client:
        status, problem = ask(client, "challenger")
        assert (status, problem["type"]) == (404, "urn:movierank:no-challenger")
        assert problem["detail"] == "No version with the alias challenger is loaded."
        assert client.get("/model").json()["challenger"] is None
        name_challenger(settings, "2")
        wait_for(lambda: ask(client, "challenger")[0] == 200)
        ModelCopies(settings.paths.model_cache).challenger_file.unlink()
        wait_for(lambda: ask(client, "challenger")[0] == 404)
        assert ask(client, "production")[0] == 200


def test_a_broken_challenger_is_said_and_replaces_the_one_before_it(settings: Settings) -> None:
    name_challenger(settings, "2")
    with client_of(settings) as client:
        name_challenger(settings, "3", "broken")
        wait_for(lambda: "is broken" in ask(client, "challenger")[1].get("detail", ""))
        assert ask(client, "challenger")[0] == 404
        assert any("is broken" in text for text in client.get("/health/ready").json()["problems"])
        assert ask(client, "production")[0] == 200


def test_a_service_that_was_not_told_to_holds_none(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    serve_version(settings, "1")
    name_challenger(settings, "2")
    with client_of(settings) as client:
        status, problem = ask(client, "challenger")
        assert (status, problem["detail"]) == (404, "This service does not load challengers.")
        assert problem["remedy"] == "set MOVIERANK_SERVE_CHALLENGER=true and restart the service"


def test_another_version_cannot_be_asked_for(settings: Settings) -> None:
    with client_of(settings) as client:
        status, problem = ask(client, "7")
        assert (status, problem["errors"][0]["field"]) == (400, "version")
