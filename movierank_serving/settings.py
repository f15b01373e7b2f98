"""Settings of the service. All come from the environment; docs/operations.md lists the variables."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

import movierank_serving
from movierank_core.environment import convert_setting, texts_of
from movierank_core.mlflow_store import MODEL_NAME, PRODUCTION, tracking_uri
from movierank_core.paths import Paths
from movierank_core.staleness import HistoriesHours, ModelDays, StalenessLimits

_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_ORIGIN: Final = r"(?:\*|https?://[^\s/,]+)"


def _list_of(entry: str) -> str:
    """A pattern for entries with commas between them; white space around them and empty ones are allowed."""
    return rf"^\s*(?:{entry})?\s*(?:,\s*(?:{entry})?\s*)*$"


_WEB_ADDRESS: Final = {"expected": "an address that begins with http:// or https://"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one service runs. `VARIABLES` has the environment variable of each field."""

    root: Annotated[
        str,
        Meta(description="Folder that holds `mlruns/`; by default the checkout, else the current folder."),
    ]
    home: Annotated[
        str,
        Meta(description="Folder of histories, event store and model copies, default `<root>/.movierank`."),
    ]
    tracking_uri: Annotated[
        str,
        Meta(description="MLflow server or store with the registry, default `<root>/mlruns/mlflow.db`."),
    ]
    events_url: Annotated[
        str,
        Meta(
            description="Event store, `sqlite:///<path>` or `postgresql://…`; by default `<home>/events.db`.",
        ),
    ]
    model_name: Annotated[str, Meta(description="Name of the registered model that is served.")] = MODEL_NAME
    model_alias: Annotated[str, Meta(description="Alias whose version is served.")] = PRODUCTION
    serve_challenger: Annotated[
        bool,
        Meta(
            description="Whether the version with the alias `challenger` is loaded beside the served one, for"
            " comparison."
        ),
    ] = False
    registry_poll_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="Time between two look-ups of the alias, in seconds.")
    ] = 2.0
    watch_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Time between two checks of a worker for a new model copy or new histories, in"
            " seconds.",
        ),
    ] = 1.0
    stale_model_days: ModelDays = StalenessLimits().model_days
    stale_histories_hours: HistoriesHours = StalenessLimits().histories_hours
    poster_base_url: Annotated[
        str,
        Meta(
            description="Prefix of a poster's path. Empty: the image address of the bundle, followed by"
            " `w342`."
        ),
    ] = ""
    backdrop_base_url: Annotated[
        str,
        Meta(
            description="Prefix of a backdrop's path. Empty: the image address of the bundle, followed by"
            " `w780`."
        ),
    ] = ""
    mlflow_url: Annotated[
        str,
        Meta(
            pattern="^https?://",
            description="Address of the MLflow UI, for a link on the page; empty for no link.",
            extra=_WEB_ADDRESS,
        ),
    ] = ""
    dagster_url: Annotated[
        str,
        Meta(
            pattern="^https?://",
            description="Address of the Dagster UI, for a link on the page; empty for no link.",
            extra=_WEB_ADDRESS,
        ),
    ] = ""
    max_body_bytes: Annotated[
        int,
        Meta(
            gt=0,
            le=2**30,
            description="Maximum size of a request body, in bytes. A larger one is refused with 413.",
        ),
    ] = 65_536
    receive_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Maximum time from the opening of a connection, or the first byte of a request, to"
            " its last byte, in seconds.",
        ),
    ] = 20.0
    rank_deadline_ms: Annotated[
        float,
        Meta(
            gt=0,
            le=3_600_000,
            description="Maximum time from a request to its ranking before a simpler ranking is given, in"
            " milliseconds.",
        ),
    ] = 500.0
    rank_queue: Annotated[
        int,
        Meta(
            gt=0,
            le=1_000_000,
            description="Maximum number of rankings that wait or run in one worker. Further requests get 503"
            " at once.",
        ),
    ] = 128
    impressions_kept: Annotated[
        int,
        Meta(
            ge=0,
            le=10**12,
            description="Number of newest rankings that stay in the event store, for impressions; 0: none.",
        ),
    ] = 100_000
    log_requests: Annotated[
        bool, Meta(description="Whether each request is logged as one JSON line on standard error.")
    ] = True
    api_keys: Annotated[
        str,
        Meta(
            description="Keys, one per line or separated by semicolons: `<name> <scope>,<scope> <key>`."
            " Empty: no key.",
        ),
    ] = ""
    api_keys_file: Annotated[
        str, Meta(description="Path of a file with the keys, instead of `MOVIERANK_API_KEYS`.")
    ] = ""
    token_secrets: Annotated[
        str,
        Meta(
            description="Secrets of users' tokens, separated by commas. The first signs, each verifies."
            " Empty: no tokens.",
        ),
    ] = ""
    token_secrets_file: Annotated[
        str, Meta(description="Path of a file with the secrets, instead of `MOVIERANK_TOKEN_SECRETS`.")
    ] = ""
    open_scopes: Annotated[
        str,
        Meta(
            description="Scopes, separated by commas, that a request without a key has; `all` for every one."
            " Without it and without keys: `all` on loopback; elsewhere the service does not start.",
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        Meta(
            pattern=_list_of(_ORIGIN),
            description="Origins, separated by commas, whose pages may send requests from browsers; `*` for"
            " any.",
            extra={"expected": "origins like https://films.example:8443 separated by commas, or *"},
        ),
    ] = ""
    allowed_hosts: Annotated[
        str,
        Meta(
            pattern=_list_of(_HOST),
            description="Names, separated by commas, that a request may have in its `Host` header, without"
            " port. Empty: any, but only names of this machine if the service listens on loopback.",
            extra={"expected": "host names without port, separated by commas"},
        ),
    ] = ""
    rate_limit_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=10**9,
            description="Maximum number of requests of one client per minute, and at once, before it gets"
            " 429; 0 for no limit.",
        ),
    ] = 0
    shutdown_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Maximum time for open requests to finish when the service stops, in seconds.",
        ),
    ] = 10.0

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
        computed = ("root", "home", "tracking_uri")  # `Paths` and `tracking_uri` read their variables.
        for name, text in texts_of(environment, VARIABLES).items():
            if name not in computed:
                values[name] = convert_setting(
                    cls, name, text, name=VARIABLES[name], remedy="set it or leave it out"
                )
        return cls(**values)

    def __repr__(self) -> str:
        """Without keys and addresses, which may hold passwords."""
        return f"{type(self).__name__}(root={self.root!r}, home={self.home!r})"

    @property
    def hosts(self) -> list[str]:
        """The allowed host names, in their order; empty for any."""
        return _entries(self.allowed_hosts)

    @property
    def origins(self) -> list[str]:
        """The CORS origins, in their order."""
        return _entries(self.cors_origins)

    def environment(self) -> dict[str, str]:
        """Environment variables from which `from_environment` reads these settings again."""
        return {VARIABLES[name]: _write(value) for name, value in msgspec.structs.asdict(self).items()}

    def image_bases(self, image_base_url: str) -> tuple[str, str]:
        """The prefixes of the paths of (posters, backdrops), for the image address of a bundle."""
        base = image_base_url.rstrip("/")
        return self.poster_base_url or f"{base}/w342", self.backdrop_base_url or f"{base}/w780"

    @property
    def paths(self) -> Paths:
        return Paths(root=Path(self.root), home=Path(self.home))

    @property
    def ui_folder(self) -> Path:
        """The folder of the page: `ui/` of the checkout, else its copy in the installed package."""
        package = Path(movierank_serving.__file__).resolve().parent
        checkout = package.parent / "ui"
        return checkout if (checkout / "index.html").is_file() else package / "ui"


VARIABLES: Final[dict[str, str]] = {
    field.name: "MLFLOW_TRACKING_URI" if field.name == "tracking_uri" else f"MOVIERANK_{field.name.upper()}"
    for field in msgspec.structs.fields(Settings)
}
"""Environment variable by field."""


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _write(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
