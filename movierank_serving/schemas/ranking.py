"""Bodies of `POST /rank` and `POST /explain`."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from movierank_core.recommender.degradation import Cause, Part, ServedBy
from movierank_core.recommender.explanation import FeatureView, SourceView
from movierank_core.reranking.filters import Filters
from movierank_serving.schemas.common import (
    HistoryEventType,
    MovieCard,
    MovieId,
    ServedVersion,
    Stars,
    Unavailable,
    UserId,
)

Verdict = Literal["shown", "below_k", "not_a_candidate", "filtered"]


class VisitorEvent(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One event of the request's own history: a rating, or an event type without a rating."""

    movie_id: MovieId
    rating: Stars | None = None
    event_type: Annotated[
        HistoryEventType | None, Meta(description="Default `rating`, if a rating is given.")
    ] = None
    timestamp: Annotated[int, Meta(ge=0, description="Seconds since 1970, UTC; default now.")] | None = None


class RankRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The requester (a user, a visitor with a history, or a user with additional events) and options."""

    user_id: UserId | None = None
    k: Annotated[int, Meta(ge=1, le=500, description="Maximum number of movies.")] = 25
    history: (
        Annotated[
            list[VisitorEvent],
            Meta(
                max_length=1000,
                description="Events of a visitor without a user id, or events added to a stored history.",
            ),
        ]
        | None
    ) = None
    filters: Annotated[Filters | None, Meta(description="Only movies that pass every filter are ranked.")] = (
        None
    )
    exclude_seen: Annotated[
        bool,
        Meta(description="Leave out movies that the user has seen. Hidden movies are always left out."),
    ] = True
    diversity: Annotated[
        float, Meta(ge=0.0, le=1.0, description="0 orders by score alone; 1 gives variety most weight.")
    ] = 0.0
    explore: Annotated[
        float,
        Meta(ge=0.0, le=1.0, description="The temperature at which the order is drawn; 0 does not draw."),
    ] = 0.0
    explain: Annotated[bool, Meta(description="Add raw scores and contributions.")] = False
    version: ServedVersion = "production"
    shown: Annotated[
        int,
        Meta(
            ge=0,
            le=500,
            description="Number of first results that the client shows in any case. They are impressions."
            " `POST /impressions` tells of movies that are shown later, or perhaps.",
        ),
    ] = 0


class RankedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One movie of a ranking."""

    movie_id: int
    score: Annotated[
        float, Meta(description="Probability that this user likes the movie after watching it, 0 to 1.")
    ]
    title: str
    poster_url: str | None
    reasons: Annotated[
        list[str],
        Meta(
            description="Codes, strongest first: `genre_match:thriller`, `because_you_liked:550`, "
            "`popular_lately`, …"
        ),
    ]
    tmdb_id: int | None
    release_year: int | None
    genres: list[str]
    raw_score: Annotated[
        float | UnsetType, Meta(description="Only with `explain`: the score before calibration.")
    ] = UNSET
    contributions: Annotated[
        dict[str, float] | UnsetType,
        Meta(
            description="Only with `explain`: the contribution of each family of features. With `base` they "
            "sum to `raw_score`."
        ),
    ] = UNSET
    propensity: Annotated[
        float | UnsetType,
        Meta(
            description="Only with `explore`: the probability of drawing this movie at this rank, given the "
            "movies above it."
        ),
    ] = UNSET


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was left out of a ranking."""

    part: Annotated[
        Part,
        Meta(
            description="Without `model`, the order is that of the fused candidates; without `candidates`, "
            "that of recent popularity."
        ),
    ]
    why: Cause


class RankResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking, best first."""

    user_id: int | None
    results: list[RankedResult]
    latency_ms: float
    request_id: Annotated[str, Meta(description="The id of this request in the log.")]
    ranking_id: Annotated[
        str,
        Meta(
            description="The id of this ranking. Send it with feedback and impressions, so that they can be "
            "joined with it."
        ),
    ]
    model_version: str
    data_as_of: Annotated[
        str, Meta(description="ISO 8601, UTC: the model was fitted on events strictly before this.")
    ]
    known_user: Annotated[
        bool, Meta(description="Whether events of the user are stored; false for newcomers and visitors.")
    ]
    n_history: Annotated[int, Meta(description="Number of movies in the history that was used.")]
    served_by: Annotated[
        ServedBy,
        Meta(
            description="`model`, or `popularity` for an empty history. If a part was left out: `candidates` "
            "(fused order of the candidate sources) or `popularity`."
        ),
    ]
    left_out: Annotated[
        list[LeftOut] | UnsetType,
        Meta(description="Parts that failed or were too late for the deadline; absent if there were none."),
    ] = UNSET
    unknown_movie_ids: Annotated[
        list[int] | UnsetType,
        Meta(description="Movies of the request's `history` that the catalogue lacks; they are ignored."),
    ] = UNSET
    feedback: Annotated[
        Unavailable | UnsetType,
        Meta(description="`unavailable`: the event store did not answer, so the newest events are missing."),
    ] = UNSET
    histories: Annotated[
        Unavailable | UnsetType,
        Meta(
            description="`unavailable`: no histories are published; only events in the event store are used."
        ),
    ] = UNSET


class ExplainRequest(RankRequest, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The fields of a ranking request, and the movie to explain."""

    movie_id: MovieId


class ExplainResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Why a movie has its rank, or why it is not in the ranking."""

    user_id: int | None
    movie: MovieCard
    verdict: Annotated[
        Verdict,
        Meta(
            description="`shown`: `/rank` with the same body shows the movie. `below_k`: it is ranked below "
            "`k`, or `diversity` prefers others. `not_a_candidate`: it passes all rules, but too few sources "
            "propose it. `filtered`: a rule of `filtered_by` excludes it."
        ),
    ]
    filtered_by: Annotated[
        list[str],
        Meta(
            description="Every rule that excludes the movie: `seen`, `hidden` (not interested), "
            "`unreleased`, `filters.<field>`."
        ),
    ]
    is_candidate: Annotated[
        bool, Meta(description="Whether the candidate sources propose it, if no rule excluded it.")
    ]
    sources: Annotated[list[SourceView], Meta(description="Score and rank of it by each candidate source.")]
    rank: Annotated[
        int | None,
        Meta(description="Its rank without `diversity`, from 1; null if it is not in the ranking."),
    ]
    would_rank: Annotated[
        int, Meta(description="The rank that it would have as a candidate that no rule excludes.")
    ]
    n_candidates: Annotated[
        int, Meta(description="Number of candidates that it is compared with, including itself.")
    ]
    score: Annotated[
        float, Meta(description="Probability that this user likes the movie after watching it, 0 to 1.")
    ]
    raw_score: Annotated[float, Meta(description="The score before calibration.")]
    contributions: Annotated[
        dict[str, float],
        Meta(description="The contribution of each family of features. With `base` they sum to `raw_score`."),
    ]
    features: Annotated[
        list[FeatureView],
        Meta(description="Value and contribution of each feature; empty if the model did not score it."),
    ]
    reasons: list[str]
    served_by: ServedBy
    request_id: str
    model_version: str
    data_as_of: str
    known_user: bool
    n_history: int
    unknown_movie_ids: list[int] | UnsetType = UNSET
    feedback: Unavailable | UnsetType = UNSET
    histories: Unavailable | UnsetType = UNSET
    latency_ms: float
