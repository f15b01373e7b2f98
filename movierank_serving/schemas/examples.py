"""Examples of requests and responses for the OpenAPI document, by operation id."""

from typing import Final

import msgspec

from movierank_serving.schemas.common import MovieCard
from movierank_serving.schemas.feedback import (
    FeedbackRequest,
    FeedbackResponse,
    ImpressionsRequest,
    ImpressionsResponse,
)
from movierank_serving.schemas.movies import MovieList
from movierank_serving.schemas.ranking import ExplainRequest, RankedResult, RankRequest, RankResponse
from movierank_serving.schemas.users import Forgotten, UserEntry, UserList, Verdict, Verdicts

_CARD: Final = MovieCard(
    movie_id=2959,
    title="Fight Club",
    release_year=1999,
    genres=["Drama", "Thriller"],
    poster_url="https://image.tmdb.org/t/p/w342/a.jpg",
    tmdb_id=550,
)

REQUESTS: Final[dict[str, msgspec.Struct]] = {
    "rank": RankRequest(user_id=123, k=25),
    "explain": ExplainRequest(user_id=123, movie_id=2959),
    "send_feedback": FeedbackRequest(
        user_id=123, movie_id=2959, event_type="like", event_id="b3f1c2d4-0001", ranking_id="2c26b46b68ffc68f"
    ),
    "send_impressions": ImpressionsRequest(ranking_id="2c26b46b68ffc68f", user_id=123, movie_ids=[2959]),
}
RESPONSES: Final[dict[str, msgspec.Struct]] = {
    "rank": RankResponse(
        user_id=123,
        results=[
            RankedResult(
                **msgspec.structs.asdict(_CARD),
                score=0.91,
                reasons=["because_you_liked:296", "genre_match:thriller"],
            )
        ],
        latency_ms=4.7,
        request_id="9f86d081884c7d65",
        ranking_id="2c26b46b68ffc68f",
        model_version="3",
        data_as_of="2018-09-24T14:27:31+00:00",
        known_user=True,
        n_history=40,
        served_by="model",
    ),
    "send_feedback": FeedbackResponse(event_id="b3f1c2d4-0001", duplicate=False, known_movie=True),
    "send_impressions": ImpressionsResponse(ranking_id="2c26b46b68ffc68f"),
    "search_movies": MovieList(results=[_CARD], latency_ms=0.8),
    "find_users": UserList(results=[UserEntry(user_id=123, n_events=40)], n_users=610),
    "get_verdicts": Verdicts(
        user_id=123,
        results=[
            Verdict(
                movie_id=2959,
                title="Fight Club",
                event_type="like",
                value=None,
                event_id="b3f1c2d4-0001",
                timestamp="2026-11-28T09:30:00+00:00",
            )
        ],
    ),
    "forget_user": Forgotten(user_id=123, events_deleted=7),
}
