"""Signed tokens for one user each: JSON Web Tokens (RFC 7519) with HMAC-SHA256.

An application signs one for a person whom it has authenticated, and the person's page sends it. It lets the
page act for this user and no other. Any library for such tokens can sign them: algorithm HS256, the claims
`sub` (the user's id as a text) and `exp` (end of validity, seconds since 1970), and optionally `iat`.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from movierank_core.errors import ConfigError

MIN_SECRET_LENGTH: Final = 32
"""Minimum length of a secret, in characters: whoever has a token can try secrets on it, at any rate."""
_MAX_TOKEN_LENGTH: Final = 1024
"""Maximum length of a token that is looked at, in characters."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["HS256"]
    """No other algorithm is accepted: with `none`, anybody could sign."""
    typ: Literal["JWT"] = "JWT"


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Other claims may restrict a token, so a token with any is refused instead of half understood."""

    sub: Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,15})\Z")]
    exp: float
    iat: float = 0


class InvalidToken(Exception):
    """The token cannot be used; the text says why, as a sentence."""


class UserTokens:
    """Signs and verifies tokens with the secrets of a service."""

    def __init__(self, secrets: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        """The first of `secrets` signs, each verifies. `clock` gives seconds since 1970."""
        self._secrets = [secret.encode() for secret in secrets]
        self._clock = clock

    def __bool__(self) -> bool:
        """Whether tokens can be verified at all."""
        return bool(self._secrets)

    def sign(self, user_id: int, seconds: float) -> str:
        """A token for a user that is valid for `seconds` from now. Needs a secret."""
        now = int(self._clock())
        claims = _Claims(sub=str(user_id), exp=now + int(seconds), iat=now)
        signed = b".".join(_encode(msgspec.json.encode(part)) for part in (_Header("HS256"), claims))
        return b".".join((signed, _encode(_signature(self._secrets[0], signed)))).decode()

    def user_of(self, token: str) -> int:
        """The user of a valid token. Raises InvalidToken."""
        parts = token.encode().split(b".")
        if len(parts) != 3 or len(token) > _MAX_TOKEN_LENGTH:
            raise InvalidToken("The key is not valid.")
        signed = b".".join(parts[:2])
        try:
            given = _decode(parts[2])
        except ValueError as error:
            raise InvalidToken("The signature of the token is not valid.") from error
        # The sum compares with every secret, whichever fits.
        if not sum(hmac.compare_digest(given, _signature(secret, signed)) for secret in self._secrets):
            raise InvalidToken("The signature of the token is not valid.")
        try:
            msgspec.json.decode(_decode(parts[0]), type=_Header)
            claims = msgspec.json.decode(_decode(parts[1]), type=_Claims)
        except (ValueError, msgspec.DecodeError) as error:
            raise InvalidToken(
                "The token is not as expected: algorithm HS256, and no claims but sub (the user's id as a"
                " text), exp and iat."
            ) from error
        if self._clock() >= claims.exp:
            raise InvalidToken("The token has expired.")
        return int(claims.sub)


def parse_secrets(text: str, source: str) -> list[str]:
    """The secrets of a text, separated by white space or commas. Raises ConfigError for short ones."""
    secrets = text.replace(",", " ").split()
    for n, secret in enumerate(secrets, start=1):
        if len(secret) < MIN_SECRET_LENGTH:
            raise ConfigError(
                f"Secret {n} in {source} has {len(secret)} characters",
                expected=f"at least {MIN_SECRET_LENGTH}",
                remedy="make one with `openssl rand -hex 32`",
            )
    return secrets


def _signature(secret: bytes, signed: bytes) -> bytes:
    return hmac.digest(secret, signed, hashlib.sha256)


def _encode(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    """Base64url without padding. Raises ValueError for other characters, which Python would skip."""
    content = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if _encode(content) != text:
        raise ValueError("not base64url")
    return content
