"""HTTP connections with a deadline for the whole response.

The read time-out of `requests` applies to a single read. A server that sends one byte at a time can therefore
keep a connection open without limit. Here every read may only take the time left until the response's
deadline.
"""

import http.client
import io
import socket
import time
from typing import Any, cast

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Reader(io.RawIOBase):
    """A raw stream that reads from a socket until a deadline."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._source, self._socket, self._deadline = source, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        usual = self._socket.gettimeout()
        self._socket.settimeout(left if usual is None else min(usual, left))
        try:
            return cast("int | None", self._source.readinto(buffer))
        finally:
            self._socket.settimeout(usual)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, deadline: float, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        source = self.fp.detach()
        self.fp = io.BufferedReader(_Reader(source, sock, deadline))


def _bounded(kind: type[HTTPConnection], answer_seconds: float) -> type[HTTPConnection]:
    class Bounded(kind):  # type: ignore[misc, valid-type]
        def getresponse(self) -> Any:
            deadline = time.monotonic() + answer_seconds
            self.response_class = lambda *given, **more: _Response(*given, deadline=deadline, **more)
            return super().getresponse()

    return Bounded


class BoundedAdapter(HTTPAdapter):
    """Connection pool; a response may take at most `answer_seconds` from its request on."""

    def __init__(self, n_connections: int, answer_seconds: float) -> None:
        class Plain(urllib3.HTTPConnectionPool):
            ConnectionCls = _bounded(HTTPConnection, answer_seconds)

        class Secure(urllib3.HTTPSConnectionPool):
            ConnectionCls = _bounded(HTTPSConnection, answer_seconds)  # type: ignore[assignment]

        self._pools = {"http": Plain, "https": Secure}
        super().__init__(pool_maxsize=n_connections)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager
