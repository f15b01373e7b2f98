"""A webhook on this machine that keeps the alerts it gets."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from movierank_pipeline import alerts
from tests.support.http_server import Answer, LocalServer, Seen, serve
from tests.support.waiting import PATIENCE_SECONDS

SECRET: Final = "T0SECRET"
"""A part of the webhook's path that no log may show."""


class Receiver:
    """A webhook that keeps the alerts; `statuses` are those of the next answers, then 200."""

    def __init__(self, server: LocalServer, statuses: list[int]) -> None:
        self._server = server
        self.url = f"{server.url}/hooks/{SECRET}"
        self.statuses = statuses

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self._server.seen]

    def kinds(self) -> list[str]:
        return [body["kind"] for body in self.bodies()]


def be_patient(patch: pytest.MonkeyPatch) -> None:
    """No pause between attempts, and time-outs that a busy machine keeps."""
    patch.setattr(alerts, "PAUSES_SECONDS", (0.0, 0.0))
    patch.setattr(alerts, "_CONNECT_SECONDS", PATIENCE_SECONDS)
    patch.setattr(alerts, "_ANSWER_SECONDS", PATIENCE_SECONDS)


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a receiver that is away. Its port is taken, and refuses connections, until the end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver until the block ends."""
    statuses: list[int] = []

    def answer(_: Seen) -> Answer:
        return Answer(statuses.pop(0) if statuses else 200)

    with serve(answer) as server:
        yield Receiver(server, statuses)
