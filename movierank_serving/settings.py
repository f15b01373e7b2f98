"""What an operator can set, all of it from the environment; docs/operations.md lists every variable."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import movierank_serving
from movierank_core.errors import ConfigError
from movierank_core.model_store import MODEL_NAME, PRODUCTION, tracking_uri
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
    registry_poll_seconds: float = 2.0
    """How often the registry is asked where the alias points, in seconds."""
    watch_seconds: float = 1.0
    """How often a worker looks for a new model copy or new histories, in seconds."""
    poster_base_url: str = ""
    """What stands before a poster's path; empty: where the bundle says that TMDB's images are, and `w342`."""
    backdrop_base_url: str = ""
    """What stands before a backdrop's path; empty: where the bundle says that they are, and `w780`."""
    max_body_bytes: int = 65_536
    """A longer request body is refused with 413."""
    log_requests: bool = True
    """Whether each request is logged, one JSON line on standard error."""
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

_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_EXPECTED: Final = {float: "a number above 0", int: "a whole number above 0", bool: "true or false"}


def _read(name: str, text: str) -> Any:
    kind = _TYPES[name]
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        value = None
    if value is None or (kind in (int, float) and not 0 < value < math.inf):
        raise ConfigError(
            f"{VARIABLES[name]} is {text!r}", expected=_EXPECTED[kind], remedy="set it or leave it out"
        )
    return value


def _write(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
