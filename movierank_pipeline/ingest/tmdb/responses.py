"""Decodes the body of a TMDB response field by field.

Movies are requested with `append_to_response=keywords,credits,release_dates`. A field that is missing, null,
empty or of another type becomes null; it does not affect other fields.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec

APPENDED: Final = "keywords,credits,release_dates"

_N_CAST: Final = 5
_CERTIFYING_COUNTRIES: Final = ("US", "GB")
_THEATRICAL: Final = 3
_NOT_FOUND: Final = 34
"""TMDB's `status_code` for a missing movie, in addition to HTTP status 404."""


class MovieFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of TMDB_MOVIES that a response fills."""

    tmdb_id: int
    imdb_id: str | None = None
    title: str | None = None
    original_title: str | None = None
    overview: str | None = None
    release_date: date | None = None
    runtime_minutes: int | None = None
    genres: list[str] | None = None
    original_language: str | None = None
    cast: list[str] | None = None
    directors: list[str] | None = None
    keywords: list[str] | None = None
    certification: str | None = None
    collection: str | None = None
    poster_path: str | None = None
    backdrop_path: str | None = None
    tmdb_vote_average_snapshot: float | None = None
    tmdb_vote_count_snapshot: int | None = None
    tmdb_popularity_snapshot: float | None = None


def facts_of(body: object, tmdb_id: int) -> MovieFacts:
    """The facts of movie `tmdb_id` in `body`. Raises ValueError if the body is about another movie."""
    match body:
        case {"id": int(found)} if found == tmdb_id:
            pass
        case _:
            raise ValueError(f"the answer is not about the movie {tmdb_id}")
    credits = _object(body, "credits")
    cast, crew = _objects(credits, "cast"), _objects(credits, "crew")
    keywords = _objects(_object(body, "keywords"), "keywords")
    return MovieFacts(
        tmdb_id=tmdb_id,
        imdb_id=_text(body, "imdb_id"),
        title=_text(body, "title"),
        original_title=_text(body, "original_title"),
        overview=_text(body, "overview"),
        release_date=_date(body, "release_date"),
        runtime_minutes=_whole(body, "runtime"),
        genres=_names(_objects(body, "genres")),
        original_language=_text(body, "original_language"),
        cast=None if cast is None else _names(sorted(cast, key=_billing))[:_N_CAST],  # type: ignore[index]
        directors=None if crew is None else _names([one for one in crew if one.get("job") == "Director"]),
        keywords=_names(keywords),
        certification=_certification(_objects(_object(body, "release_dates"), "results") or []),
        collection=_text(_object(body, "belongs_to_collection"), "name"),
        poster_path=_text(body, "poster_path"),
        backdrop_path=_text(body, "backdrop_path"),
        tmdb_vote_average_snapshot=_number(body, "vote_average"),
        tmdb_vote_count_snapshot=_whole(body, "vote_count"),
        tmdb_popularity_snapshot=_number(body, "popularity"),
    )


def is_gone(body: bytes) -> bool:
    """Whether a 404 body comes from TMDB itself (the movie does not exist), not from a proxy.

    Raises ValueError for a body that is not JSON.
    """
    return _number(msgspec.json.decode(body), "status_code") == _NOT_FOUND


def image_base_of(body: object) -> str:
    """Base URL of images in a `/configuration` response. Raises ValueError if it is missing."""
    images = _object(body, "images")
    base = _text(images, "secure_base_url") or _text(images, "base_url")
    if base is None or not re.fullmatch(r"https?://[^\s'\"<>;]+", base):
        raise ValueError("the answer does not say where images are")
    return base if base.endswith("/") else f"{base}/"


def _get(body: object, name: str) -> object:
    return body.get(name) if isinstance(body, dict) else None


def _text(body: object, name: str) -> str | None:
    value = _get(body, name)
    return value.strip() or None if isinstance(value, str) else None


def _number(body: object, name: str) -> float | None:
    value = _get(body, name)
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _whole(body: object, name: str) -> int | None:
    value = _number(body, name)
    return int(value) if value is not None and value.is_integer() and 0 <= value < 2**31 else None


def _date(body: object, name: str) -> date | None:
    try:
        return date.fromisoformat(_text(body, name) or "")
    except ValueError:
        return None


def _object(body: object, name: str) -> dict[str, object] | None:
    value = _get(body, name)
    return value if isinstance(value, dict) else None


def _objects(body: object, name: str) -> list[dict[str, object]] | None:
    value = _get(body, name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else None


def _names(objects: list[dict[str, object]] | None) -> list[str] | None:
    """The names without duplicates, order kept."""
    if objects is None:
        return None
    return list(dict.fromkeys(name for one in objects if (name := _text(one, "name")) is not None))


def _billing(member: dict[str, object]) -> float:
    """Sort key: position in the cast list; entries without one come last."""
    order = _number(member, "order")
    return float("inf") if order is None else order


def _certification(results: list[dict[str, object]]) -> str | None:
    """The certification in the first country of the list that has one; theatrical releases first."""
    for country in _CERTIFYING_COUNTRIES:
        marks = sorted(_marks(results, country))
        if marks:
            return marks[0][1]
    return None


def _marks(results: list[dict[str, object]], country: str) -> Iterator[tuple[bool, str]]:
    for result in results:
        if result.get("iso_3166_1") == country:
            for release in _objects(result, "release_dates") or []:
                mark = _text(release, "certification")
                if mark is not None:
                    yield release.get("type") != _THEATRICAL, mark
