"""An HTTP protocol for uvicorn that closes connections of clients that send too slowly.

uvicorn bounds only the time between two requests of a connection. A client that sends a byte of a header now
and then would keep its connection and its file handle for ever.
"""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from movierank_serving.web.problems import PROBLEM_JSON, Problem


class PatientProtocol(HttpToolsProtocol):
    """Bounds the time from the opening of a connection, or the first byte of a request, to its last byte."""

    receive_seconds: float = 20.0
    """The bound, in seconds. The application factory of a worker sets it on the class, from the settings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._has_begun = False
        """Whether bytes of the next request have arrived."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        # Also for bytes that begin no request, such as empty lines: they end uvicorn's own wait for one.
        self._has_begun = True
        self._start()
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._has_begun = True
        self._start()  # After an earlier request in the same bytes.
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._has_begun = False
        self._stop()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.receive_seconds, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        is_open = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (is_open and not self.cycle.more_body):
            self._start()  # An earlier request of the connection is being answered. It is not cut off.
            return
        # A browser opens connections in advance. One without a byte is closed without a word.
        if self._has_begun and not (is_open and self.cycle.response_started):
            self.transport.write(_REFUSAL)
        self.transport.close()


def _refusal() -> bytes:
    body = msgspec.json.encode(
        Problem(
            type="urn:movierank:request-timeout",
            title="Request Timeout",
            status=408,
            detail="The request did not arrive in time.",
            remedy="send it again; the operator can raise MOVIERANK_RECEIVE_SECONDS",
        )
    )
    head = (
        f"HTTP/1.1 408 Request Timeout\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n"
        "cache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


_REFUSAL = _refusal()
