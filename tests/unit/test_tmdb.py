"""Asking a TMDB that misbehaves, over real HTTP; and which source a movie's facts come from."""

import contextlib
import dataclasses
import json
import logging
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain, pairwise, repeat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import polars as pl
import pytest

from movierank_core.data.schema import LINKS, MOVIES, TMDB_MOVIES
from movierank_core.errors import ConfigError, DataError
from movierank_core.manifest import IMAGE_BASE_URL
from movierank_pipeline.ingest.tmdb.cache import TmdbCache
from movierank_pipeline.ingest.tmdb.client import (
    RequestPolicy,
    TmdbAccess,
    TmdbBusyError,
    TmdbClient,
    TmdbUnavailableError,
)
from movierank_pipeline.ingest.tmdb.metadata import (
    Metadata,
    MetadataSettings,
    read_metadata,
    stored_image_base,
)
from movierank_pipeline.ingest.tmdb.progress import AskProgress, Report
from movierank_pipeline.ingest.tmdb.responses import MovieFacts
from tests.support.http_server import Answer, LocalServer, Seen, serve
from tests.support.waiting import ends, join

SECRET = "0123456789abcdef0123456789abcdef"
HASTY = RequestPolicy(requests_per_second=5_000, attempts=3, first_pause_seconds=0.001, connections=8)


def movie_id_of(request: Seen) -> int:
    """0 for what is not a movie."""
    last = urlsplit(request.path).path.rsplit("/", 1)[-1]
    return int(last) if last.isdigit() else 0


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


@pytest.mark.parametrize("body", [b"", b"<html>no such page</html>", b'{"status_code": 9}', b"[34]"])
def test_404_that_is_not_tmdbs_own_is_outlasted(body: bytes) -> None:
    facts, server = ask_once(in_turn(Answer(404, body), Answer(404, body), movie(550)))
    assert facts is not None
    assert len(server.seen) == 3


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(as_date: bool) -> None:
    wish = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
    began = time.monotonic()
    ask_once(in_turn(error(429, 25, {"Retry-After": wish}), movie(550)))
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("wish", ["0", "-3", "soon", "Mon, 01 Jan 2001 00:00:00 GMT", ""])
def test_retry_after_that_says_nothing_is_as_none(wish: str) -> None:
    facts, server = ask_once(in_turn(*[error(429, 25, {"Retry-After": wish})] * 6, movie(550)))
    assert facts is not None
    assert len(server.seen) == 7


def test_too_many_requests_do_not_use_up_the_attempts() -> None:
    facts, server = ask_once(in_turn(*[error(429, 25), error(500, 11)] * 2, error(429, 25), movie(550)))
    assert facts is not None
    assert len(server.seen) == 6


def test_too_many_requests_are_outlasted_for_as_long_as_the_policy_says() -> None:
    policy = msgspec.structs.replace(HASTY, patience_seconds=0.3, longest_pause_seconds=0.05)
    began = time.monotonic()
    with pytest.raises(TmdbBusyError, match=r"^status 429, which asks to wait for 0 s$"):
        ask_once(lambda _: error(429, 25), policy)
    assert time.monotonic() - began > 0.2


@pytest.mark.parametrize("status", [429, 503])
def test_pause_beyond_our_patience_ends_it_at_once(status: int) -> None:
    with pytest.raises(TmdbBusyError, match=rf"^status {status}, which asks to wait for 86,400 s$"):
        ask_once(in_turn(error(status, 25, {"Retry-After": "86400"})))


def test_everybody_waits_when_one_is_told_to(tmp_path: Path) -> None:
    lock, told, seen = threading.Lock(), list[float](), list[float]()

    def answer(request: Seen) -> Answer:
        with lock:
            seen.append(time.monotonic())
            if len(seen) == 20:
                told.append(time.monotonic())
                return error(429, 25, {"Retry-After": "1"})
        return movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "cache.db", TmdbAccess(token=SECRET, url=server.url), policy=HASTY
        )
        assert read(list(range(1, 101)), settings).frame.height == 100
    # Requests that were on their way still arrive, then none until the second is over.
    moments = sorted(moment for moment in seen if moment >= told[0])
    assert max(later - earlier for earlier, later in pairwise(moments)) > 0.5
    assert max(seen) - told[0] > 0.95


def drip(pieces: Iterable[bytes], pause: float) -> tuple[str, threading.Thread]:
    """A server that sends `pieces` with pauses to its first client, until that client hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            with contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)

    thread = threading.Thread(target=work)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize("where", ["header", "body"])
def test_slow_drip_ends_at_the_deadline(where: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"
    first, without_end = (b"HTTP/1.1 200 OK\r\nX: ", b"x") if where == "header" else (head, b" ")
    pieces = chain([first], repeat(without_end))
    url, thread = drip(pieces, 0.05)
    policy = msgspec.structs.replace(HASTY, attempts=1, answer_seconds=0.4, read_seconds=10.0)
    began = time.monotonic()
    with (
        TmdbClient(TmdbAccess(token=SECRET, url=url), policy) as client,
        pytest.raises(TmdbUnavailableError, match=r"^a time-out$"),
    ):
        ends(lambda: client.movie(550))
    assert time.monotonic() - began > 0.3
    join([thread])


def test_answer_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movierank_pipeline.ingest.tmdb.client._LARGEST_ANSWER", 1_000)
    with pytest.raises(TmdbUnavailableError, match=r"^an answer without end$"):
        ask_once(lambda _: Answer(body=b" " * 1_001))


def test_connection_is_used_again_with_its_own_time_out() -> None:
    ports = set()

    def answer(request: Seen) -> Answer:
        ports.add(request.port)
        return movie(movie_id_of(request))

    with serve(answer) as server, TmdbClient(TmdbAccess(token=SECRET, url=server.url), HASTY) as client:
        assert [client.movie(tmdb_id) is not None for tmdb_id in range(1, 6)] == [True] * 5
    assert len(ports) == 1


def test_netrc_does_not_take_the_place_of_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    _, server = ask_once(in_turn(movie(550)))
    assert server.seen[0].headers["Authorization"] == f"Bearer {SECRET}"


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
        metadata = read([1, 2], settings)
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


def read(tmdb_ids: list[int | None], settings: MetadataSettings, report: Report | None = None) -> Metadata:
    """What is known of movies 1001, 1002, … with these links."""
    movie_ids = [1001 + place for place in range(len(tmdb_ids))]
    movies = pl.DataFrame(
        {"movie_id": movie_ids, "title": [f"Movie {one}" for one in movie_ids]}, strict=False
    ).match_to_schema(MOVIES, missing_columns="insert")
    links = pl.DataFrame({"movie_id": movie_ids, "tmdb_id": tmdb_ids}).match_to_schema(
        LINKS, missing_columns="insert"
    )
    return read_metadata(movies, links, settings, report)


def asked_for(server: LocalServer) -> Counter[int]:
    """How often each movie was asked for."""
    return Counter(movie_id_of(request) for request in server.seen if "/movie/" in request.path)


def test_answers_are_kept_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    def answer(request: Seen) -> Answer:
        return error(404, 34) if movie_id_of(request) == 3 else movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "cache.db", TmdbAccess(token=SECRET, url=server.url), policy=HASTY
        )
        first = read([1, 2, 3, None, 2], settings)
        assert asked_for(server) == {1: 1, 2: 1, 3: 1}
        second = read([1, 2, 3, 4], settings)
        assert asked_for(server) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert first.frame.schema == TMDB_MOVIES
    assert first.frame["tmdb_id"].to_list() == [1, 2]
    assert first.frame["genres"].to_list() == [["Sci-Fi"], ["Sci-Fi"]]
    assert first.frame["runtime_minutes"].to_list() == [None, None]
    assert first.frame["metadata_source"].to_list() == ["TMDB API", "TMDB API"]
    age = datetime.now(UTC) - first.frame["retrieved_at"][0]
    assert timedelta(0) <= age < timedelta(minutes=1)
    nothing = dict.fromkeys(("from_file", "by_title", "failed", "refreshed", "erased"), 0)
    assert first.counts == {"wanted": 3, "from_api": 2, "gone": 1, **nothing}
    assert first.source == "TMDB API 2, 1 gone (of 3 movies)"
    assert second.frame["tmdb_id"].to_list() == [1, 2, 4]


def test_without_key_the_answers_on_disk_still_count(tmp_path: Path) -> None:
    with TmdbCache(tmp_path / "cache.db") as cache:
        cache.put(1, MovieFacts(tmdb_id=1, title="Kept"), datetime.now(UTC))
    metadata = read([1, 2], MetadataSettings(tmp_path / "cache.db"))
    assert metadata.frame["title"].to_list() == ["Kept"]
    assert metadata.source == "TMDB API 1, 0 gone (of 2 movies)"


def aged(path: Path, days: dict[int, float], *, gone: bool = False) -> None:
    """A cache with answers of these ages."""
    now = datetime.now(UTC)
    with TmdbCache(path) as cache:
        for tmdb_id, age in days.items():
            facts = None if gone else MovieFacts(tmdb_id=tmdb_id, title=f"Old {tmdb_id}")
            cache.put(tmdb_id, facts, now - timedelta(days=age))


def test_old_answers_are_asked_for_again_oldest_first_within_the_budget_of_the_day(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    aged(path, {1: 149, 2: 151, 3: 170, 4: 179, 5: 160, 6: 181, 99: 179})
    one_by_one = msgspec.structs.replace(HASTY, connections=1)
    with serve(lambda request: movie(movie_id_of(request))) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        settings = MetadataSettings(path, access, policy=one_by_one, refreshes_a_day=3)
        first = read([1, 2, 3, 4, 5, 6, 7], settings)
        # What is missing comes first and does not count; 99 belongs to another data set.
        assert list(asked_for(server)) == [6, 7, 4, 3, 5]
        assert (first.counts["refreshed"], first.counts["erased"]) == (3, 1)
        assert first.frame["title"].to_list() == [
            *("Old 1", "Old 2", "Film 3", "Film 4", "Film 5", "Film 6", "Film 7")
        ]
        read([1, 2, 3, 4, 5, 6, 7], settings)
        assert len(asked_for(server)) == 5
        read([1, 2, 3, 4, 5, 6, 7], dataclasses.replace(settings, refreshes_a_day=4))
        assert asked_for(server) == dict.fromkeys([2, 3, 4, 5, 6, 7], 1)


def test_budget_is_that_of_a_day(tmp_path: Path) -> None:
    noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
    with TmdbCache(tmp_path / "cache.db") as cache:
        cache.count_refresh(noon)
        cache.count_refresh(noon + timedelta(hours=11))
        assert cache.n_refreshed(noon) == 2
        assert cache.n_refreshed(noon + timedelta(hours=12)) == 0


def test_what_cannot_be_refreshed_is_used_until_its_day_and_then_erased(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    aged(path, {1: 179.9, 2: 180.1})
    with serve(lambda _: error(500, 11)) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read([1, 2], MetadataSettings(path, access, policy=HASTY))
    assert metadata.frame["title"].to_list() == ["Old 1"]
    assert (metadata.counts["failed"], metadata.counts["erased"]) == (2, 1)
    assert [row[0] for row in sqlite3.connect(path).execute("SELECT tmdb_id FROM answers")] == [1]


def test_without_a_key_old_answers_are_erased_too(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    aged(path, {1: 100, 2: 181})
    assert read([1, 2], MetadataSettings(path)).frame["tmdb_id"].to_list() == [1]
    assert [row[0] for row in sqlite3.connect(path).execute("SELECT tmdb_id FROM answers")] == [1]


def test_gone_movies_are_asked_for_again_after_thirty_days(tmp_path: Path) -> None:
    aged(tmp_path / "cache.db", {3: 29, 4: 31}, gone=True)
    with serve(lambda request: movie(movie_id_of(request))) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read([3, 4], MetadataSettings(tmp_path / "cache.db", access, policy=HASTY))
        assert asked_for(server) == {4: 1}
    assert metadata.counts["gone"] == 1


def test_movie_that_has_gone_since_loses_its_facts(tmp_path: Path) -> None:
    aged(tmp_path / "cache.db", {1: 160})
    with serve(lambda _: error(404, 34)) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read([1], MetadataSettings(tmp_path / "cache.db", access, policy=HASTY))
    assert (metadata.frame.height, metadata.counts["gone"]) == (0, 1)


def test_movies_that_failed_are_asked_for_again_at_the_end_while_that_brings_some(tmp_path: Path) -> None:
    tries = Counter[int]()

    def answer(request: Seen) -> Answer:
        tmdb_id = movie_id_of(request)
        tries[tmdb_id] += 1
        # Film 5 needs two rounds, film 6 three, film 7 is hopeless.
        bad = {5: HASTY.attempts + 1, 6: 2 * HASTY.attempts + 1, 7: 1_000}.get(tmdb_id, 0)
        return error(500, 11) if tries[tmdb_id] <= bad else movie(tmdb_id)

    with serve(answer) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read(list(range(1, 30)), MetadataSettings(tmp_path / "c.db", access, policy=HASTY))
    assert metadata.frame.height == 28
    assert metadata.counts["failed"] == 1
    # The first round, two with progress, two without.
    assert tries[7] == 5 * HASTY.attempts


def test_outage_in_the_middle_is_outlasted(tmp_path: Path) -> None:
    """Longer than the attempts of any movie last, and shorter than our patience."""
    began = list[float]()
    lock = threading.Lock()

    def answer(request: Seen) -> Answer:
        with lock:
            began.append(time.monotonic())
            is_away = len(began) > 50 and began[-1] - began[50] < 1.0
        return error(502, 43) if is_away else movie(movie_id_of(request))

    policy = msgspec.structs.replace(HASTY, longest_pause_seconds=0.3)
    with serve(answer) as server:
        settings = MetadataSettings(
            tmp_path / "c.db", TmdbAccess(token=SECRET, url=server.url), policy=policy
        )
        metadata = read(list(range(1, 301)), settings)
        assert metadata.source == "TMDB API 300, 0 gone (of 300 movies)"
        assert len(server.seen) < 700


def test_pause_beyond_our_patience_stops_the_run(tmp_path: Path) -> None:
    with serve(lambda _: error(429, 25, {"Retry-After": "3600"})) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        metadata = read(list(range(1, 1_001)), MetadataSettings(tmp_path / "c.db", access, policy=HASTY))
        assert len(server.seen) <= HASTY.connections
    assert metadata.source.endswith(
        "(of 1,000 movies); stopped asking: status 429, which asks to wait for 3,600 s"
    )


@pytest.mark.parametrize(
    ("body", "base"),
    [
        (b'{"images": {"secure_base_url": "https://pictures.test/t/p"}}', "https://pictures.test/t/p/"),
        (b'{"images": {"base_url": "http://pictures.test/t/p/"}}', "http://pictures.test/t/p/"),
        (b'{"images": {"secure_base_url": "javascript:alert(1)"}}', IMAGE_BASE_URL),
        (b'{"images": null}', IMAGE_BASE_URL),
        (b"<html>", IMAGE_BASE_URL),
    ],
)
def test_image_base_is_asked_for_once(tmp_path: Path, body: bytes, base: str) -> None:
    def answer(request: Seen) -> Answer:
        return Answer(body=body) if "/configuration" in request.path else movie(movie_id_of(request))

    with serve(answer) as server:
        settings = MetadataSettings(tmp_path / "c.db", TmdbAccess(token=SECRET, url=server.url), policy=HASTY)
        assert read([1], settings).image_base == base
        n_before = len(server.seen)
        assert read([1], settings).image_base == base
        assert len(server.seen) == n_before or base == IMAGE_BASE_URL
    # Nor is it forgotten where there is no key any more.
    assert read([1], MetadataSettings(tmp_path / "c.db")).image_base == base
    assert stored_image_base(MetadataSettings(tmp_path / "c.db")) == base
    assert stored_image_base(MetadataSettings(tmp_path / "none.db")) == IMAGE_BASE_URL


def test_progress_counts_every_movie(tmp_path: Path) -> None:
    def answer(request: Seen) -> Answer:
        tmdb_id = movie_id_of(request)
        return error(404, 34) if tmdb_id == 3 else error(500, 11) if tmdb_id == 4 else movie(tmdb_id)

    told = list[AskProgress]()
    with serve(answer) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        read([1, 2, 3, 4], MetadataSettings(tmp_path / "c.db", access, policy=HASTY), told.append)
    assert told[-1] == AskProgress(total=4, n_found=2, n_gone=1, n_failed=1)
    assert [progress.n_done for progress in told] == sorted(progress.n_done for progress in told)


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


def test_movies_that_failed_before_come_last(tmp_path: Path) -> None:
    """However many they are: ten failures in a row would end the run."""
    hopeless = set(range(1, 21))

    def answer(request: Seen) -> Answer:
        tmdb_id = movie_id_of(request)
        return error(500, 11) if tmdb_id in hopeless else movie(tmdb_id)

    aged(tmp_path / "c.db", {30: 160})
    with TmdbCache(tmp_path / "c.db") as cache:
        for tmdb_id in hopeless:
            cache.put_failure(tmdb_id, datetime.now(UTC))
    with serve(answer) as server:
        access = TmdbAccess(token=SECRET, url=server.url)
        policy = msgspec.structs.replace(HASTY, patience_seconds=0.2, longest_pause_seconds=0.05)
        metadata = read([*hopeless, 30, 31], MetadataSettings(tmp_path / "c.db", access, policy=policy))
    assert metadata.frame["title"].to_list() == ["Film 30", "Film 31"]
    assert metadata.counts["failed"] == 20


@pytest.mark.parametrize("key", ["two words", "a.b.c…", "a\nb", "schlüssel"])
def test_key_that_can_be_none_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("TMDB_ACCESS_TOKEN", key)
    with pytest.raises(ConfigError) as caught:
        MetadataSettings.from_environment(tmp_path)
    assert str(caught.value).startswith(
        "TMDB_ACCESS_TOKEN holds blanks or signs that no key has. Expected: in TMDB_ACCESS_TOKEN a read "
    )
    assert key not in str(caught.value)


def test_cache_that_breaks_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    with TmdbCache(path) as cache:
        cache.put(1, MovieFacts(tmdb_id=1), datetime.now(UTC))
        with sqlite3.connect(path) as other:
            other.execute("DROP TABLE answers")
        with pytest.raises(DataError, match=r"^The TMDB cache .*/cache\.db cannot be used \(no such table"):
            cache.put(2, MovieFacts(tmdb_id=2), datetime.now(UTC))


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
    monkeypatch.setattr("movierank_pipeline.ingest.tmdb.cache._FORMAT", 2)
    with TmdbCache(tmp_path / "cache.db") as cache:
        assert cache.known(now) == (set(), set())
