"""What an operator can set, all of it from the environment; docs/operations.md lists every variable."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import movierank_serving
from movierank_core.errors import ConfigError
from movierank_core.mlflow_store import MODEL_NAME, PRODUCTION, tracking_uri
from movierank_core.paths import Paths


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one service runs. Every field but the first three is set by `MOVIERANK_<FIELD>`."""

    root: str
    """The folder that holds `mlruns/` (`MOVIERANK_ROOT`; the checkout, else the current folder)."""
    home: str
    """Where histories, the event store and model copies are (`MOVIERANK_HOME`; `<root>/.movierank`)."""
    tracking_uri: str
    """The MLflow server or store with the registry (`MLFLOW_TRACKING_URI`; `<root>/mlruns/mlflow.db`)."""
    events_url: str
    """The event store: `sqlite:///<path>` or `postgresql://…` (default `<home>/events.db`)."""
    model_name: str = MODEL_NAME
    """The registered model that is served."""
    model_alias: str = PRODUCTION
    """The alias whose version is served."""
    serve_challenger: bool = False
    """Whether the version with the alias `challenger` is held beside the served one, for comparing them."""
    registry_poll_seconds: float = 2.0
    """How often the registry is asked where the alias points, in seconds."""
    watch_seconds: float = 1.0
    """How often a worker looks for a new model copy or new histories, in seconds."""
    poster_base_url: str = ""
    """What stands before a poster's path; empty: where the bundle says that TMDB's images are, and `w342`."""
    backdrop_base_url: str = ""
    """What stands before a backdrop's path; empty: where the bundle says that they are, and `w780`."""
    mlflow_url: str = ""
    """Where the MLflow UI answers, for a link on the page; empty for no link."""
    dagster_url: str = ""
    """Where the Dagster UI answers, for a link on the page; empty for no link."""
    max_body_bytes: int = 65_536
    """A longer request body is refused with 413."""
    rank_deadline_ms: float = 500.0
    """How long after its request a ranking may come before a lesser one is given, in milliseconds."""
    rank_queue: int = 128
    """Rankings that may wait or be worked on in one worker; further ones get 503 at once."""
    impressions_kept: int = 100_000
    """The newest rankings whose positions stay in the event store; 0 stores none."""
    log_requests: bool = True
    """Whether each request is logged, one JSON line on standard error."""
    api_keys: str = ""
    """Keys, separated by commas, one of which writing and administrative routes need; none, no key."""
    cors_origins: str = ""
    """Origins, separated by commas, whose pages may ask from browsers; `*` is any."""
    rate_limit_per_minute: int = 0
    """Requests a minute of one client, and as many at once, before it gets 429; 0 is any number."""
    shutdown_seconds: float = 10.0
    """How long requests in flight may take to finish when the service is told to stop, in seconds."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """The settings of the environment; ConfigError for a value that cannot be used."""
        environment = os.environ if environment is None else environment
        paths = Paths.from_environment()
        values: dict[str, Any] = {
            "root": str(paths.root),
            "home": str(paths.home),
            "tracking_uri": tracking_uri(paths),
            "events_url": paths.events_url,
        }
        for name in VARIABLES:
            text = environment.get(VARIABLES[name])
            if text and name not in ("root", "home", "tracking_uri"):
                values[name] = _read(name, text)
        return cls(**values)

    def __repr__(self) -> str:
        """Without what may not be shown."""
        return f"{type(self).__name__}(root={self.root!r}, home={self.home!r})"

    @property
    def keys(self) -> list[str]:
        """The API keys."""
        return _entries(self.api_keys)

    @property
    def origins(self) -> list[str]:
        """The CORS origins."""
        return _entries(self.cors_origins)

    def environment(self) -> dict[str, str]:
        """The variables from which another process reads these settings."""
        return {VARIABLES[name]: _write(value) for name, value in msgspec.structs.asdict(self).items()}

    def image_bases(self, image_base_url: str) -> tuple[str, str]:
        """What stands before the path of (a poster, a backdrop), for a bundle with this place for images."""
        base = image_base_url.rstrip("/")
        return self.poster_base_url or f"{base}/w342", self.backdrop_base_url or f"{base}/w780"

    @property
    def paths(self) -> Paths:
        return Paths(root=Path(self.root), home=Path(self.home))

    @property
    def ui_folder(self) -> Path:
        """The page: `ui/` of the checkout, else the copy inside the installed package."""
        package = Path(movierank_serving.__file__).resolve().parent
        checkout = package.parent / "ui"
        return checkout if (checkout / "index.html").is_file() else package / "ui"


VARIABLES: Final[dict[str, str]] = {
    field.name: "MLFLOW_TRACKING_URI" if field.name == "tracking_uri" else f"MOVIERANK_{field.name.upper()}"
    for field in msgspec.structs.fields(Settings)
}
"""Field to environment variable."""

_WEB_ADDRESSES: Final = frozenset({"mlflow_url", "dagster_url"})
_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_EXPECTED: Final = {float: "a number above 0", int: "a whole number above 0", bool: "true or false"}
_MAY_BE_ZERO: Final = frozenset({"rate_limit_per_minute", "impressions_kept"})
_KEY: Final = re.compile(r"[!-~]+")
_ORIGIN: Final = re.compile(r"\*|https?://[^\s/,]+")


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _read(name: str, text: str) -> Any:
    kind = _TYPES[name]
    if name == "api_keys" and not all(_KEY.fullmatch(key) for key in _entries(text)):
        raise ConfigError(  # Which must not show the keys.
            "MOVIERANK_API_KEYS holds a key with spaces or characters that are not ASCII",
            expected="keys of visible ASCII characters, separated by commas",
            remedy="make keys with `openssl rand -hex 32`",
        )
    if name == "cors_origins" and not all(_ORIGIN.fullmatch(origin) for origin in _entries(text)):
        raise ConfigError(
            f"{VARIABLES[name]} is {text!r}",
            expected="origins like https://films.example:8443 separated by commas, or *",
            remedy="set it or leave it out",
        )
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        value = None
    may_be_zero = name in _MAY_BE_ZERO
    if value is None or (kind in (int, float) and not (0 < value < math.inf or (may_be_zero and value == 0))):
        raise ConfigError(
            f"{VARIABLES[name]} is {text!r}",
            expected=f"{_EXPECTED[kind]}{', or 0' if may_be_zero else ''}",
            remedy="set it or leave it out",
        )
    if name in _WEB_ADDRESSES and not text.startswith(("http://", "https://")):
        raise ConfigError(
            f"{VARIABLES[name]} is {text!r}",
            expected="an address that begins with http:// or https://",
            remedy="set it or leave it out",
        )
    return value


def _write(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
