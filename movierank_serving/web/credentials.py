"""Reads keys, secrets of tokens and open scopes from the settings. Imports no web framework."""

from pathlib import Path
from typing import NamedTuple

from movierank_core.errors import ConfigError
from movierank_serving.settings import Settings
from movierank_serving.web.keys import Keys, Scope, parse_keys, parse_scopes
from movierank_serving.web.user_tokens import UserTokens, parse_secrets


class Credentials(NamedTuple):
    """How a service recognises its callers."""

    keys: Keys
    tokens: UserTokens
    open_scopes: frozenset[Scope]
    """The scopes of a request without a key."""

    @property
    def is_configured(self) -> bool:
        """Whether the operator has decided who may do what: by keys, secrets or open scopes."""
        return bool(self.keys or self.tokens or self.open_scopes)


def read_credentials(settings: Settings) -> Credentials:
    """Raises ConfigError for keys, secrets and scopes that cannot be used, without showing a secret."""
    keys = _secret_text(settings.api_keys, settings.api_keys_file, "MOVIERANK_API_KEYS")
    secrets = _secret_text(settings.token_secrets, settings.token_secrets_file, "MOVIERANK_TOKEN_SECRETS")
    return Credentials(
        parse_keys(*keys),
        UserTokens(parse_secrets(*secrets)),
        parse_scopes(settings.open_scopes, "MOVIERANK_OPEN_SCOPES"),
    )


def _secret_text(value: str, file: str, variable: str) -> tuple[str, str]:
    """(text, name of its source) of a secret in the environment, or in a file whose path is there.

    `variable` holds the secret, `<variable>_FILE` the path. Both empty gives an empty text. Raises
    ConfigError if both are set or the file cannot be read.
    """
    if value and file:
        raise ConfigError(
            f"{variable} and {variable}_FILE are both set",
            expected="one place for the secret",
            remedy=f"leave out {variable}",
        )
    if not file:
        return value, variable
    try:
        return Path(file).read_text("utf-8"), f"{variable}_FILE"
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"The file in {variable}_FILE cannot be read: {reason}",
            expected=f"a file that this user can read at {file}",
            remedy="correct the path or the permissions",
        ) from error
