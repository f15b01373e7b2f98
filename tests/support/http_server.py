"""A local HTTP server whose answers a test writes itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.waiting import join


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    """With its query."""
    headers: Message
    port: int
    """The client's, the same for requests on one connection."""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """An answer; `Content-Length` is the length of `body` unless given."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """The number of bytes of the body after which the connection closes."""


@dataclass
class LocalServer:
    url: str
    seen: list[Seen]

    def paths(self) -> list[str]:
        return [request.path for request in self.seen]


@contextmanager
def serve(answer: Callable[[Seen], Answer]) -> Iterator[LocalServer]:
    """Answers every request with `answer(request)`, on a free port, until the block ends."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Seen(self.command, self.path, self.headers, self.client_address[1], body)
            seen.append(request)
            reply = answer(request)
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut_after])
            if reply.cut_after is not None:
                self.close_connection = True

        do_HEAD = do_GET
        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield LocalServer(f"http://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        server.shutdown()
        server.server_close()
        join([thread])
