"""TMDB's answers, taken apart field by field."""

import json
from datetime import date

import msgspec
import pytest

from movierank_pipeline.ingest.tmdb.responses import MovieFacts, facts_of
from tests.support.data import test_data

FULL = {
    "id": 550,
    "imdb_id": "tt0137523",
    "title": "Fight Club",
    "original_title": "Fight Club",
    "overview": "An insomniac meets a soap maker.",
    "release_date": "1999-10-15",
    "runtime": 139,
    "genres": [{"id": 18, "name": "Drama"}, {"id": 53, "name": "Thriller"}],
    "original_language": "en",
    "belongs_to_collection": {"id": 1, "name": "A Collection"},
    "poster_path": "/p.jpg",
    "backdrop_path": "/b.jpg",
    "vote_average": 8.4,
    "vote_count": 30000,
    "popularity": 62.1,
    "credits": {
        "cast": [
            {"name": "Third", "order": 2},
            {"name": "First", "order": 0},
            {"name": "Second", "order": 1},
            {"name": "First", "order": 3},
            {"name": "Fourth", "order": 4},
            {"name": "Last of all"},
            {"name": "Sixth", "order": 5},
        ],
        "crew": [
            {"name": "A Writer", "job": "Writer"},
            {"name": "David Fincher", "job": "Director"},
        ],
    },
    "keywords": {"keywords": [{"id": 1, "name": "dual identity"}]},
    "release_dates": {
        "results": [
            {"iso_3166_1": "GB", "release_dates": [{"certification": "18", "type": 3}]},
            {
                "iso_3166_1": "US",
                "release_dates": [
                    {"certification": "NR", "type": 5},
                    {"certification": "", "type": 3},
                    {"certification": "R", "type": 3},
                ],
            },
        ]
    },
}


def test_full_answer() -> None:
    assert facts_of(FULL, 550) == MovieFacts(
        tmdb_id=550,
        imdb_id="tt0137523",
        title="Fight Club",
        original_title="Fight Club",
        overview="An insomniac meets a soap maker.",
        release_date=date(1999, 10, 15),
        runtime_minutes=139,
        genres=["Drama", "Thriller"],
        original_language="en",
        cast=["First", "Second", "Third", "Fourth", "Sixth"],
        directors=["David Fincher"],
        keywords=["dual identity"],
        certification="R",
        collection="A Collection",
        poster_path="/p.jpg",
        backdrop_path="/b.jpg",
        tmdb_vote_average_snapshot=8.4,
        tmdb_vote_count_snapshot=30000,
        tmdb_popularity_snapshot=62.1,
    )


def test_bare_answer_is_a_movie_of_which_nothing_is_known() -> None:
    assert facts_of({"id": 550}, 550) == MovieFacts(tmdb_id=550)


@pytest.mark.parametrize(
    "junk", [None, "", 3, 1.5, True, [], {}, ["x"], [None], [{"name": None}], {"x": [1]}]
)
@pytest.mark.parametrize("name", [name for name in FULL if name != "id"])
def test_junk_in_one_field_takes_no_other_field_with_it(name: str, junk: object) -> None:
    expected, found = facts_of(FULL, 550), facts_of({**FULL, name: junk}, 550)
    differing = {
        field for field in MovieFacts.__struct_fields__ if getattr(expected, field) != getattr(found, field)
    }
    of_credits = {"cast", "directors"}
    renamed = {
        "runtime": "runtime_minutes",
        "belongs_to_collection": "collection",
        "vote_average": "tmdb_vote_average_snapshot",
        "vote_count": "tmdb_vote_count_snapshot",
        "popularity": "tmdb_popularity_snapshot",
        "release_dates": "certification",
    }
    assert differing <= (of_credits if name == "credits" else {renamed.get(name, name)})
    assert msgspec.json.decode(msgspec.json.encode(found), type=MovieFacts) == found


def test_certification_of_another_country_stands_in() -> None:
    results = [{"iso_3166_1": "GB", "release_dates": [{"certification": "18", "type": 3}]}]
    assert facts_of({"id": 1, "release_dates": {"results": results}}, 1).certification == "18"
    results = [{"iso_3166_1": "TR", "release_dates": [{"certification": "18+", "type": 3}]}]
    assert facts_of({"id": 1, "release_dates": {"results": results}}, 1).certification is None


@pytest.mark.parametrize("body", [None, [], "x", {}, {"id": "550"}, {"id": 551}, {"success": False}])
def test_answer_about_something_else_is_refused(body: object) -> None:
    with pytest.raises(ValueError, match=r"^the answer is not about the movie 550$"):
        facts_of(body, 550)


@pytest.mark.parametrize(
    "name", ["movie.json", "movie-details-append-response.json", "movie-with-collection.json"]
)
def test_recorded_answers(name: str) -> None:
    facts = facts_of(json.loads(test_data("tmdb", "api_samples", name).read_bytes()), 550)
    assert (facts.title, facts.runtime_minutes, facts.genres) == ("Fight Club", 139, ["Drama"])
    assert facts.release_date == date(1999, 10, 12)
    assert facts.poster_path is None
    assert facts.collection == ("Harry Potter Collection" if "collection" in name else None)
    assert facts.directors == (["David Fincher"] if "append" in name else None)


def test_recorded_answer_with_a_blank_date() -> None:
    body = json.loads(test_data("tmdb", "api_samples", "movie-blank-homepage-release-date.json").read_bytes())
    facts = facts_of(body, 9443)
    assert facts.release_date is None
    assert facts.genres == ["Drama", "History"]
