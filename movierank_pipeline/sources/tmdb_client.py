"""The TMDB API over HTTP: one call a movie, at a measured pace, tried again when that can help.

The key is in no log line, no error and no `repr`: errors of `requests`, whose text holds the address with
the key in it, are never passed on or chained, and what `urllib3` logs is gone over first.
"""

import logging
import os
import random
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from movierank_core.errors import ConfigError
from movierank_pipeline.sources.tmdb_answers import APPENDED, MovieFacts, facts_of

TOKEN_VARIABLE: Final = "TMDB_ACCESS_TOKEN"
KEY_VARIABLE: Final = "TMDB_API_KEY"
URL_VARIABLE: Final = "MOVIERANK_TMDB_URL"
_DEFAULT_URL: Final = "https://api.themoviedb.org/3"

_TIMEOUTS: Final = (5.0, 15.0)
"""Seconds to connect, and between two pieces of an answer."""
_ANSWER_SECONDS: Final = 30.0
"""Seconds for a whole answer, however steadily it drips."""


class TmdbUnavailableError(Exception):
    """One movie could not be had this time; asking again later may help. Never leaves `sources`."""


@dataclass(frozen=True)
class TmdbAccess:
    """Where TMDB is and how to be let in: by a read access token, or by a v3 key."""

    token: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    url: str = _DEFAULT_URL

    @classmethod
    def from_environment(cls) -> Self | None:
        """What `TMDB_ACCESS_TOKEN` (which wins) or `TMDB_API_KEY` give, None without either."""
        token, key = (os.environ.get(name, "").strip() or None for name in (TOKEN_VARIABLE, KEY_VARIABLE))
        if token is None and key is None:
            return None
        return cls(token, key, os.environ.get(URL_VARIABLE, _DEFAULT_URL).rstrip("/"))


@dataclass(frozen=True)
class RequestPolicy:
    """How fast to ask, and how often again."""

    rate_per_second: float = 35.0
    """Requests a second, at most, retries included."""
    attempts: int = 5
    """Requests per movie, at most."""
    first_pause_seconds: float = 0.5
    """Doubled after each attempt; a random half to whole of it is waited."""
    longest_pause_seconds: float = 60.0
    """Beyond which neither our own nor the server's wish for a pause goes."""


class Pace:
    """Lets callers through one by one, evenly spaced: a token bucket that holds one token."""

    def __init__(self, rate_per_second: float) -> None:
        self._interval = 1.0 / rate_per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self) -> None:
        with self._lock:
            slot = max(self._next, time.monotonic())
            self._next = slot + self._interval
        time.sleep(max(0.0, slot - time.monotonic()))

    def hold(self, seconds: float) -> None:
        """Nobody else is let through for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class TmdbClient:
    """Asks TMDB for movies. Safe for use by several threads."""

    def __init__(
        self,
        access: TmdbAccess,
        policy: RequestPolicy = RequestPolicy(),  # Frozen.
        n_connections: int = 8,
    ) -> None:
        self._access, self._policy = access, policy
        self._pace = Pace(policy.rate_per_second)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=n_connections))
        self._parameters = {"append_to_response": APPENDED}
        if access.token is not None:
            self._session.headers["Authorization"] = f"Bearer {access.token}"
        elif access.key is not None:
            self._parameters["api_key"] = access.key
            logging.getLogger("urllib3.connectionpool").addFilter(_without_key)
        self._session.headers["Accept"] = "application/json"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def movie(self, tmdb_id: int) -> MovieFacts | None:
        """The facts of one movie; None if TMDB has no such movie.

        Raises `ConfigError` when TMDB refuses the key, and `TmdbUnavailableError` when no attempt gave a
        usable answer.
        """
        reason = "no attempt"
        for attempt in range(self._policy.attempts):
            if attempt:
                time.sleep(self._pause(attempt))
            self._pace.wait()
            try:
                status, headers, body = self._get(f"{self._access.url}/movie/{tmdb_id}")
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = type(error).__name__
                continue
            if status == 200:
                try:
                    return facts_of(msgspec.json.decode(body), tmdb_id)
                except ValueError:  # Not JSON, cut short, or about something else.
                    reason = "an answer that is not this movie's"
                    continue
            if status == 404:
                return None
            if status in (401, 403):
                raise self._refused(status)
            reason = f"status {status}"
            if status == 429:
                self._pace.hold(self._retry_after(headers))
            elif status < 500:
                break
        raise TmdbUnavailableError(reason)

    def _get(self, url: str) -> tuple[int, CaseInsensitiveDict[str], bytes]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        with self._session.get(
            url, params=self._parameters, timeout=_TIMEOUTS, stream=True, allow_redirects=False
        ) as response:
            body = bytearray()
            while piece := response.raw.read1(2**16, decode_content=True):
                body += piece
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout
            length = response.headers.get("Content-Length", "")
            if length.isdigit() and response.raw.tell() < int(length):
                raise requests.ConnectionError
            return response.status_code, response.headers, bytes(body)

    def _pause(self, attempt: int) -> float:
        longest = self._policy.first_pause_seconds * 2 ** (attempt - 1)
        return min(self._policy.longest_pause_seconds, longest) * random.uniform(0.5, 1.0)

    def _retry_after(self, headers: CaseInsensitiveDict[str]) -> float:
        """Seconds that the server asks to wait, as a number or a date; 0 where it does not say."""
        wish = headers.get("Retry-After", "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", wish):
            seconds = float(wish)
        else:
            try:
                moment = parsedate_to_datetime(wish)
            except ValueError:
                return 0.0
            aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            seconds = (aware - datetime.now(UTC)).total_seconds()
        return min(max(0.0, seconds), self._policy.longest_pause_seconds)

    def _refused(self, status: int) -> ConfigError:
        given = KEY_VARIABLE if self._access.token is None else TOKEN_VARIABLE
        return ConfigError(
            f"TMDB refuses what {given} holds (status {status})",
            expected=f"in {TOKEN_VARIABLE} a read access token (long, with dots in it), "
            f"or in {KEY_VARIABLE} a v3 key (32 characters); one does not do for the other",
            remedy="copy it again from https://www.themoviedb.org/settings/api, or unset the variable",
        )


def _without_key(record: logging.LogRecord) -> bool:
    """Lets every line through, any key in it blotted out."""
    record.msg, record.args = re.sub(r"api_key=[^&\s\"']+", "api_key=…", record.getMessage()), ()
    return True
