"""The shapes of requests and answers. Requests forbid unknown fields; answers may grow."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from movierank_core.manifest import EvaluationSummary
from movierank_core.recommender.degradation import Cause, Part, ServedBy
from movierank_core.recommender.explanation import FeatureView, SourceView
from movierank_core.reranking.filters import Filters

UserId = Annotated[int, Meta(ge=0, le=2**53 - 1, description="A user; unknown ones are newcomers.")]
MovieId = Annotated[int, Meta(ge=0, le=2**53 - 1, description="A movie's id, as in MovieLens.")]
Stars = Annotated[float, Meta(ge=0.5, le=5.0, description="A rating, 0.5 to 5.")]
Identifier = Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9._:-]+$")]
HistoryEventType = Literal["rating", "like", "dislike", "click", "not_interested", "seen"]
Verdict = Literal["shown", "below_k", "not_a_candidate", "filtered"]
ServedVersion = Annotated[
    Literal["production", "challenger"],
    Meta(description="The version that is served, or the one that the service holds beside it."),
]
FeedbackEventType = Literal["rating", "like", "dislike", "click", "not_interested", "seen", "undo"]


class VisitorEvent(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One thing that somebody without an account did: a rating, or an event without one."""

    movie_id: MovieId
    rating: Stars | None = None
    event_type: HistoryEventType | None = None
    timestamp: Annotated[int, Meta(ge=0, description="Seconds since 1970, UTC; default now.")] | None = None


class RankRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """For whom to rank: a user, or a visitor by their own history, or a user and what is new."""

    user_id: UserId | None = None
    k: Annotated[int, Meta(ge=1, le=500, description="How many movies.")] = 25
    history: Annotated[list[VisitorEvent], Meta(max_length=1000)] | None = None
    filters: Filters | None = None
    exclude_seen: bool = True
    diversity: Annotated[float, Meta(ge=0.0, le=1.0, description="0 by score alone, to 1.")] = 0.0
    explore: Annotated[
        float,
        Meta(ge=0.0, le=1.0, description="The temperature at which the order is drawn; 0 does not draw."),
    ] = 0.0
    explain: Annotated[bool, Meta(description="Give raw scores and contributions.")] = False
    version: ServedVersion = "production"


class MovieCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a movie."""

    movie_id: int
    title: str
    release_year: int | None
    genres: list[str]
    poster_url: str | None
    tmdb_id: int | None


class RankedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One place in a ranking."""

    movie_id: int
    score: float
    """How likely this user is to like the movie if they watch it, 0 to 1."""
    title: str
    poster_url: str | None
    reasons: list[str]
    """Codes, the strongest first: `genre_match:thriller`, `because_you_liked:550`, `popular_lately`, …"""
    tmdb_id: int | None
    release_year: int | None
    genres: list[str]
    raw_score: float | UnsetType = UNSET
    """Only with `explain`: before calibration."""
    contributions: dict[str, float] | UnsetType = UNSET
    """Only with `explain`: what each family of features adds; with `base` they sum to `raw_score`."""
    propensity: float | UnsetType = UNSET
    """Only with `explore`: the probability that this movie came here, given those above it."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A part that a ranking did without."""

    part: Part
    """Without `model` the order is that of the fused candidates, without `candidates` recent popularity."""
    why: Cause


class RankResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking, best first."""

    user_id: int | None
    results: list[RankedResult]
    latency_ms: float
    request_id: str
    model_version: str
    data_as_of: str
    """ISO 8601, UTC: the model was fitted on events strictly before this."""
    known_user: bool
    """Whether anything is known of the user; False for newcomers and visitors."""
    n_history: int
    """Movies in the history that was used."""
    served_by: ServedBy
    """`model`; `popularity` for an empty history. Where a part is left out: `candidates`, in the order in
    which the candidate sources agree, or `popularity`."""
    left_out: list[LeftOut] | UnsetType = UNSET
    """Parts that failed or would have come after the deadline; absent where everything went well."""
    unknown_movie_ids: list[int] | UnsetType = UNSET
    """Movies of the request's `history` that the catalogue does not have; they count for nothing."""
    feedback: Literal["unavailable"] | UnsetType = UNSET
    """`unavailable`: the event store is away, so the newest events are missing."""
    histories: Literal["unavailable"] | UnsetType = UNSET
    """`unavailable`: no histories are published, so only events of the event store count."""


class ExplainRequest(RankRequest, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a ranking is asked with, and the movie that it is about."""

    movie_id: MovieId


class ExplainResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Why a movie is where it is in a ranking, or why it is not in it."""

    user_id: int | None
    movie: MovieCard
    verdict: Verdict
    """`shown`: `/rank` with the same body shows it. `below_k`: it is ranked, but further down, or `diversity`
    prefers others. `not_a_candidate`: no rule keeps it out, but too few sources propose it, or too late."""
    filtered_by: list[str]
    """Every rule that keeps it out: `seen`, `hidden` (not interested), `filters.<field>`."""
    is_candidate: bool
    """Whether the sources propose it, the rules aside."""
    sources: list[SourceView]
    """What each candidate source says of it."""
    rank: int | None
    """Its place in the ranking, `diversity` aside, from 1; null if it is not in it."""
    would_rank: int
    """Its place there if no rule kept it out and it were a candidate in any case."""
    n_candidates: int
    """How many candidates it is compared with, itself included."""
    score: float
    """How likely this user is to like it if they watch it, 0 to 1."""
    raw_score: float
    """Before calibration."""
    contributions: dict[str, float]
    """What each family of features adds; with `base` they sum to `raw_score`."""
    features: list[FeatureView]
    """Each feature's value and what it adds; empty where the trees were not asked."""
    reasons: list[str]
    served_by: ServedBy
    request_id: str
    model_version: str
    data_as_of: str
    known_user: bool
    n_history: int
    unknown_movie_ids: list[int] | UnsetType = UNSET
    feedback: Literal["unavailable"] | UnsetType = UNSET
    histories: Literal["unavailable"] | UnsetType = UNSET
    latency_ms: float


class Movie(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the catalogue holds about a movie. TMDB's numbers are those of `tmdb_retrieved_at`."""

    movie_id: int
    title: str
    original_title: str | None
    release_year: int | None
    release_date: str | None
    genres: list[str]
    runtime_minutes: int | None
    original_language: str | None
    overview: str | None
    cast: list[str]
    directors: list[str]
    keywords: list[str]
    certification: str | None
    collection: str | None
    tmdb_vote_avg: float | None
    tmdb_vote_count: int | None
    tmdb_popularity: float | None
    tmdb_retrieved_at: str | None
    metadata_source: str | None
    poster_url: str | None
    backdrop_url: str | None
    tmdb_id: int | None
    imdb_id: str | None


class MovieList(msgspec.Struct, frozen=True, kw_only=True):
    results: list[MovieCard]
    latency_ms: float


class SimilarMovie(MovieCard, frozen=True, kw_only=True):
    similarity: float
    """Shared audience plus content: 0 nothing, 2 the same."""


class SimilarMovies(msgspec.Struct, frozen=True, kw_only=True):
    movie_id: int
    results: list[SimilarMovie]
    latency_ms: float


class UserEntry(msgspec.Struct, frozen=True, kw_only=True):
    user_id: int
    n_events: int


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """Users whose number begins with the query, ascending; the exact one first."""

    results: list[UserEntry]
    n_users: int
    """Users in the published histories, matching or not."""


class HistoryItem(MovieCard, frozen=True, kw_only=True):
    event_type: str
    rating: float | None
    """The rating, or what the event stands for; null where it holds no opinion."""
    timestamp: str
    """ISO 8601, UTC."""


class Taste(msgspec.Struct, frozen=True, kw_only=True):
    """One genre or decade in a history."""

    name: str
    n_movies: int
    share: float
    """Of the history's movies, 0 to 1."""
    mean_rating: float | None
    """Null where no movie of it was rated."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    user_id: int
    n_events: int
    """Movies in the whole history; `history` may show fewer."""
    n_likes: int
    mean_rating: float | None
    history: list[HistoryItem]
    """Newest first. Movies that the catalogue does not have are left out."""
    genres: list[Taste]
    """Most frequent first."""
    decades: list[Taste]
    """By time."""
    feedback: Literal["unavailable"] | UnsetType = UNSET


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    user_id: int
    events_deleted: int
    forgotten: Literal[True] = True


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One thing a user did with a movie."""

    user_id: UserId
    movie_id: MovieId
    event_type: FeedbackEventType
    value: Annotated[Stars | None, Meta(description="The rating; with `rating` and nothing else.")] = None
    request_id: Annotated[Identifier | None, Meta(description="The ranking that showed the movie.")] = None
    event_id: Annotated[
        Identifier | None,
        Meta(description="Chosen by the sender, unique over all users; sent again, it counts once."),
    ] = None


class FeedbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The event is on disk."""

    event_id: str
    duplicate: bool
    """The event was stored by an earlier request."""
    accepted: Literal[True] = True


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and what it was made from."""

    name: str
    model_version: str
    run_id: str
    created_at: str
    loaded_at: str
    data_as_of: str
    dataset: str
    ratings_are_simulated: bool
    n_movies: int
    n_users: int
    n_interactions: int
    n_features: int
    metrics: dict[str, float]
    library_versions: dict[str, str]
    histories: "HistoriesInfo | None"
    evaluation: EvaluationSummary | None
    """Null where the version was made before this was kept."""
    challenger: "LoadedVersion | None"
    """The version that `/rank` may be asked for by `"version": "challenger"`."""
    sources: "list[SourceInfo]"
    """The candidate sources of this version, in the order of its feature columns and reports."""
    features: "list[FeatureDescription]"
    """The features of this version, in the order of its feature columns."""
    families: "list[FamilyInfo]"
    """Every family of contributions and reasons, in display order."""
    links: dict[str, str]
    """`mlflow` (this version) and `dagster` (the asset that made it), where they are configured."""


class SourceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate source."""

    name: str
    """As in the `sources` of `/explain`."""
    label: str
    """A short name to show to people."""
    family: str
    """The family that its features contribute to."""
    meaning: str
    """What its score measures."""


class FeatureDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One feature column."""

    name: str
    """As in the `features` of `/explain`."""
    group: str
    family: str
    """The family that its contribution is added to."""
    unit: str
    meaning: str


class FamilyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One family of features: a key of `contributions`, a kind of reason code, or both."""

    name: str
    """The key in `contributions`, and the part of a reason code before the colon."""
    label: str
    """The row label in a table of contributions; empty if the family never has a contribution."""
    reason: str
    """The sentence for the reason code; empty if the family never becomes a reason. `{genre}`, `{decade}`
    and `{title}` stand for the part of the code after the colon: `{title}` for the title of that movie id."""


class HistoriesInfo(msgspec.Struct, frozen=True, kw_only=True):
    snapshot_id: str
    dataset: str
    ratings_are_simulated: bool
    data_as_of: str | None
    n_users: int
    n_events: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests can be answered, and everything that is not as it should be."""

    status: Literal["ready", "not_ready"]
    model: "LoadedVersion | None"
    histories: str | None
    """The published snapshot in use."""
    events: Literal["available", "unavailable"]
    registry: Literal["available", "unavailable", "unknown"]
    problems: list[str]
    """What was found, what was expected and what to do, one text each."""
    refused_versions: list["RefusedVersion"]
    """Versions that carried the alias and were found unusable."""


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """Why no request can be answered: a problem document with the health beside it."""

    type: str
    title: str
    detail: str
    remedy: str | None
    health: Health
    status: Literal[503] = 503
    errors: list[str] = []


class LoadedVersion(msgspec.Struct, frozen=True, kw_only=True):
    model_version: str
    run_id: str
    loaded_at: str


class RefusedVersion(msgspec.Struct, frozen=True, kw_only=True):
    model_version: str
    run_id: str
    error: str
    refused_at: str


class Live(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["live"] = "live"
