"""URLs of databases and servers in messages: without their passwords."""

import re
from typing import Final
from urllib.parse import unquote

_USER: Final = re.compile(r"(?<=://)([^:@?]*):(.*)@")
"""Name and password of a URL. It may hold characters that must be encoded, so it ends at the last @."""
_PARAMETER: Final = re.compile(r"(?<=[?&])([^=&#]*(?:pass|pwd|secret|token)[^=&#]*)=([^&#]*)", re.IGNORECASE)
"""A query parameter that holds a secret."""
_MIN_LENGTH: Final = 4
"""Minimum length of a password that is looked for in other texts. A shorter one is part of many words."""


def without_password(url: str) -> str:
    """The URL with `***` for its passwords: that of its user, and those of its query parameters."""
    return _PARAMETER.sub(r"\1=***", _USER.sub(r"\1:***@", url))


def without_password_of(url: str, text: str) -> str:
    """`text`, such as an error of a driver, without the passwords of `url`, whether encoded or not."""
    passwords = [match[2] for pattern in (_USER, _PARAMETER) for match in pattern.finditer(url)]
    text = text.replace(url, without_password(url))
    for password in passwords:
        for form in {password, unquote(password), unquote(password.replace("+", " "))}:
            if len(form) >= _MIN_LENGTH:
                text = text.replace(form, "***")
    return text
