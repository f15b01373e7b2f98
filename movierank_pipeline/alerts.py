"""Alerts: one HTTP POST to a webhook, for example of Slack. The address is a secret and is never logged."""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from movierank_core.errors import ConfigError
from movierank_pipeline.ingest.tmdb.connection import BoundedAdapter

ALERT_URL: Final = "MOVIERANK_ALERT_URL"
PAUSES_SECONDS: Final = (1.0, 2.0)
"""Pauses before the second and the third attempt, in seconds."""
_CONNECT_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 5.0
"""Maximum time of a response, in seconds. Dagster ends a sensor after a minute; all attempts take half."""
_URL: Final = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_log = logging.getLogger("movierank.alerts")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One message to an operator. It holds no personal data."""

    kind: str
    """What happened, for programs: run_failed, check_failed, plan_failed, stale_model and others; the end
    of a staleness has `_over` after its kind."""
    title: str
    detail: str
    run_id: str | None = None
    """The Dagster run; None if the alert is not about a run."""
    dagster_url: str | None = None
    """Address of the run in the Dagster UI, or of the UI."""
    at: str = msgspec.field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """ISO 8601, UTC."""

    def body(self) -> bytes:
        """The alert as JSON; `text` is what Slack shows, with Slack's three special characters escaped."""
        lines = [f"movierank: {self.title}", self.detail, self.dagster_url]
        text = "\n".join(line for line in lines if line)
        for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(character, escaped)
        return msgspec.json.encode({"text": text, **msgspec.structs.asdict(self)})


def alert_url(environment: Mapping[str, str] = os.environ) -> str:
    """The webhook's address from `MOVIERANK_ALERT_URL`; empty: nothing is sent.

    It is not a field of `Settings`, because Dagster shows those and the address is a secret. Raises
    ConfigError, without the value, for another text than a web address.
    """
    url = environment.get(ALERT_URL, "").strip()
    if url and (not _URL.fullmatch(url) or receiver_of(url) is None):
        raise ConfigError(
            f"{ALERT_URL} is not a web address",
            expected="an address that begins with http:// or https://, or nothing",
            remedy="set it to the address of a webhook, or leave it out",
        )
    return url


def receiver_of(url: str) -> str | None:
    """Scheme, host and port of a webhook: what a log may show. None for another text than a web address."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else None


def post_alert(url: str, alert: Alert) -> bool:
    """Posts `alert` as JSON; whether the receiver took it. Without a `url` nothing is sent.

    A connection error, a time-out and a status from 500 on are tried again after PAUSES_SECONDS. A failure is
    logged and raises nothing: an alert must not fail a run. Redirects are not followed.
    """
    if not url:
        return False
    failure = ""
    for pause in (0.0, *PAUSES_SECONDS):
        time.sleep(pause)
        status, failure = _post(url, alert.body())
        if status is not None and status < 300:
            return True
        if status is not None and status < 500:
            break
    _log.warning("The alert %s was not delivered to %s: %s", alert.kind, receiver_of(url), failure)
    return False


def _post(url: str, body: bytes) -> tuple[int | None, str]:
    """(status, failure in words) of one attempt; the status is None without a response.

    Exceptions are not logged or chained: their texts hold the address.
    """
    with requests.Session() as session, _no_connection_log():
        for scheme in ("http://", "https://"):
            session.mount(scheme, BoundedAdapter(1, _ANSWER_SECONDS))
        try:
            with session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,
                stream=True,  # The body of the response is not read, however long it is.
            ) as response:
                return response.status_code, f"status {response.status_code}"
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return None, type(error).__name__


@contextmanager
def _no_connection_log() -> Iterator[None]:
    """Drops log records of `urllib3` from this thread: at the level DEBUG they hold the address's path."""
    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
