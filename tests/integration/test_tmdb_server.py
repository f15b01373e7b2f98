"""Enrichment of whole catalogues against a server like TMDB that has every fault. The server counts."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from movierank_core.data.schema import LINKS, MOVIES
from movierank_core.errors import ConfigError
from movierank_core.paths import Paths
from movierank_pipeline.evaluation.run import read_events
from movierank_pipeline.ingest.tmdb.client import RequestPolicy, TmdbAccess
from movierank_pipeline.ingest.tmdb.metadata import Metadata, MetadataSettings, read_metadata
from movierank_pipeline.materialize import materialize
from movierank_pipeline.settings import Settings
from tests.support.tmdb_server import ALL_FAULTS, ROOT, TOKEN, Behaviour, TmdbServer, tmdb_server
from tests.support.waiting import PATIENCE_SECONDS, exit_code, wait_for

N_CONNECTIONS = 16
COMMON = (
    *("500", "502", "504", "reset", "cut", "closed"),
    *("invalid_json", "html", "other_movie", "404_of_a_proxy"),
)
SLOW = ("429", "429_seconds", "429_date", "503_retry_after", "no_answer", "drip")
"""Faults that delay one thread or all; a few of each are enough."""


def policy(requests_per_second: float) -> RequestPolicy:
    return RequestPolicy(
        requests_per_second=requests_per_second,
        connections=N_CONNECTIONS,
        read_seconds=2.0,
        answer_seconds=3.0,
        first_pause_seconds=0.02,
        longest_pause_seconds=0.5,
        patience_seconds=60.0,
    )


def enrich(server: TmdbServer, folder: Path, n_movies: int, requests_per_second: float) -> Metadata:
    """What a run makes of movies 1 to `n_movies`."""
    ids = pl.int_range(1, n_movies + 1, eager=True)
    movies = pl.DataFrame({"movie_id": ids, "title": ids.cast(pl.String)})
    links = pl.DataFrame({"movie_id": ids, "tmdb_id": ids})
    return read_metadata(
        movies.match_to_schema(MOVIES, missing_columns="insert"),
        links.match_to_schema(LINKS, missing_columns="insert"),
        MetadataSettings(
            folder / "tmdb_cache.db",
            TmdbAccess(token=TOKEN, url=server.url),
            policy=policy(requests_per_second),
        ),
    )


def start(
    server: TmdbServer, folder: Path, n_movies: int, requests_per_second: float
) -> subprocess.Popen[str]:
    """The same in a process of its own."""
    call = f"enrich(TmdbServer({server.url!r}), Path({str(folder)!r}), {n_movies}, {requests_per_second})"
    code = f"from pathlib import Path; from {__name__} import *; print({call}.source)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def cached(folder: Path) -> tuple[set[int], set[int]]:
    """(movies with facts, movies that are gone), as the file says."""
    rows = sqlite3.connect(folder / "tmdb_cache.db").execute("SELECT tmdb_id, facts IS NULL FROM answers")
    answers = dict(rows.fetchall())
    return {one for one in answers if not answers[one]}, {one for one in answers if answers[one]}


def test_faults_are_all_in_the_mix() -> None:
    assert set(COMMON) | set(SLOW) == set(ALL_FAULTS)


@pytest.mark.parametrize(
    ("n_movies", "slow_share"), [(1_500, 0.0015), pytest.param(10_000, 0.0003, marks=pytest.mark.heavy)]
)
def test_very_many_movies_survive_every_fault_and_a_kill(
    tmp_path: Path, n_movies: int, slow_share: float
) -> None:
    rate = 2_000
    behaviour = Behaviour(
        faults=dict.fromkeys(COMMON, 0.012) | dict.fromkeys(SLOW, slow_share),
        long_suffering=500,
        gone_every=97,
        odd_bodies=True,
        seed=7,
        limit_per_second=rate,
    )
    with tmdb_server(behaviour) as server:
        process = start(server, tmp_path, n_movies, rate)
        wait_for(lambda: len(server.report().served) >= 0.4 * n_movies, "two movies of five", process=process)
        assert process.poll() is None, "the enrichment ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        exit_code(process)
        killed_after = server.report()
        found, gone = cached(tmp_path)
        answered = set(killed_after.served) | set(killed_after.gone)
        assert found | gone <= answered
        lost = answered - found - gone
        assert len(lost) <= N_CONNECTIONS

        process = start(server, tmp_path, n_movies, rate)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        report = server.report()
    print(f"{report.n_requests} requests, most in a second {report.most_in_a_second},")
    print(f"{report.n_connections} connections, lost by the kill {len(lost)}, {report.statuses}")

    there = {one for one in range(1, n_movies + 1) if behaviour.exists(one)}
    missing = set(range(1, n_movies + 1)) - there
    assert said.strip() == f"TMDB API {len(there):,}, {len(missing)} gone (of {n_movies:,} movies)"
    assert cached(tmp_path) == (there, missing)
    # None is asked for twice after success, those aside whose answer the kill caught on its way.
    again = {one for answers in (report.served, report.gone) for one, n in answers.items() if n}
    assert again <= lost
    assert max({**report.served, **report.gone}.values()) <= 1
    assert report.most_in_a_second <= rate
    assert report.n_over_limit == 0
    assert report.n_configurations == 1
    # Every fault was met, and connections were used again.
    assert {name for name in ALL_FAULTS if not report.statuses.get(name)} == set()
    n_broken = sum(report.statuses[name] for name in ("reset", "cut", "closed", "no_answer", "drip"))
    assert report.n_connections <= n_broken + 4 * N_CONNECTIONS


@pytest.mark.parametrize("delay_seconds", [0.0, 0.7])
def test_server_never_sees_more_than_the_rate_in_a_second(tmp_path: Path, delay_seconds: float) -> None:
    rate = 25
    behaviour = Behaviour(
        faults={"500": 0.05, "reset": 0.05, "429": 0.02},
        limit_per_second=rate,
        delay_seconds=delay_seconds,
    )
    with tmdb_server(behaviour) as server:
        metadata = enrich(server, tmp_path, 90, rate)
        report = server.report()
    assert metadata.frame.height == 90
    assert report.most_in_a_second <= rate
    assert report.n_over_limit == 0


def test_key_that_expires_half_way_stops_at_once_and_keeps_what_came(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with tmdb_server(Behaviour(expires_after=300)) as server:
        with pytest.raises(ConfigError, match=r"^TMDB refuses what TMDB_ACCESS_TOKEN holds \(status 401\)"):
            enrich(server, tmp_path, 1_000, 2_000)
        report = server.report()
    assert report.n_requests <= 300 + N_CONNECTIONS
    assert cached(tmp_path) == (set(report.served), set())
    assert len(report.served) == 300
    assert TOKEN not in caplog.text
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.iterdir())


class Sayings:
    """A reporter that keeps what steps say."""

    def __init__(self) -> None:
        self.said_by: dict[str, list[str]] = {}

    def started(self, step: str) -> None:
        pass

    def progressed(self, step: str, message: str) -> None:
        self.said_by.setdefault(step, []).append(message)

    def finished(self, step: str, seconds: float) -> None:
        pass

    def failed(self, step: str) -> None:
        pass

    def checked(self, asset: str, check: str, passed: bool, figures: Mapping[str, object]) -> None:
        pass


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TMDB_ACCESS_TOKEN", "TMDB_API_KEY", "DAGSTER_HOME", "MOVIERANK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n1,One (1999),Drama\n2,Two (1999),Drama\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,1,11\n2,2,12\n")
    return folder


def test_dagsters_log_says_how_it_goes_and_what_came_of_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sayings, settings = Sayings(), Settings(data_dir=str(data_dir))
    with tmdb_server(Behaviour()) as server:
        monkeypatch.setenv("TMDB_ACCESS_TOKEN", TOKEN)
        monkeypatch.setenv("MOVIERANK_TMDB_URL", server.url)
        materialize(settings, Paths.from_environment(), sayings, select="+key:tmdb_movies")
        assert server.report().served == {11: 0, 12: 0}
    *_, last, result = sayings.said_by["tmdb_movies"]
    assert last.startswith("2 of 2 movies, ")
    assert last.endswith("; 2 found, 0 gone, 0 failed")
    assert result == "TMDB facts: TMDB API 2, 0 gone (of 2 movies)"


def test_without_key_and_file_the_log_says_in_one_line_how_to_get_more(data_dir: Path) -> None:
    sayings, settings = Sayings(), Settings(data_dir=str(data_dir))
    materialize(settings, Paths.from_environment(), sayings, select="+key:catalogue")
    (line,) = sayings.said_by["tmdb_movies"]
    assert line == (
        "TMDB facts: none; for posters, plots and people set TMDB_ACCESS_TOKEN or TMDB_API_KEY, or give "
        "`--tmdb-file`"
    )


def test_evaluation_says_how_it_goes(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    with tmdb_server(Behaviour()) as server:
        monkeypatch.setenv("TMDB_ACCESS_TOKEN", TOKEN)
        monkeypatch.setenv("MOVIERANK_TMDB_URL", server.url)
        _, catalogue = read_events(Settings(data_dir=str(data_dir)), Paths.from_environment(), said.append)
    assert catalogue.frame["overview"].null_count() == 0
    assert said[-2].endswith("; 2 found, 0 gone, 0 failed")
    assert said[-1] == "TMDB facts: TMDB API 2, 0 gone (of 2 movies)"
