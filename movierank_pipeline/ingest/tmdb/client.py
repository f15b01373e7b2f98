"""The TMDB API over HTTP: one call a movie, at a measured pace, tried again when that can help.

The key is in no log line, no error and no `repr`: errors of `requests`, whose text holds the address with
the key in it, are never passed on or chained, and what `urllib3` logs is gone over first.
"""

import logging
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self, TypeVar

import msgspec
import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from movierank_core.errors import ConfigError
from movierank_pipeline.ingest.tmdb.connection import BoundedAdapter
from movierank_pipeline.ingest.tmdb.rate_limit import Pace, StoppedError
from movierank_pipeline.ingest.tmdb.responses import APPENDED, MovieFacts, facts_of, image_base_of, is_gone

TOKEN_VARIABLE: Final = "TMDB_ACCESS_TOKEN"
KEY_VARIABLE: Final = "TMDB_API_KEY"
URL_VARIABLE: Final = "MOVIERANK_TMDB_URL"
_DEFAULT_URL: Final = "https://api.themoviedb.org/3"
_EXPECTED: Final = (
    f"in {TOKEN_VARIABLE} a read access token (long, with dots in it), "
    f"or in {KEY_VARIABLE} a v3 key (32 characters); one does not do for the other"
)
_REMEDY: Final = "copy it again from https://www.themoviedb.org/settings/api, or unset the variable"
_LARGEST_ANSWER: Final = 16 * 2**20
"""Bytes; the longest credits of a film are well below one million."""
_PASSING: Final = (404, 408, 425)
"""Answers to a request that may be right all the same: some proxy's "not found", time-outs."""

_T = TypeVar("_T")


class TmdbUnavailableError(Exception):
    """One movie could not be had this time; asking again later may help. Never leaves `sources`."""


class TmdbBusyError(TmdbUnavailableError):
    """TMDB wants nobody to ask for longer than our patience lasts. Never leaves `sources`."""


@dataclass(frozen=True)
class TmdbAccess:
    """Where TMDB is and how to be let in: by a read access token, or by a v3 key."""

    token: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    url: str = _DEFAULT_URL

    @classmethod
    def from_environment(cls) -> Self | None:
        """What `TMDB_ACCESS_TOKEN` (which wins) or `TMDB_API_KEY` give, None without either.

        Raises `ConfigError` for one that cannot be a key.
        """
        token, key = (_key_in(name) for name in (TOKEN_VARIABLE, KEY_VARIABLE))
        if token is None and key is None:
            return None
        return cls(token, key, os.environ.get(URL_VARIABLE, _DEFAULT_URL).rstrip("/"))


class RequestPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How fast to ask, how long to wait, and how often again."""

    requests_per_second: float = 35.0
    """Requests that TMDB sees in any second, at most, repeated ones included."""
    connections: int = 16
    """Requests under way at a time, at most."""
    attempts: int = 5
    """Requests per movie and round, at most; those answered with 429 (too many) do not count."""
    connect_seconds: float = 5.0
    """How long a connection may take to come about."""
    read_seconds: float = 15.0
    """How long an answer may pause."""
    answer_seconds: float = 30.0
    """How long an answer may take in all, however steadily it drips."""
    first_pause_seconds: float = 0.5
    """The pause after a first failure, doubled after each further one; a random half to whole is taken."""
    longest_pause_seconds: float = 60.0
    """Beyond which no pause of our own goes."""
    patience_seconds: float = 600.0
    """How long TMDB may be out of reach, or ask us to wait, before it is left alone until the next time."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes


class TmdbClient:
    """Asks TMDB for movies. Safe for use by several threads."""

    def __init__(self, access: TmdbAccess, policy: RequestPolicy) -> None:
        self._access, self.policy = access, policy
        self._pace = Pace(
            policy.requests_per_second, policy.first_pause_seconds, policy.longest_pause_seconds
        )
        self._session = requests.Session()
        adapter = BoundedAdapter(policy.connections, policy.answer_seconds)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._session.headers["Accept"] = "application/json"
        self._session.auth = self._let_in  # Also keeps a .netrc from taking its place.
        self._parameters: dict[str, str] = {}
        if access.token is None and access.key is not None:
            self._parameters["api_key"] = access.key
            logging.getLogger("urllib3.connectionpool").addFilter(_without_key)
        # Proxies and certificates, looked up once instead of for every movie.
        self._surroundings = self._session.merge_environment_settings(access.url, {}, True, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """Sends nothing more; whoever waits to send gets `TmdbUnavailableError`."""
        self._pace.stop()

    def hold(self, seconds: float) -> None:
        """Sends nothing for so long."""
        self._pace.hold(seconds)

    def movie(self, tmdb_id: int) -> MovieFacts | None:
        """The facts of one movie; None if TMDB says that it has no such movie.

        Raises `ConfigError` when TMDB refuses the key, `TmdbBusyError` when it wants nobody to ask for a
        long time, and `TmdbUnavailableError` when no attempt gave a usable answer.
        """
        return self._ask(
            f"movie/{tmdb_id}", {"append_to_response": APPENDED}, lambda body: facts_of(body, tmdb_id)
        )

    def image_base(self) -> str:
        """Where TMDB's images are: what stands before the size and the path of one. Raises as `movie`."""
        base = self._ask("configuration", {}, image_base_of)
        if base is None:
            raise TmdbUnavailableError("status 404")
        return base

    def _ask(self, path: str, parameters: dict[str, str], read: Callable[[object], _T]) -> _T | None:
        """What `read` makes of the answer; None for what TMDB does not have."""
        reason, n_failures, refused_since = "no attempt", 0, None
        try:
            while n_failures < self.policy.attempts:
                if n_failures and refused_since is None:
                    self._pace.sleep(self._pause(n_failures))
                with self._pace.turn() as turn:
                    answer = self._get(path, parameters)
                    turn.answered = isinstance(answer, _Answer)
                if not isinstance(answer, _Answer):
                    reason, refused_since = answer, None
                    n_failures += 1
                    continue
                wish = _retry_after(answer.headers)
                reason = f"status {answer.status}"
                if answer.status == 429 or (answer.status == 503 and wish is not None):
                    refused_since = refused_since or turn.began
                    n_failures += answer.status != 429
                    pause = self._pace.refused(turn, wish)
                    if turn.began + pause - refused_since > self.policy.patience_seconds:
                        raise TmdbBusyError(f"{reason}, which asks to wait for {pause:,.0f} s")
                    continue
                refused_since = None
                self._pace.accepted(turn)
                if answer.status in (401, 403):
                    self.stop()  # For the other threads, too.
                    raise self._refused(answer.status)
                try:
                    if answer.status == 200:
                        return read(msgspec.json.decode(answer.body))
                    if answer.status == 404 and is_gone(answer.body):
                        return None
                except (ValueError, RecursionError):  # Not JSON, cut short, or about something else.
                    reason = f"{reason} with a body that does not belong to it"
                if answer.status // 100 in (3, 4) and answer.status not in _PASSING:
                    break
                n_failures += 1
        except StoppedError:
            reason = "stopped"
        raise TmdbUnavailableError(reason)

    def _get(self, path: str, parameters: dict[str, str]) -> _Answer | str:
        """The answer, or in a few words why there is none."""
        request = requests.Request("GET", f"{self._access.url}/{path}", params=parameters | self._parameters)
        try:
            with self._session.send(
                self._session.prepare_request(request),
                timeout=(self.policy.connect_seconds, self.policy.read_seconds),
                allow_redirects=False,
                **{**self._surroundings, "stream": True},
            ) as response:
                body = bytearray()
                while piece := response.raw.read1(2**16, decode_content=True):
                    body += piece
                    if len(body) > _LARGEST_ANSWER:
                        return "an answer without end"
                length = response.headers.get("Content-Length", "")
                if length.isdigit() and response.raw.tell() < int(length):
                    return "a broken connection"
                return _Answer(response.status_code, response.headers, bytes(body))
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return "a time-out"
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            return "a broken connection"

    def _let_in(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._access.token is not None:
            request.headers["Authorization"] = f"Bearer {self._access.token}"
        return request

    def _pause(self, n_failures: int) -> float:
        longest = self.policy.first_pause_seconds * 2 ** (n_failures - 1)
        return min(self.policy.longest_pause_seconds, longest) * random.uniform(0.5, 1.0)

    def _refused(self, status: int) -> ConfigError:
        given = KEY_VARIABLE if self._access.token is None else TOKEN_VARIABLE
        return ConfigError(
            f"TMDB refuses what {given} holds (status {status})",
            expected=_EXPECTED,
            remedy=_REMEDY,
        )


def _key_in(variable: str) -> str | None:
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"[!-~]*", key):  # Else an error of http.client would show it.
        raise ConfigError(
            f"{variable} holds blanks or signs that no key has", expected=_EXPECTED, remedy=_REMEDY
        )
    return key or None


def _retry_after(headers: CaseInsensitiveDict[str]) -> float | None:
    """Seconds that the server asks to wait, as a number or a date; None where it does not say."""
    wish = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", wish):
        return float(wish) or None
    try:
        moment = parsedate_to_datetime(wish)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    seconds = (aware - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


def _without_key(record: logging.LogRecord) -> bool:
    """Lets every line through, any key in it blotted out."""
    record.msg, record.args = re.sub(r"api_key=[^&\s\"']+", "api_key=…", record.getMessage()), ()
    return True
