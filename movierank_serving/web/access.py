"""Who may do what: scopes of keys, tokens of users, and a rate limit per client.

Every route of the API declares the scope that it needs (`needs`, `open_to_all`). One guard checks it before
the body of a request is read, and refuses routes without a declaration. Guards are coroutines, because
Litestar runs every other guard in a thread.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from movierank_serving.settings import Settings
from movierank_serving.web.credentials import read_credentials
from movierank_serving.web.keys import Scope
from movierank_serving.web.middleware import PROBES, context_of
from movierank_serving.web.problems import ServiceProblem
from movierank_serving.web.prometheus import MULTIPROCESS_FOLDER
from movierank_serving.web.rate_limit import RateLimiter
from movierank_serving.web.user_tokens import InvalidToken

TOKEN_SCOPES: Final = frozenset({Scope.RANK, Scope.FEEDBACK, Scope.USERS_READ, Scope.USERS_DELETE})
"""What a token lets its user do, with the user's own data only."""
TOKEN_NAME: Final = "user-token"
"""Name of a caller with a token, in log lines."""
_RATES_FILE: Final = "rates"
_CHALLENGE: Final = 'Bearer realm="movierank"'
_OPT: Final = "access"
"""Name of a route's declaration in Litestar's `opt`."""

TokenUse = Literal["refused", "any", "path", "body"]
"""Whether a route takes tokens. `any`: its answer concerns no user. `path`: for the user in the path.
`body`: for the user in the body, and the handler calls `Caller.require` with it."""


@dataclass(frozen=True)
class RouteAccess:
    """The declaration of a route."""

    scope: Scope | None
    """None: open to everybody."""
    tokens: TokenUse = "refused"


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request."""

    name: str | None
    """Name of the key; TOKEN_NAME for a token; None without either."""
    scopes: frozenset[Scope]
    """What the caller may do with the data of every user."""
    user_id: int | None = None
    """The user of the token; None without a token."""

    def may(self, scope: Scope, user_id: int | None = None) -> bool:
        """Whether the caller has `scope` for the data of `user_id`; None stands for data of no user."""
        if scope in self.scopes:
            return True
        is_own = self.user_id is not None and user_id in (None, self.user_id)
        return is_own and scope in TOKEN_SCOPES

    def require(self, scope: Scope, user_id: int | None = None) -> None:
        """Raises the 401 or 403 problem unless the caller may."""
        if not self.may(scope, user_id):
            raise self.refusal(scope)

    def refusal(self, scope: Scope) -> ServiceProblem:
        if self.name is None:
            return _unauthorized(f"This needs a key with the scope {scope}, and the request has no key.")
        if self.user_id is not None:
            detail = (
                f"The token of user {self.user_id} allows this for the user's own data only, or not at all."
            )
            remedy = f"send a key with the scope {scope}, or ask for this user's own data"
        else:
            detail = f"The key {self.name} lacks the scope {scope}."
            remedy = f"ask the operator for a key with the scope {scope}"
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        return ServiceProblem(
            403, "forbidden", detail, remedy=remedy, headers={"WWW-Authenticate": challenge}
        )


class Access:
    """Keys, tokens and rate limit of one worker."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError for keys, secrets or scopes that cannot be used."""
        self._keys, self._tokens, open_scopes = read_credentials(settings)
        self._anonymous = Caller(None, open_scopes)
        folder = os.environ.get(MULTIPROCESS_FOLDER)
        self._rates = (
            RateLimiter(settings.rate_limit_per_minute, None if folder is None else Path(folder, _RATES_FILE))
            if settings.rate_limit_per_minute
            else None
        )

    def caller_of(self, authorization: str | None) -> Caller:
        """The caller by the `Authorization` header. Raises the 401 problem for an unknown key or token.

        A service without keys and secrets ignores the header.
        """
        if authorization is None or not (self._keys or self._tokens):
            return self._anonymous
        scheme, _, text = authorization.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise _unauthorized("The Authorization header has no bearer key.")
        if (key := self._keys.find(text)) is not None:
            return Caller(key.name, key.scopes | self._anonymous.scopes)
        if not self._tokens:
            raise _unauthorized("The key is not valid.", is_invalid=True)
        try:
            user_id = self._tokens.user_of(text)
        except InvalidToken as error:
            raise _unauthorized(str(error), is_invalid=True) from error
        return Caller(TOKEN_NAME, self._anonymous.scopes, user_id)

    def caller_of_open_route(self, authorization: str | None) -> Caller:
        """As `caller_of`, but an unknown key counts as none: probes must not fail because of an old key."""
        try:
            return self.caller_of(authorization)
        except ServiceProblem:
            return self._anonymous

    def require_rate(self, client: str) -> None:
        """Counts a request. Raises the 429 problem if the client is over its limit."""
        wait = 0.0 if self._rates is None else self._rates.wait(client)
        if wait > 0:
            raise ServiceProblem(
                429,
                "too-many-requests",
                "This client has sent too many requests.",
                headers={"Retry-After": str(math.ceil(wait))},
            )


def needs(scope: Scope, tokens: TokenUse = "refused") -> dict[str, Any]:
    """Arguments of a route's decorator: the route needs `scope`, or a token of a user as `tokens` says."""
    return {"opt": {_OPT: RouteAccess(scope, tokens)}, "security": [{"bearer": [scope.value]}, {}]}


def open_to_all() -> dict[str, Any]:
    """Arguments of a route's decorator: everybody may call the route."""
    return {"opt": {_OPT: RouteAccess(None)}}


def access_of(handler: BaseRouteHandler) -> RouteAccess:
    """The declaration of a route. Raises KeyError without one, so that such a route answers 500."""
    declared: RouteAccess = handler.opt[_OPT]
    return declared


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """The caller of the request that is being answered."""
    caller = context_of(connection.scope).caller
    assert caller is not None, "the guard sets it"
    return caller


async def checks_access(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard of every route of the API: finds the caller and checks the scope of the route."""
    access: Access = connection.app.state.access
    declared = access_of(handler)
    find: Callable[[str | None], Caller] = (
        access.caller_of_open_route if declared.scope is None else access.caller_of
    )
    caller = find(_authorization(connection))
    context_of(connection.scope).caller = caller
    if declared.scope is None or declared.scope in caller.scopes:
        return
    if caller.user_id is None or declared.tokens == "refused":
        raise caller.refusal(declared.scope)
    caller.require(declared.scope, connection.path_params["user_id"] if declared.tokens == "path" else None)


def _authorization(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The `Authorization` header. Litestar would parse all headers again for a guard."""
    for name, value in connection.scope["headers"]:
        if name == b"authorization":
            return value.decode("latin-1")
    return None


async def limits_rate(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of every route of the API except health probes and metrics."""
    if connection.scope.get("path_template") in PROBES:
        return
    access: Access = connection.app.state.access
    access.require_rate(connection.client.host if connection.client is not None else "")


GUARDS: Final[list[Guard]] = [limits_rate, checks_access]
"""The guards of every route of the API, in their order: guesses of keys are limited too."""


def _unauthorized(detail: str, *, is_invalid: bool = False) -> ServiceProblem:
    challenge = f'{_CHALLENGE}, error="invalid_token"' if is_invalid else _CHALLENGE
    return ServiceProblem(
        401,
        "unauthorized",
        detail,
        remedy="send `Authorization: Bearer <key>` with a key of the operator, or a user's token",
        headers={"WWW-Authenticate": challenge},
    )
