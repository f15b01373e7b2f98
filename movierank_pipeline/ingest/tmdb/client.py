"""HTTP client of the TMDB API: one request per movie, with rate limit and retries.

The key never appears in a log line, an error or a `repr`. Errors of `requests` contain the URL with the key,
so they are never re-raised or chained; log records of `urllib3` are filtered.
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
from movierank_pipeline.ingest.tmdb.rate_limit import RateLimiter, StoppedError
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
"""Maximum size of a response in bytes; the longest credits of a film are below one million."""
_PASSING: Final = (404, 408, 425)
"""Status codes that are retried although they are below 500: a proxy's 404, and time-outs."""

_T = TypeVar("_T")


class TmdbUnavailableError(Exception):
    """The request for one movie failed; a later request may succeed. Handled inside `ingest.tmdb`."""


class TmdbBusyError(TmdbUnavailableError):
    """TMDB asks for a longer pause than the policy allows. Handled inside `ingest.tmdb`."""


@dataclass(frozen=True)
class TmdbAccess:
    """TMDB's URL and the credentials: a read access token or a v3 key."""

    token: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    url: str = _DEFAULT_URL

    @classmethod
    def from_environment(cls) -> Self | None:
        """Credentials from `TMDB_ACCESS_TOKEN`, else from `TMDB_API_KEY`; None if neither is set.

        Raises `ConfigError` for a value that cannot be a key.
        """
        token, key = (_key_in(name) for name in (TOKEN_VARIABLE, KEY_VARIABLE))
        if token is None and key is None:
            return None
        return cls(token, key, os.environ.get(URL_VARIABLE, _DEFAULT_URL).rstrip("/"))


class RequestPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Rate limit, time-outs and retries."""

    requests_per_second: float = 35.0
    """Maximum requests that reach TMDB in any second, retries included."""
    connections: int = 16
    """Maximum concurrent requests."""
    attempts: int = 5
    """Maximum requests per movie and round; responses with status 429 (too many requests) do not count."""
    connect_seconds: float = 5.0
    """Maximum time to connect, in seconds."""
    read_seconds: float = 15.0
    """Maximum pause within a response, in seconds."""
    answer_seconds: float = 30.0
    """Maximum duration of a whole response, in seconds."""
    first_pause_seconds: float = 0.5
    """Upper bound of the pause after a first failure, in seconds. It doubles per failure; jitter takes 50-100
    %."""
    longest_pause_seconds: float = 60.0
    """Maximum pause of the exponential backoff, in seconds."""
    patience_seconds: float = 600.0
    """Maximum time that TMDB may be unreachable, or ask to wait, before this run gives up, in seconds."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes


class TmdbClient:
    """Requests movies from TMDB. Thread-safe."""

    def __init__(self, access: TmdbAccess, policy: RequestPolicy) -> None:
        self._access, self.policy = access, policy
        self._pace = RateLimiter(
            policy.requests_per_second, policy.first_pause_seconds, policy.longest_pause_seconds
        )
        self._session = requests.Session()
        adapter = BoundedAdapter(policy.connections, policy.answer_seconds)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._session.headers["Accept"] = "application/json"
        self._session.auth = self._let_in  # Also prevents the use of .netrc.
        self._parameters: dict[str, str] = {}
        if access.token is None and access.key is not None:
            self._parameters["api_key"] = access.key
            logging.getLogger("urllib3.connectionpool").addFilter(_without_key)
        # Look up proxies and certificates once, not per movie.
        self._surroundings = self._session.merge_environment_settings(access.url, {}, True, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """Stops sending. Threads that wait to send raise `TmdbUnavailableError`."""
        self._pace.stop()

    def hold(self, seconds: float) -> None:
        """Pauses all threads for `seconds`."""
        self._pace.hold(seconds)

    def movie(self, tmdb_id: int) -> MovieFacts | None:
        """The facts of one movie; None if TMDB has no such movie.

        Raises `ConfigError` if TMDB refuses the key, `TmdbBusyError` if it asks for a pause beyond the
        policy, and `TmdbUnavailableError` if no attempt gave a usable response.
        """
        return self._ask(
            f"movie/{tmdb_id}", {"append_to_response": APPENDED}, lambda body: facts_of(body, tmdb_id)
        )

    def image_base(self) -> str:
        """Base URL of TMDB's images: the part before size and path. Raises the errors of `movie`."""
        base = self._ask("configuration", {}, image_base_of)
        if base is None:
            raise TmdbUnavailableError("status 404")
        return base

    def _ask(self, path: str, parameters: dict[str, str], read: Callable[[object], _T]) -> _T | None:
        """The response decoded by `read`; None if TMDB does not have the resource."""
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
                    self.stop()  # Stops the other threads as well.
                    raise self._refused(answer.status)
                try:
                    if answer.status == 200:
                        return read(msgspec.json.decode(answer.body))
                    if answer.status == 404 and is_gone(answer.body):
                        return None
                except (ValueError, RecursionError):  # Not JSON, truncated, or about another resource.
                    reason = f"{reason} with a body that does not belong to it"
                if answer.status // 100 in (3, 4) and answer.status not in _PASSING:
                    break
                n_failures += 1
        except StoppedError:
            reason = "stopped"
        raise TmdbUnavailableError(reason)

    def _get(self, path: str, parameters: dict[str, str]) -> _Answer | str:
        """The response, or a short reason why there is none."""
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
    if not re.fullmatch(r"[!-~]*", key):  # An error of http.client would contain the key.
        raise ConfigError(
            f"{variable} holds blanks or signs that no key has", expected=_EXPECTED, remedy=_REMEDY
        )
    return key or None


def _retry_after(headers: CaseInsensitiveDict[str]) -> float | None:
    """Seconds to wait by `Retry-After` (a number or a date); None if the header is missing or invalid."""
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
    """Log filter that keeps every record and masks keys in its text."""
    record.msg, record.args = re.sub(r"api_key=[^&\s\"']+", "api_key=…", record.getMessage()), ()
    return True
