"""Settings of the service: read from the environment, handed on to workers, documented."""

import re
from pathlib import Path

import msgspec
import pytest

from movierank_core.environment import bounds_of, description_of
from movierank_core.errors import ConfigError
from movierank_serving.commands import serve
from movierank_serving.settings import VARIABLES, Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    return tmp_path


def test_without_an_environment_everything_is_below_the_root(root: Path) -> None:
    settings = Settings.from_environment()
    assert settings.home == str(root / ".movierank")
    assert settings.events_url == f"sqlite:///{root}/.movierank/events.db"
    assert settings.tracking_uri == f"sqlite:///{root}/mlruns/mlflow.db"


def test_every_setting_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "MOVIERANK_HOME": str(tmp_path / "home"),
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MOVIERANK_EVENTS_URL": "postgresql://host/db",
        "MOVIERANK_MODEL_NAME": "other",
        "MOVIERANK_MODEL_ALIAS": "challenger",
        "MOVIERANK_SERVE_CHALLENGER": "true",
        "MOVIERANK_REGISTRY_POLL_SECONDS": "0.5",
        "MOVIERANK_WATCH_SECONDS": "0.25",
        "MOVIERANK_STALE_MODEL_DAYS": "3",
        "MOVIERANK_STALE_HISTORIES_HOURS": "12",
        "MOVIERANK_POSTER_BASE_URL": "https://images.example/w500",
        "MOVIERANK_BACKDROP_BASE_URL": "https://images.example/w780",
        "MOVIERANK_MLFLOW_URL": "https://mlflow.example",
        "MOVIERANK_DAGSTER_URL": "https://dagster.example",
        "MOVIERANK_MAX_BODY_BYTES": "1000",
        "MOVIERANK_RECEIVE_SECONDS": "5",
        "MOVIERANK_RANK_DEADLINE_MS": "250",
        "MOVIERANK_RANK_QUEUE": "16",
        "MOVIERANK_API_KEYS": "shop rank 0123456789abcdef",
        "MOVIERANK_API_KEYS_FILE": "/keys",
        "MOVIERANK_TOKEN_SECRETS": "0123456789abcdef0123456789abcdef",
        "MOVIERANK_TOKEN_SECRETS_FILE": "/secrets",
        "MOVIERANK_OPEN_SCOPES": "rank",
        "MOVIERANK_ALLOWED_HOSTS": "films.example",
        "MOVIERANK_CORS_ORIGINS": "https://films.example",
        "MOVIERANK_RATE_LIMIT_PER_MINUTE": "600",
        "MOVIERANK_IMPRESSIONS_KEPT": "500",
        "MOVIERANK_LOG_REQUESTS": "false",
        "MOVIERANK_SHUTDOWN_SECONDS": "3",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    written = settings.environment()
    assert set(values) | {"MOVIERANK_ROOT"} == set(written)
    changed = {field.name for field in msgspec.structs.fields(Settings)} - {"root"}
    assert all(getattr(settings, name) != field_default(name) for name in changed)


def field_default(name: str) -> object:
    return next(field.default for field in msgspec.structs.fields(Settings) if field.name == name)


def test_workers_read_what_they_were_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = Settings(
        root=str(tmp_path / "a"),
        home=str(tmp_path / "b"),
        tracking_uri="http://registry",
        events_url="sqlite:////tmp/x.db",
        log_requests=False,
        watch_seconds=0.125,
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == given


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MOVIERANK_WATCH_SECONDS", "soon", "a number above 0 and up to 86,400"),
        ("MOVIERANK_WATCH_SECONDS", "0", "a number above 0 and up to 86,400"),
        ("MOVIERANK_REGISTRY_POLL_SECONDS", "-1", "a number above 0 and up to 86,400"),
        ("MOVIERANK_REGISTRY_POLL_SECONDS", "nan", "a number above 0 and up to 86,400"),
        ("MOVIERANK_MAX_BODY_BYTES", "1.5", "a whole number above 0 and up to 1,073,741,824"),
        ("MOVIERANK_LOG_REQUESTS", "perhaps", "true or false"),
        ("MOVIERANK_MLFLOW_URL", "javascript:x", "an address that begins with http:// or https://"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refusal:
        Settings.from_environment()
    assert (
        str(refusal.value)
        == f"{name} cannot be {value!r}. Expected: {expected}. Remedy: set it or leave it out."
    )


def test_every_setting_has_a_description_and_every_number_has_bounds() -> None:
    for field in msgspec.structs.fields(Settings):
        assert description_of(Settings, field.name).endswith("."), field.name
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert len(bounds_of(Settings, field.name)) == 2, field.name


def test_spaces_around_entries_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOVIERANK_CORS_ORIGINS", "https://a.example, http://b.example:80")
    settings = Settings.from_environment()
    assert settings.origins == ["https://a.example", "http://b.example:80"]


def test_every_setting_is_documented() -> None:
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    documented = set(re.findall(r"`((?:MOVIERANK|MLFLOW)_[A-Z_]+)`", document))
    of_command = {str(option.envvar) for option in serve.params if getattr(option, "envvar", None)}
    assert set(VARIABLES.values()) | of_command <= documented
