"""Asking a TMDB that misbehaves, over real HTTP; and which source a movie's facts come from."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from movierank_core.errors import ConfigError, DataError
from movierank_core.schema import TMDB_MOVIES
from movierank_pipeline.sources.tmdb import Metadata, MetadataSettings, read_metadata
from movierank_pipeline.sources.tmdb_answers import MovieFacts
from movierank_pipeline.sources.tmdb_cache import TmdbCache
from movierank_pipeline.sources.tmdb_client import (
    Pace,
    RequestPolicy,
    TmdbAccess,
    TmdbClient,
    TmdbUnavailableError,
)
from tests.support.http_server import Answer, LocalServer, Seen, serve

SECRET = "0123456789abcdef0123456789abcdef"
HASTY = RequestPolicy(rate_per_second=5_000, attempts=3, first_pause_seconds=0.001)


def movie_id_of(request: Seen) -> int:
    return int(urlsplit(request.path).path.rsplit("/", 1)[-1])


def movie(tmdb_id: int) -> Answer:
    body = {
        "id": tmdb_id,
        "title": f"Film {tmdb_id}",
        "genres": [{"id": 878, "name": "Science Fiction"}],
        "runtime": 0,
        "vote_average": 7.5,
        "vote_count": 12,
    }
    return Answer(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def error(status: int, code: int, headers: dict[str, str] | None = None) -> Answer:
    body = {"status_code": code, "status_message": "…", "success": False}
    return Answer(status, json.dumps(body).encode(), headers or {})


def ask_once(
    answer: Callable[[Seen], Answer], policy: RequestPolicy = HASTY
) -> tuple[MovieFacts | None, LocalServer]:
    with serve(answer) as server, TmdbClient(TmdbAccess(token=SECRET, url=server.url), policy) as client:
        return client.movie(550), server


def in_turn(*answers: Answer) -> Callable[[Seen], Answer]:
    upcoming = iter(answers)
    return lambda _: next(upcoming)


def test_one_call_brings_everything_and_the_token_travels_in_the_header() -> None:
    facts, server = ask_once(in_turn(movie(550)))
    assert facts is not None
    assert facts.title == "Film 550"
    (request,) = server.seen
    assert request.path == "/movie/550?append_to_response=keywords%2Ccredits%2Crelease_dates"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"


def test_v3_key_travels_in_the_query() -> None:
    with (
        serve(in_turn(movie(550))) as server,
        TmdbClient(TmdbAccess(key=SECRET, url=server.url), HASTY) as client,
    ):
        client.movie(550)
    (request,) = server.seen
    assert parse_qs(urlsplit(request.path).query)["api_key"] == [SECRET]
    assert request.headers["Authorization"] is None


@pytest.mark.parametrize(
    "fault",
    [
        error(500, 11),
        error(503, 9),
        error(429, 25),
        Answer(body=b"<html>busy</html>"),
        Answer(body=b'{"id": 550, "title": "Fi'),
        Answer(body=movie(550).body, cut_after=20),
        Answer(body=b"", cut_after=0, headers={"Content-Length": "10"}),
        movie(551),
        Answer(body=b"\xff\xfe"),
        Answer(body=b"[]"),
    ],
)
def test_passing_fault_is_outlasted(fault: Answer) -> None:
    facts, server = ask_once(in_turn(fault, fault, movie(550)))
    assert facts is not None
    assert len(server.seen) == 3


def test_fault_that_stays_is_given_up() -> None:
    with pytest.raises(TmdbUnavailableError, match=r"^status 502$"):
        ask_once(lambda _: error(502, 43))


def test_request_that_is_wrong_is_not_repeated() -> None:
    seen: list[Seen] = []

    def answer(request: Seen) -> Answer:
        seen.append(request)
        return error(422, 20)

    with pytest.raises(TmdbUnavailableError, match=r"^status 422$"):
        ask_once(answer)
    assert len(seen) == 1


def test_redirect_is_not_followed() -> None:
    with pytest.raises(TmdbUnavailableError, match=r"^status 302$"):
        ask_once(lambda _: Answer(302, headers={"Location": "http://127.0.0.1:9/elsewhere"}))


def test_missing_movie_is_none() -> None:
    facts, server = ask_once(in_turn(error(404, 34)))
    assert facts is None
    assert len(server.seen) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(as_date: bool) -> None:
    wish = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
    began = time.monotonic()
    ask_once(in_turn(error(429, 25, {"Retry-After": wish}), movie(550)))
    assert 0.9 <= time.monotonic() - began < 4.0


def test_retry_after_has_a_limit_of_ours() -> None:
    policy = RequestPolicy(5_000, 2, 0.001, longest_pause_seconds=0.05)
    began = time.monotonic()
    ask_once(in_turn(error(429, 25, {"Retry-After": "86400"}), movie(550)), policy)
    assert time.monotonic() - began < 2.0


def test_slow_drip_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movierank_pipeline.sources.tmdb_client._ANSWER_SECONDS", -1.0)
    with pytest.raises(TmdbUnavailableError, match=r"^ReadTimeout$"):
        ask_once(lambda _: movie(550))


def test_refused_key_stops_and_says_which_variable_takes_what() -> None:
    with pytest.raises(ConfigError) as caught:
        ask_once(in_turn(error(401, 7)))
    assert str(caught.value) == (
        "TMDB refuses what TMDB_ACCESS_TOKEN holds (status 401). Expected: in TMDB_ACCESS_TOKEN a read "
        "access token (long, with dots in it), or in TMDB_API_KEY a v3 key (32 characters); one does not do "
        "for the other. "
        "Remedy: copy it again from https://www.themoviedb.org/settings/api, or unset the variable."
    )


def test_key_is_in_no_log_error_repr_or_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def answer(request: Seen) -> Answer:
        return movie(1) if movie_id_of(request) == 1 else Answer(body=b"{", cut_after=0)

    with serve(answer) as server:
        access = TmdbAccess(key=SECRET, url=server.url)
        settings = MetadataSettings(tmp_path / "cache.db", access, policy=HASTY)
        metadata = read_metadata(pl.Series([1, 2]), settings)
        with TmdbClient(access, HASTY) as client, pytest.raises(TmdbUnavailableError) as caught:
            client.movie(2)
    assert "GET /movie/1" in caplog.text
    assert "api_key=…" in caplog.text
    unreachable = TmdbAccess(key=SECRET, url=server.url)
    with TmdbClient(unreachable, HASTY) as client, pytest.raises(TmdbUnavailableError) as refused:
        client.movie(3)
    chained = [
        refused.value.__context__,
        refused.value.__cause__,
        caught.value.__context__,
        caught.value.__cause__,
    ]
    assert chained == [None] * 4
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (
        caplog.text,
        str(caught.value),
        str(refused.value),
        repr(settings),
        str(metadata),
        repr(stored),
    ):
        assert SECRET not in text


def test_pace_is_never_faster_than_the_rate() -> None:
    pace, passed, lock = Pace(rate_per_second=200), [], threading.Lock()

    def work() -> None:
        for _ in range(10):
            pace.wait()
            with lock:
                passed.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(passed) - min(passed) >= 59 / 200 - 0.02


def read(tmdb_ids: list[int | None], settings: MetadataSettings) -> Metadata:
    return read_metadata(pl.Series(tmdb_ids, dtype=pl.Int64), settings)


def test_answers_are_kept_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    def answer(request: Seen) -> Answer:
        return error(404, 34) if movie_id_of(request) == 3 else movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "cache.db", TmdbAccess(token=SECRET, url=server.url), policy=HASTY
        )
        first = read([1, 2, 3, None, 2], settings)
        assert Counter(map(movie_id_of, server.seen)) == {1: 1, 2: 1, 3: 1}
        second = read([1, 2, 3, 4], settings)
        assert Counter(map(movie_id_of, server.seen)) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert first.frame.schema == TMDB_MOVIES
    assert first.frame["tmdb_id"].to_list() == [1, 2]
    assert first.frame["genres"].to_list() == [["Sci-Fi"], ["Sci-Fi"]]
    assert first.frame["runtime_minutes"].to_list() == [None, None]
    assert first.frame["metadata_source"].to_list() == ["TMDB API", "TMDB API"]
    age = datetime.now(UTC) - first.frame["retrieved_at"][0]
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert first.counts == {"wanted": 3, "from_api": 2, "from_file": 0, "gone": 1, "failed": 0}
    assert first.source == "TMDB API 2, 1 gone (of 3 movies)"
    assert second.frame["tmdb_id"].to_list() == [1, 2, 4]


def test_without_key_the_answers_on_disk_still_count(tmp_path: Path) -> None:
    with TmdbCache(tmp_path / "cache.db") as cache:
        cache.put(1, MovieFacts(tmdb_id=1, title="Kept"), datetime.now(UTC))
    metadata = read([1, 2], MetadataSettings(tmp_path / "cache.db"))
    assert metadata.frame["title"].to_list() == ["Kept"]
    assert metadata.source == "TMDB API 1, 0 gone (of 2 movies)"


def test_old_answers_are_asked_for_again(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with TmdbCache(tmp_path / "cache.db") as cache:
        for tmdb_id, days in ((1, 179), (2, 181)):
            cache.put(tmdb_id, MovieFacts(tmdb_id=tmdb_id, title="Old"), now - timedelta(days=days))
        for tmdb_id, days in ((3, 29), (4, 31)):
            cache.put(tmdb_id, None, now - timedelta(days=days))
    with serve(lambda request: movie(movie_id_of(request))) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read([1, 2, 3, 4], MetadataSettings(tmp_path / "cache.db", access, policy=HASTY))
        assert sorted(map(movie_id_of, server.seen)) == [2, 4]
    assert metadata.frame.select("tmdb_id", "title").rows() == [(1, "Old"), (2, "Film 2"), (4, "Film 4")]


def test_movies_that_fail_are_left_out_and_asked_for_next_time(tmp_path: Path) -> None:
    broken = {5}

    def answer(request: Seen) -> Answer:
        return error(500, 11) if movie_id_of(request) in broken else movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "cache.db", TmdbAccess(token=SECRET, url=server.url), policy=HASTY
        )
        first = read(list(range(1, 30)), settings)
        assert first.source == "TMDB API 28, 0 gone, 1 failed (of 29 movies)"
        broken.clear()
        assert read(list(range(1, 30)), settings).frame.height == 29


def test_tmdb_out_of_reach_is_given_up_soon_and_the_file_stands_in(tmp_path: Path) -> None:
    file = tmp_path / "facts.parquet"
    pl.DataFrame({"tmdb_id": [1, 2, 9_999], "title": ["A", "B", "C"]}).write_parquet(file)
    with serve(lambda _: error(503, 9)) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        settings = MetadataSettings(tmp_path / "cache.db", access, file, HASTY)
        metadata = read(list(range(1, 1_001)), settings)
        assert len(server.seen) < 100
    assert metadata.frame.select("tmdb_id", "title").rows() == [(1, "A"), (2, "B")]
    assert metadata.source.startswith("TMDB API 0, 0 gone, ")
    assert "facts.parquet 2 (of 1,000 movies); stopped asking: 1" in metadata.source
    assert metadata.source.endswith(" movies in a row failed (status 503)")


def test_key_that_expires_half_way_stops_at_once_and_loses_nothing(tmp_path: Path) -> None:
    answered: list[int] = []
    lock = threading.Lock()

    def answer(request: Seen) -> Answer:
        with lock:
            if len(answered) >= 40:
                return error(401, 7)
            answered.append(movie_id_of(request))
        return movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "cache.db", TmdbAccess(key=SECRET, url=server.url), policy=HASTY
        )
        with pytest.raises(ConfigError, match=r"^TMDB refuses what TMDB_API_KEY holds \(status 401\)\. "):
            read(list(range(1, 1_001)), settings)
        assert len(server.seen) < 100
    with TmdbCache(tmp_path / "cache.db") as cache:
        assert cache.known(datetime.now(UTC)) == (set(answered), set())


def test_facts_of_the_api_go_before_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.parquet"
    pl.DataFrame({"tmdb_id": [1, 2], "title": ["File 1", "File 2"]}).write_parquet(file)
    with serve(lambda request: movie(1) if movie_id_of(request) == 1 else error(404, 34)) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read([1, 2], MetadataSettings(tmp_path / "cache.db", access, file, HASTY))
    assert metadata.frame.select("title", "metadata_source").rows() == [
        ("Film 1", "TMDB API"),
        ("File 2", "facts.parquet"),
    ]


def test_without_any_source_there_is_an_empty_table_and_a_hint(tmp_path: Path) -> None:
    metadata = read([1, 2], MetadataSettings(tmp_path / "cache.db"))
    assert metadata.frame.equals(pl.DataFrame(schema=TMDB_MOVIES))
    assert metadata.source == (
        "none; for posters, plots and people set TMDB_ACCESS_TOKEN or TMDB_API_KEY, or give `--tmdb-file`"
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMDB_ACCESS_TOKEN", "TMDB_API_KEY", "MOVIERANK_TMDB_URL"):
        monkeypatch.delenv(name, raising=False)
    assert MetadataSettings.from_environment(tmp_path) == MetadataSettings(tmp_path / "tmdb_cache.db")
    monkeypatch.setenv("TMDB_API_KEY", f" {SECRET}\n")
    settings = MetadataSettings.from_environment(tmp_path, tmp_path / "x.csv")
    assert settings.access == TmdbAccess(key=SECRET, url="https://api.themoviedb.org/3")
    assert settings.metadata_file == tmp_path / "x.csv"
    monkeypatch.setenv("TMDB_ACCESS_TOKEN", "a.b.c")
    monkeypatch.setenv("MOVIERANK_TMDB_URL", "http://127.0.0.1:1/3/")
    assert MetadataSettings.from_environment(tmp_path).access == TmdbAccess(
        token="a.b.c", key=SECRET, url="http://127.0.0.1:1/3"
    )


def test_cache_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    path.write_text("This is a diary, not a database. " * 40)
    with pytest.raises(DataError) as caught:
        TmdbCache(path)
    assert str(caught.value) == (
        f"The TMDB cache {path} cannot be opened (file is not a database). "
        "Expected: a cache that movierank wrote. Remedy: delete the file; what it held is asked for again."
    )


def test_cache_of_another_format_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    with TmdbCache(tmp_path / "cache.db") as cache:
        cache.put(1, MovieFacts(tmdb_id=1), now)
    with TmdbCache(tmp_path / "cache.db") as cache:
        assert cache.known(now) == ({1}, set())
    monkeypatch.setattr("movierank_pipeline.sources.tmdb_cache._FORMAT", 2)
    with TmdbCache(tmp_path / "cache.db") as cache:
        assert cache.known(now) == (set(), set())
