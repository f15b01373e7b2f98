"""Bodies of `GET /model` and the health probes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from movierank_core.manifest import EvaluationSummary


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate source."""

    name: Annotated[str, Meta(description="As in `sources` of `/explain`.")]
    label: Annotated[str, Meta(description="A short name to show to people.")]
    family: Annotated[str, Meta(description="The family that its features contribute to.")]
    meaning: Annotated[str, Meta(description="What its score is.")]


class FeatureDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One feature column."""

    name: Annotated[str, Meta(description="As in `features` of `/explain`.")]
    group: str
    family: Annotated[str, Meta(description="The family that its contribution is added to.")]
    unit: str
    meaning: str


class FamilyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One family of features: a key of `contributions`, a kind of reason code, or both."""

    name: Annotated[
        str, Meta(description="The key in `contributions`, and the part of a reason code before the colon.")
    ]
    label: Annotated[
        str, Meta(description="Its name in a table of contributions; empty if it never has a contribution.")
    ]
    reason: Annotated[
        str,
        Meta(
            description="The sentence for its reason code; empty if it never is a reason. `{genre}` and "
            "`{decade}` stand for the part of the code after the colon, `{title}` for the title of the movie "
            "with that id."
        ),
    ]


class HistoriesInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The published snapshot of histories in use."""

    snapshot_id: str
    dataset: str
    ratings_are_simulated: bool
    data_as_of: Annotated[
        str | None, Meta(description="ISO 8601, UTC: time of the newest event; null if there is none.")
    ]
    n_users: int
    n_events: int


class LoadedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A model version that the answering worker has loaded."""

    model_version: str
    run_id: str
    loaded_at: Annotated[str, Meta(description="ISO 8601, UTC.")]


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The served version: its data, its evaluation, and the names of its parts."""

    name: str
    model_version: str
    run_id: str
    created_at: str
    loaded_at: str
    data_as_of: str
    facts_as_of: Annotated[
        str,
        Meta(
            description="ISO 8601, UTC: facts of movies (popularity, mean ratings) count events before this."
        ),
    ]
    dataset: str
    ratings_are_simulated: bool
    n_movies: int
    n_users: int
    n_interactions: int
    n_features: int
    metrics: dict[str, float]
    library_versions: dict[str, str]
    histories: HistoriesInfo | None
    evaluation: Annotated[
        EvaluationSummary | None, Meta(description="Null for versions that were stored without it.")
    ]
    challenger: Annotated[
        LoadedVersion | None,
        Meta(description='The version that answers requests with `"version": "challenger"`.'),
    ]
    sources: Annotated[
        list[SourceInfo], Meta(description="The candidate sources of this version, in feature order.")
    ]
    features: Annotated[
        list[FeatureDescription], Meta(description="The features of this version, in column order.")
    ]
    families: Annotated[
        list[FamilyInfo], Meta(description="Families of contributions and reasons, in display order.")
    ]
    links: Annotated[
        dict[str, str],
        Meta(
            description="URLs in other UIs, if their addresses are configured: `mlflow` (this version) and "
            "`dagster` (the asset that made it)."
        ),
    ]


class RefusedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that carried the alias and is unusable."""

    model_version: str
    run_id: str
    error: str
    refused_at: Annotated[str, Meta(description="ISO 8601, UTC.")]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests can be answered, and every problem that the service knows."""

    status: Literal["ready", "not_ready"]
    model: LoadedVersion | None
    histories: Annotated[str | None, Meta(description="The published snapshot in use.")]
    events: Literal["available", "unavailable"]
    registry: Literal["available", "unavailable", "unknown"]
    problems: Annotated[
        list[str], Meta(description="One text per problem: what was found, what was expected, the remedy.")
    ]
    refused_versions: Annotated[
        list[RefusedVersion], Meta(description="Versions that carried the alias and are unusable.")
    ]


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """Why no request can be answered: a problem document that includes the health."""

    type: str
    title: str
    detail: str
    remedy: str | None
    health: Health
    status: Literal[503] = 503
    errors: list[str] = []


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["live"] = "live"
