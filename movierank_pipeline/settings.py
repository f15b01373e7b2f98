"""Pipeline configuration.

A value comes from the Dagster launchpad or the command line, else from the environment
(`MOVIERANK_<FIELD>`, `MOVIERANK_MODEL_<FIELD>` for the model), else from its default. Secrets and addresses
of stores are elsewhere, because Dagster shows and stores these values.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any, cast

import dagster as dg
import msgspec
import polars as pl
from pydantic import Field, ValidationError, create_model, field_validator

from movierank_core.config import GateLimits, ModelConfig
from movierank_core.environment import bounds_of, convert_setting, description_of, texts_of
from movierank_core.errors import ConfigError
from movierank_core.paths import Paths
from movierank_core.staleness import StalenessLimits
from movierank_pipeline.ingest.tmdb.client import RequestPolicy
from movierank_pipeline.ingest.tmdb.metadata import REFRESHES_A_DAY

PREFIX = "MOVIERANK_"
POLICIES = ("auto", "manual")


def _model_parameters() -> type[dg.Config]:
    """The fields of `ModelConfig` as a Dagster configuration, with the same bounds and descriptions."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(ModelConfig):
        is_tuple = isinstance(field.default, tuple)
        # Dagster knows lists and no tuples; `_model_config` checks their items.
        kind = list[float] if is_tuple else type(field.default)
        default = list(field.default) if is_tuple else field.default
        description = description_of(ModelConfig, field.name)
        bounds = cast(Any, bounds_of(ModelConfig, field.name))
        fields[field.name] = (kind, Field(default, description=description, **bounds))
    return create_model("ModelParameters", __base__=dg.Config, **fields)


ModelParameters = _model_parameters()


class Settings(dg.ConfigurableResource):
    """Data, training, gate and links of a run."""

    data_dir: str | None = Field(
        None, description="A folder with the files of any MovieLens edition; wins over `dataset`."
    )
    dataset: str | None = Field(
        None,
        description="A MovieLens edition to download when it is not there yet, or `sample` for the built-in"
        " films with simulated ratings. Default: ml-latest-small where it was downloaded, else sample.",
    )
    ratings_from: str | None = Field(
        None, description="Ratings before this date (YYYY-MM-DD, UTC) are left out."
    )
    ratings_until: str | None = Field(
        None, description="Ratings at or after this date (YYYY-MM-DD, UTC) are left out."
    )
    tmdb_file: str | None = Field(
        None,
        description="A TMDB metadata file (the Kaggle CSVs or Parquet), for films without an answer of the"
        " API.",
    )
    tmdb_requests_per_second: float = Field(
        RequestPolicy().requests_per_second,
        gt=0,
        description="Maximum number of requests that reach TMDB in any second, retries included.",
    )
    tmdb_connections: int = Field(
        RequestPolicy().connections,
        ge=1,
        le=256,
        description="Maximum number of concurrent requests to TMDB.",
    )
    tmdb_attempts: int = Field(
        RequestPolicy().attempts,
        ge=1,
        description="Maximum number of requests per film and round; responses with 429 do not count.",
    )
    tmdb_connect_seconds: float = Field(
        RequestPolicy().connect_seconds,
        gt=0,
        description="Maximum time to connect to TMDB, in seconds.",
    )
    tmdb_read_seconds: float = Field(
        RequestPolicy().read_seconds, gt=0, description="Maximum pause within a response of TMDB, in seconds."
    )
    tmdb_answer_seconds: float = Field(
        RequestPolicy().answer_seconds,
        gt=0,
        description="Maximum duration of a response of TMDB, in seconds.",
    )
    tmdb_patience_seconds: float = Field(
        RequestPolicy().patience_seconds,
        ge=0,
        description="Maximum time for which TMDB is unavailable, or asks to wait, before the remaining films"
        " are left for the next run, in seconds.",
    )
    tmdb_refreshes_a_day: int = Field(
        REFRESHES_A_DAY,
        ge=0,
        description="Maximum number of films per day (UTC) whose old TMDB facts are requested again.",
    )
    tune_seconds: float = Field(
        0,
        ge=0,
        description="Time for the search for better parameters of the ranker at each training, in seconds;"
        " 0 for no search.",
    )
    promotion_policy: str = Field(
        "auto",
        description="auto: a version that passes the gate serves at once. manual: it becomes the challenger"
        " and a person promotes it.",
    )
    gate_margin: float = Field(
        GateLimits().production_margin,
        gt=0,
        le=1,
        description="Loss of nDCG@10, as a share of production's mean, with which a version passes at most"
        " one time in twenty.",
    )
    gate_megabytes: float = Field(
        GateLimits().megabytes,
        gt=0,
        description="Maximum size of a bundle that passes the gate, in megabytes.",
    )
    gate_latency_ms: float = Field(
        GateLimits().latency_ms,
        gt=0,
        description="Maximum median duration of a bundle's golden requests, in milliseconds.",
    )
    gate_calibration_error: float = Field(
        GateLimits().calibration_error,
        ge=0,
        le=1,
        description="Maximum expected calibration error of a version that passes the gate.",
    )
    recommendations_k: int = Field(
        25, ge=1, le=500, description="Movies per user in the asset `recommendations`."
    )
    keep_versions: int = Field(
        10,
        ge=1,
        description="Number of the newest versions, of trainings, and of runs of each Dagster job that stay;"
        " versions with an alias stay besides.",
    )
    feedback_threshold: int = Field(
        1000, ge=1, description="Number of new feedback events after which the sensor starts a retraining."
    )
    stale_model_days: float = Field(
        StalenessLimits().model_days,
        ge=0,
        le=36_500,
        description=description_of(StalenessLimits, "model_days"),
    )
    stale_histories_hours: float = Field(
        StalenessLimits().histories_hours,
        ge=0,
        le=876_000,
        description=description_of(StalenessLimits, "histories_hours"),
    )
    stale_feedback_hours: float = Field(
        StalenessLimits().feedback_hours,
        ge=0,
        le=876_000,
        description=description_of(StalenessLimits, "feedback_hours"),
    )
    dagster_url: str = Field(
        "http://127.0.0.1:3000", description="Address of the Dagster UI, for links in MLflow and alerts."
    )
    mlflow_url: str = Field(
        "http://127.0.0.1:5000", description="Address of the MLflow UI, for links in Dagster."
    )
    model: ModelParameters = Field(  # type: ignore[valid-type]  # Made from ModelConfig above.
        default_factory=ModelParameters, description="Parameters of the model and its evaluation."
    )

    @field_validator("promotion_policy")
    @classmethod
    def _known_policy(cls, value: str) -> str:
        if value not in POLICIES:
            raise ValueError(f"must be one of {', '.join(POLICIES)}")
        return value

    @field_validator("ratings_from", "ratings_until")
    @classmethod
    def _date(cls, value: str | None) -> str | None:
        if value is not None:
            _midnight(value)
        return value

    @field_validator("model")
    @classmethod
    def _model(cls, value: dg.Config) -> dg.Config:
        try:
            _model_config(value.model_dump())
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def gate_limits(self) -> GateLimits:
        return GateLimits(
            production_margin=self.gate_margin,
            megabytes=self.gate_megabytes,
            latency_ms=self.gate_latency_ms,
            calibration_error=self.gate_calibration_error,
        )

    @property
    def staleness_limits(self) -> StalenessLimits:
        return StalenessLimits(
            model_days=self.stale_model_days,
            histories_hours=self.stale_histories_hours,
            feedback_hours=self.stale_feedback_hours,
        )

    @property
    def request_policy(self) -> RequestPolicy:
        return RequestPolicy(
            requests_per_second=self.tmdb_requests_per_second,
            connections=self.tmdb_connections,
            attempts=self.tmdb_attempts,
            connect_seconds=self.tmdb_connect_seconds,
            read_seconds=self.tmdb_read_seconds,
            answer_seconds=self.tmdb_answer_seconds,
            patience_seconds=self.tmdb_patience_seconds,
        )

    @property
    def model_parameters(self) -> ModelConfig:
        return _model_config(cast(dg.Config, self.model).model_dump())

    def within_period(self, ratings: pl.DataFrame) -> pl.DataFrame:
        """The rows from `ratings_from` on and before `ratings_until`."""
        kept = ratings
        if self.ratings_from is not None:
            kept = kept.filter(pl.col("timestamp") >= _midnight(self.ratings_from))
        if self.ratings_until is not None:
            kept = kept.filter(pl.col("timestamp") < _midnight(self.ratings_until))
        return kept

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, given: Mapping[str, object] | None = None
    ) -> "Settings":
        """Settings from `MOVIERANK_*`. Values of `given` other than None win; empty variables count as unset.

        Raises ConfigError with the setting, its value and the expectation.
        """
        variables = {name: f"{PREFIX}{name.upper()}" for name in cls.model_fields if name != "model"}
        model_variables = {
            field.name: f"{PREFIX}MODEL_{field.name.upper()}" for field in msgspec.structs.fields(ModelConfig)
        }
        chosen = {name: value for name, value in (given or {}).items() if value is not None}
        values: dict[str, Any] = {**texts_of(environment, variables), **chosen}
        config = _model_config(texts_of(environment, model_variables))
        try:
            return cls(**values, model=ModelParameters(**msgspec.to_builtins(config)))
        except ValidationError as error:
            first = error.errors()[0]
            field = "_".join(str(part) for part in first["loc"] if isinstance(part, str))
            raise ConfigError(
                f"The setting {field} cannot be {first['input']!r}",
                expected=first["msg"].removeprefix("Value error, "),
                remedy=_remedy(field),
            ) from error


def _remedy(field: str) -> str:
    return f"change {PREFIX}{field.upper()} or the option of that name"


def _midnight(date: str) -> datetime:
    try:
        return datetime.combine(datetime.strptime(date, "%Y-%m-%d"), time(), UTC)  # noqa: DTZ007  # Made aware.
    except ValueError as error:
        raise ValueError("must be a date as YYYY-MM-DD") from error


def _model_config(values: Mapping[str, object]) -> ModelConfig:
    """The configuration with these values, the others by default; ConfigError for one out of its bounds."""
    converted = {
        field: convert_setting(
            ModelConfig,
            field,
            value,
            name=f"The setting model_{field}",
            remedy=_remedy(f"model_{field}"),
        )
        for field, value in values.items()
    }
    return ModelConfig(**converted)


def events_url(paths: Paths) -> str:
    """URL of the event store: `MOVIERANK_EVENTS_URL`, else SQLite below `MOVIERANK_HOME`.

    It is not a field of `Settings`, because it may contain a password.
    """
    return os.environ.get(f"{PREFIX}EVENTS_URL") or paths.events_url
