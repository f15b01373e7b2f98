"""Old parts in the service: a problem text and two metrics, while the service stays ready."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from movierank_core.data.snapshot import CURRENT, MANIFEST
from movierank_core.events.store import FeedbackEvent, open_event_store
from movierank_serving.settings import Settings
from tests.support.service import client_of, metric, publish, serve_version, settings_in
from tests.support.waiting import wait_for


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def ready(client: TestClient[Litestar]) -> Any:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    return answer.json()


def problems(client: TestClient[Litestar], pattern: str) -> list[str]:
    return [text for text in ready(client)["problems"] if re.match(pattern, text)]


def publish_at(settings: Settings, created_at: str, through: str | None) -> None:
    """Publishes histories as if at `created_at`."""
    publish(settings, (7, 550, "like", 4.5, 1_800_000_000), through=through)
    folder = settings.paths.histories
    manifest = folder / (folder / CURRENT).read_text().strip() / MANIFEST
    content = msgspec.json.decode(manifest.read_bytes())
    manifest.write_bytes(msgspec.json.encode({**content, "created_at": created_at}))


def test_an_old_version_is_a_problem_and_the_service_stays_ready(settings: Settings) -> None:
    serve_version(settings, "1")  # Its manifest is of 2024-01-02.
    with client_of(settings) as client:
        (text,) = problems(client, "Version 1, which serves, was made")
        assert re.search(r"made \d+\.\d days ago\. Expected: at most 7 days\. Remedy: see `movierank", text)
        assert ready(client)["status"] == "ready"
        age = metric(client, "movierank_model_age_seconds")
    made_at = datetime(2024, 1, 2, tzinfo=UTC)
    assert 0 <= (datetime.now(UTC) - made_at).total_seconds() - age < 3600


def test_a_version_below_its_limit_and_no_limit_are_no_problem(settings: Settings) -> None:
    serve_version(settings, "1")
    for days in (0.0, 36_500.0):
        with client_of(msgspec.structs.replace(settings, stale_model_days=days)) as client:
            assert problems(client, "Version 1, which serves") == []


def test_old_histories_are_a_problem_as_soon_as_they_lack_an_event(settings: Settings) -> None:
    store = open_event_store(settings.events_url)
    serve_version(settings, "1")
    publish_at(settings, "2025-01-01T00:00:00+00:00", str(store.watermark()))
    with client_of(settings) as client:
        wait_for(lambda: ready(client)["histories"] is not None)
        assert metric(client, "movierank_histories_age_seconds") > 86_400
        assert problems(client, "The published histories") == []
        event = FeedbackEvent(
            event_id="1", user_id=1, movie_id=1, event_type="like", timestamp=datetime.now(UTC)
        )
        store.append([event])
        (text,) = wait_for(lambda: problems(client, "The published histories"))
        assert re.match(r"The published histories are \d+ hours old and lack newer events\. ", text)
        publish(settings, (7, 550, "like", 4.5, 1_800_000_000), through=str(store.watermark()))
        wait_for(lambda: problems(client, "The published histories") == [])
        assert 0 <= metric(client, "movierank_histories_age_seconds") < 86_400
    store.close()


def test_nothing_that_is_not_loaded_has_an_age(settings: Settings) -> None:
    with client_of(settings) as client:
        assert "_age_seconds" not in client.get("/metrics").text
