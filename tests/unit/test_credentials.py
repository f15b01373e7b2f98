"""Keys, secrets of tokens and open scopes: how they are written, read and refused."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from movierank_core.errors import ConfigError
from movierank_serving.commands import token
from movierank_serving.serve import with_access
from movierank_serving.web.credentials import read_credentials
from movierank_serving.web.keys import Scope, parse_keys, parse_scopes
from movierank_serving.web.user_tokens import InvalidToken, UserTokens, parse_secrets
from tests.support.service import settings_in

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
SECRET = "s" * 32


def test_keys_are_read_with_their_names_and_scopes() -> None:
    text = f"""
      # comment; shop rank {OTHER}
      shop   rank,feedback  {KEY}
      ops operate {OTHER}==; all.of-it all {KEY}{OTHER}
    """
    keys = parse_keys(text, "KEYS")
    found = {key: keys.find(key) for key in (KEY, f"{OTHER}==", KEY + OTHER, OTHER, "")}
    assert {text: None if key is None else (key.name, key.scopes) for text, key in found.items()} == {
        KEY: ("shop", {Scope.RANK, Scope.FEEDBACK}),
        f"{OTHER}==": ("ops", {Scope.OPERATE}),
        KEY + OTHER: ("all.of-it", set(Scope)),
        OTHER: None,
        "": None,
    }
    assert not parse_keys(" ; \n#x", "KEYS")


FORM = (
    "Expected: `<name> <scope>,<scope> <key>`, such as `shop rank,feedback 5f1d…` "
    "Remedy: give each key a name and scopes (docs/operations.md)."
)
CHARACTERS = (
    "Expected: at least 16 letters, digits and characters of `-._~+/=` "
    "Remedy: make one with `openssl rand -hex 32`"
)
SCOPES = (
    "Expected: rank, feedback, users:read, users:delete, operate, or all alone. "
    "Remedy: separate scopes by commas."
)
NAMES = "Expected: at most 64 letters, digits, dots, hyphens and underscores. Remedy: choose another name."
DIFFERENT = "Expected: different names and keys. Remedy: give it a name and a key of its own."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{KEY},{OTHER}", f"Key 1 in KEYS has 1 parts. {FORM}"),
        (
            f"shop rank {KEY}; ops operate short",
            f"Key 2 in KEYS is too short or has other characters. {CHARACTERS}",
        ),
        (
            "shop rank schlüssel-mit-umlaut",
            f"Key 1 in KEYS is too short or has other characters. {CHARACTERS}",
        ),
        (f"shop rank,write {KEY}", f"Key 1 in KEYS has the scope 'write'. {SCOPES}"),
        (f"my/shop rank {KEY}", f"Key 1 in KEYS has a name that cannot be used. {NAMES}"),
        (
            f"shop rank {KEY}\nshop feedback {OTHER}",
            f"Key 2 in KEYS has the name or the text of an earlier key. {DIFFERENT}",
        ),
        (
            f"shop rank {KEY}\nops operate {KEY}",
            f"Key 2 in KEYS has the name or the text of an earlier key. {DIFFERENT}",
        ),
    ],
)
def test_keys_that_cannot_be_used_are_refused_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_keys(text, "KEYS")
    assert str(refusal.value) == message
    assert KEY not in message


def test_scopes_are_separated_by_commas() -> None:
    assert parse_scopes(" rank , users:read,", "X") == {Scope.RANK, Scope.USERS_READ}
    assert parse_scopes("", "X") == frozenset()
    assert parse_scopes("all", "X") == frozenset(Scope)
    with pytest.raises(ConfigError, match="X has the scope 'all'"):
        parse_scopes("all,rank", "X")


def test_short_secrets_are_refused_and_not_shown() -> None:
    assert parse_secrets(f"{SECRET},\n{SECRET}x ", "S") == [SECRET, f"{SECRET}x"]
    with pytest.raises(ConfigError) as refusal:
        parse_secrets(f"{SECRET},guessable", "S")
    assert str(refusal.value) == (
        "Secret 2 in S has 9 characters. Expected: at least 32. Remedy: make one with `openssl rand -hex 32`"
    )


def test_a_file_holds_the_keys_instead_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"shop rank {KEY}\n", "utf-8")
    (tmp_path / "secrets").write_text(f"{SECRET}\n", "utf-8")
    files = {"api_keys_file": str(tmp_path / "keys"), "token_secrets_file": str(tmp_path / "secrets")}
    found = read_credentials(settings_in(tmp_path, **files))
    assert found.keys.find(KEY)
    assert found.tokens.user_of(UserTokens([SECRET]).sign(7, 60)) == 7
    with pytest.raises(ConfigError, match="MOVIERANK_API_KEYS and MOVIERANK_API_KEYS_FILE are both set"):
        read_credentials(settings_in(tmp_path, api_keys=f"ops operate {OTHER}", **files))
    (tmp_path / "keys").write_text("shop rank short", "utf-8")
    with pytest.raises(ConfigError, match="Key 1 in MOVIERANK_API_KEYS_FILE is too short"):
        read_credentials(settings_in(tmp_path, **files))
    with pytest.raises(ConfigError) as refusal:
        read_credentials(settings_in(tmp_path, api_keys_file=str(tmp_path / "none")))
    assert str(refusal.value) == (
        "The file in MOVIERANK_API_KEYS_FILE cannot be read: No such file or directory. Expected: a file that"
        f" this user can read at {tmp_path}/none. Remedy: correct the path or the permissions."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_on_loopback_everything_is_open_unless_keys_say_otherwise(tmp_path: Path, host: str) -> None:
    settings = with_access(settings_in(tmp_path, open_scopes=""), host)
    assert settings.open_scopes == "all"
    assert {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host} == set(settings.hosts)
    keyed = settings_in(tmp_path, open_scopes="", api_keys=f"shop rank {KEY}", allowed_hosts="films.example")
    assert with_access(keyed, host) == keyed
    with_tokens = settings_in(tmp_path, open_scopes="", token_secrets=SECRET)
    assert with_access(with_tokens, host).open_scopes == ""
    assert with_access(settings_in(tmp_path, open_scopes="rank"), host).open_scopes == "rank"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "films.example"])
def test_elsewhere_the_service_needs_keys_or_the_word_that_it_is_open(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        with_access(settings_in(tmp_path, open_scopes=""), host)
    assert str(refusal.value) == (
        f"On {host} everybody who reaches this port could read and delete everybody's data, because the"
        " service has no keys. Expected: keys, or the statement that it is open. Remedy: set"
        " MOVIERANK_API_KEYS or MOVIERANK_API_KEYS_FILE (docs/operations.md shows the form), or"
        " MOVIERANK_OPEN_SCOPES=all, or listen on 127.0.0.1 only."
    )
    for changes in ({"api_keys": f"shop rank {KEY}"}, {"token_secrets": SECRET}, {"open_scopes": "all"}):
        settings = settings_in(tmp_path, **{"open_scopes": "", **changes})
        assert with_access(settings, host) == settings


def token_of(header: dict[str, Any], claims: dict[str, Any], secret: str = SECRET) -> str:
    """A token as another library makes it."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{head}.{encoded(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())}"


def test_a_token_of_another_library_is_verified() -> None:
    tokens = UserTokens([SECRET], clock=lambda: 1_000.0)
    assert tokens.user_of(token_of({"alg": "HS256", "typ": "JWT"}, {"sub": "42", "exp": 1_000.5})) == 42
    assert tokens.user_of(token_of({"alg": "HS256"}, {"sub": "0", "exp": 2_000, "iat": 999})) == 0
    assert tokens.user_of(tokens.sign(9_007_199_254_740_991, 1)) == 9_007_199_254_740_991


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "none"}, {"sub": "42", "exp": 2_000}),
        ({"alg": "HS512"}, {"sub": "42", "exp": 2_000}),
        ({"alg": "HS256", "crit": ["b64"]}, {"sub": "42", "exp": 2_000}),
        ({"alg": "HS256"}, {"sub": "42"}),
        ({"alg": "HS256"}, {"sub": 42, "exp": 2_000}),
        ({"alg": "HS256"}, {"sub": "042", "exp": 2_000}),
        ({"alg": "HS256"}, {"sub": "-1", "exp": 2_000}),
        ({"alg": "HS256"}, {"sub": "42\n", "exp": 2_000}),
        ({"alg": "HS256"}, {"sub": "42", "exp": "2000"}),
        ({"alg": "HS256"}, {"sub": "42", "exp": 2_000, "aud": "other"}),
        ({"alg": "HS256"}, {"sub": "42", "exp": 2_000, "nbf": 3_000}),
    ],
)
def test_a_token_that_is_not_understood_as_a_whole_is_refused(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken, match="The token is not as expected: algorithm HS256"):
        UserTokens([SECRET], clock=lambda: 1_000.0).user_of(token_of(header, claims))


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c.d", "ä.b.c", f"{'a' * 2_000}.b.c", "a.b.%%%"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        UserTokens([SECRET]).user_of(text)


def test_a_token_is_valid_until_its_end_and_not_at_it() -> None:
    now = 1_000.0
    tokens = UserTokens([SECRET], clock=lambda: now)
    signed = tokens.sign(7, 60)
    now = 1_059.9
    assert tokens.user_of(signed) == 7
    now = 1_060.0
    with pytest.raises(InvalidToken, match=r"The token has expired\."):
        tokens.user_of(signed)


def test_the_command_prints_a_token_of_the_services_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    monkeypatch.setenv("MOVIERANK_TOKEN_SECRETS", f"{SECRET},{'t' * 32}")
    printed = CliRunner().invoke(token, ["42", "--minutes", "5"])
    assert printed.exit_code == 0
    assert UserTokens([SECRET]).user_of(printed.output.strip()) == 42
    monkeypatch.delenv("MOVIERANK_TOKEN_SECRETS")
    refused = CliRunner().invoke(token, ["42"])
    assert str(refused.exception).startswith(
        "There is no secret to sign with. Expected: MOVIERANK_TOKEN_SECRETS"
    )


def test_every_changed_character_of_a_token_is_noticed() -> None:
    tokens = UserTokens([SECRET])
    text = tokens.sign(7, 60)
    for index, character in enumerate(text):
        other = "A" if character != "A" else "B"
        with pytest.raises(InvalidToken):
            tokens.user_of(text[:index] + other + text[index + 1 :])
