"""API keys: each has a name and scopes. A file or the environment holds them; only digests stay in memory."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from movierank_core.errors import ConfigError


class Scope(StrEnum):
    """What a caller may do."""

    RANK = "rank"
    """Rankings, and the movies of the catalogue."""
    FEEDBACK = "feedback"
    """Store events and impressions of any user."""
    USERS_READ = "users:read"
    """Histories of any user, reasons that name a movie of a history, and explanations."""
    USERS_DELETE = "users:delete"
    """Delete any user."""
    OPERATE = "operate"
    """Metrics, and the causes in `/health/ready`."""


ALL: Final = "all"
"""Stands for every scope."""
MIN_KEY_LENGTH: Final = 16
"""Minimum length of a key, in characters, so that it cannot be guessed."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token of RFC 6750, section 2.1."""


class Key(msgspec.Struct, frozen=True):
    """One key, without its text."""

    name: str
    """The name that the log line of a request has."""
    scopes: frozenset[Scope]
    digest: bytes
    """SHA-256 of the key's text."""


class Keys:
    """The keys of a service."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = list(keys)

    def __bool__(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    def find(self, text: str) -> Key | None:
        """The key with this text, or None.

        Compares every digest in constant time, so that the duration reveals nothing about the keys.
        """
        given = digest_of(text)
        found = [key for key in self._keys if hmac.compare_digest(given, key.digest)]
        return found[0] if found else None


def parse_keys(text: str, source: str) -> Keys:
    """The keys of a text: one per line or separated by semicolons, `<name> <scope>,<scope> <key>`.

    Lines that begin with `#` are comments. Raises ConfigError, which calls the text `source` and never shows
    a key, for an entry of another form, an unknown scope, and a name or key that occurs twice.
    """
    entries = [
        entry.split()
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
        for entry in line.split(";")
        if entry.strip()
    ]
    keys: list[Key] = []
    for n, entry in enumerate(entries, start=1):
        key = _parse_key(entry, f"Key {n} in {source}")
        if any(key.name == other.name or key.digest == other.digest for other in keys):
            raise ConfigError(
                f"Key {n} in {source} has the name or the text of an earlier key",
                expected="different names and keys",
                remedy="give it a name and a key of its own",
            )
        keys.append(key)
    return Keys(keys)


def _parse_key(entry: list[str], where: str) -> Key:
    if len(entry) != 3:
        raise ConfigError(
            f"{where} has {len(entry)} parts",
            expected="`<name> <scope>,<scope> <key>`, such as `shop rank,feedback 5f1d…`",
            remedy="give each key a name and scopes (docs/operations.md)",
        )
    name, scopes, text = entry
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where} has a name that cannot be used",
            expected="at most 64 letters, digits, dots, hyphens and underscores",
            remedy="choose another name",
        )
    if len(text) < MIN_KEY_LENGTH or not _KEY.fullmatch(text):
        raise ConfigError(
            f"{where} is too short or has other characters",
            expected=f"at least {MIN_KEY_LENGTH} letters, digits and characters of `-._~+/=`",
            remedy="make one with `openssl rand -hex 32`",
        )
    return Key(name, parse_scopes(scopes, where), digest_of(text))


def parse_scopes(text: str, source: str) -> frozenset[Scope]:
    """The scopes of a list with commas; `all` stands for all. Raises ConfigError with `source` for others."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == [ALL]:
        return frozenset(Scope)
    unknown = sorted(set(names) - set(Scope))
    if unknown:
        raise ConfigError(
            f"{source} has the scope {unknown[0]!r}",
            expected=f"{', '.join(Scope)}, or {ALL} alone",
            remedy="separate scopes by commas",
        )
    return frozenset(map(Scope, names))


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
