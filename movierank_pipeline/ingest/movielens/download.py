"""Downloads a MovieLens edition from GroupLens, checks the published md5 and extracts it.

A data set folder appears only when it is complete. An interrupted download stays in `.downloads` and resumes.
"""

import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import requests
import urllib3

from movierank_core.atomic import atomic_write
from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.archive import disk_errors, extract_safely
from movierank_pipeline.ingest.movielens.byte_progress import ByteProgress
from movierank_pipeline.ingest.movielens.editions import KNOWN_EDITIONS, find_edition

URL_VARIABLE: Final = "MOVIERANK_GROUPLENS_URL"
_DEFAULT_URL: Final = "https://files.grouplens.org/datasets/movielens"

_TIMEOUTS: Final = (5.0, 30.0)
"""Maximum seconds to connect, and between two parts of the body."""
_CHUNK_BYTES: Final = 2**18
_BY_HAND: Final = "or fetch and extract it yourself and give its folder with `--data-dir`"


@dataclass(frozen=True)
class RetryPolicy:
    """Number of retries and the pauses between them."""

    attempts: int = 5
    """Maximum consecutive attempts without new data; new data resets the count."""
    first_pause_seconds: float = 0.5
    """Pause after the first failure, in seconds; doubled after each failure, up to ten seconds."""


def grouplens_url(base_url: str | None = None) -> str:
    """Base URL of the archives: the argument, else `MOVIERANK_GROUPLENS_URL`, else GroupLens."""
    return (base_url or os.environ.get(URL_VARIABLE) or _DEFAULT_URL).rstrip("/")


def is_grouplens_reachable(timeout: float = 3.0, base_url: str | None = None) -> bool:
    """Whether GroupLens answers within `timeout` seconds, including the DNS look-up."""
    url = f"{grouplens_url(base_url)}/ml-latest-small.zip.md5"
    answers: list[bool] = []

    def ask() -> None:
        try:
            answers.append(requests.head(url, timeout=timeout, allow_redirects=True).ok)
        except requests.RequestException:
            answers.append(False)

    # The time-outs of requests do not cover DNS; waiting for a daemon thread does.
    thread = threading.Thread(target=ask, name="grouplens-reachable", daemon=True)
    thread.start()
    thread.join(timeout)
    return answers == [True]


def fetch_dataset(
    name: str,
    folder: Path,
    *,
    base_url: str | None = None,
    progress: ByteProgress | None = None,
    retries: RetryPolicy = RetryPolicy(),  # Frozen.
) -> Path:
    """Downloads edition `name` to `folder/name` unless it exists; returns that folder.

    Raises `DataError` for an unknown name, a server that cannot be reached or fails too often, a wrong md5
    checksum, and a damaged or unsafe archive.
    """
    if name not in KNOWN_EDITIONS:
        raise DataError(f"There is no data set {name!r}", expected=f"one of {', '.join(KNOWN_EDITIONS)}")
    target = folder / name
    if target.exists():
        find_edition(target)
        return target
    staging = folder / ".downloads"
    with disk_errors(folder):
        staging.mkdir(parents=True, exist_ok=True)
        archive = staging / f"{name}.zip"
        with requests.Session() as session:
            url = f"{grouplens_url(base_url)}/{name}.zip"
            download(session, url, archive, _published_md5(session, url, retries), progress, retries)
        with atomic_write(target) as written:
            extracted = written.with_name("extracted")
            try:
                extract_safely(archive, extracted, progress)
            finally:
                archive.unlink()
            find_edition(extracted).folder.rename(written)
    return target


def _published_md5(session: requests.Session, url: str, retries: RetryPolicy) -> str:
    failures = _Failures(url + ".md5", retries)
    while True:
        try:
            response = session.get(url + ".md5", timeout=_TIMEOUTS)
        except requests.RequestException as error:
            failures.count(_reason(error))
            continue
        if response.status_code >= 500:
            failures.count(f"status {response.status_code}")
            continue
        _check_status(response, url + ".md5")
        if named := re.search(r"\b[0-9a-fA-F]{32}\b", response.text):
            return named[0].lower()
        raise DataError(
            f"{url}.md5 holds no md5 checksum",
            expected="32 hexadecimal digits",
            remedy=f"try later, {_BY_HAND}",
        )


class _Beginning(msgspec.Struct, frozen=True):
    """Identity of a partly downloaded file: its checksum and HTTP validator."""

    md5: str
    validator: str | None
    """A strong ETag or a Last-Modified date; None if the server sent neither."""


def download(
    session: requests.Session,
    url: str,
    target: Path,
    md5: str,
    progress: ByteProgress | None = None,
    retries: RetryPolicy = RetryPolicy(),  # Frozen.
) -> None:
    """Downloads `url` to `target`, which appears only when it is complete and has this md5 checksum.

    Resumes from `<target>.part` if an earlier attempt with the same checksum left one.
    """
    if target.exists() and _md5_of(target) == md5:
        return
    part = target.with_name(target.name + ".part")
    was_resumed = _receive_all(session, url, part, md5, progress, retries)
    found = _md5_of(part)
    if found != md5 and was_resumed:  # The earlier part may be damaged: download everything once more.
        _forget(part)
        _receive_all(session, url, part, md5, progress, retries)
        found = _md5_of(part)
    if found != md5:
        _forget(part)
        raise DataError(
            f"{url} came with the md5 checksum {found}",
            expected=f"{md5}, as published beside it",
            remedy=f"run the same command again, {_BY_HAND}",
        )
    os.replace(part, target)
    _forget(part)


def _receive_all(
    session: requests.Session,
    url: str,
    part: Path,
    md5: str,
    progress: ByteProgress | None,
    retries: RetryPolicy,
) -> bool:
    """Downloads until `part` is complete; returns whether it resumed. Keeps the part if it gives up."""
    if _beginning_of(part).md5 != md5:
        _forget(part)
    had = _size_of(part)
    failures = _Failures(url, retries)
    while True:
        before = _size_of(part)
        try:
            if _receive(session, url, part, md5, progress):
                return had > 0
            reason = "it broke off"
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = _reason(error)
        if _size_of(part) > before:
            failures.forget()
        failures.count(reason, _size_of(part))


def _receive(
    session: requests.Session, url: str, part: Path, md5: str, progress: ByteProgress | None
) -> bool:
    """One range request from the end of `part`; returns whether the body is now complete.

    If the server does not support ranges or its file changed, it sends the whole body and `part` restarts.
    """
    offset = _size_of(part)
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator := _beginning_of(part).validator:
            headers["If-Range"] = validator
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUTS) as response:
        if response.status_code >= 500:
            raise requests.HTTPError(f"status {response.status_code}")
        if response.status_code == 416:  # Range beyond the end: the part is complete, or of another file.
            is_whole = response.headers.get("Content-Range") == f"bytes */{offset}"
            if not is_whole:
                _forget(part)
            return is_whole
        _check_status(response, url)
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        if response.status_code == 206:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != offset:
                _forget(part)
                return False
            total = int(span[2])
        else:
            offset = 0
            _note_beginning(part, md5, response)
        with part.open("ab" if offset else "wb") as file:
            done = offset
            # Not `iter_content`: it discards the received part of a chunk when the connection breaks.
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(f"downloading {url.rsplit('/', 1)[-1]}", done, total)
    return total is None or done >= total


class _Failures:
    """Counts consecutive failures, waits after each, and raises `DataError` after too many."""

    def __init__(self, url: str, retries: RetryPolicy) -> None:
        self._url, self._retries, self._n = url, retries, 0

    def forget(self) -> None:
        self._n = 0

    def count(self, reason: str, n_bytes_kept: int = 0) -> None:
        self._n += 1
        if self._n >= self._retries.attempts:
            kept = f"; {n_bytes_kept:,} bytes of it are kept" if n_bytes_kept else ""
            again = "run the same command again to go on from there" if n_bytes_kept else "check the network"
            raise DataError(
                f"{self._url} cannot be downloaded after {self._n} attempts ({reason}){kept}",
                remedy=f"{again}, {_BY_HAND}",
            )
        time.sleep(min(10.0, self._retries.first_pause_seconds * 2 ** (self._n - 1)))


def _check_status(response: requests.Response, url: str) -> None:
    if not response.ok:
        raise DataError(
            f"{url} answers with status {response.status_code}",
            expected="status 200",
            remedy=f"check {URL_VARIABLE} if you have set it, {_BY_HAND}",
        )


def _reason(error: requests.RequestException | urllib3.exceptions.HTTPError) -> str:
    match error:
        case requests.Timeout() | urllib3.exceptions.TimeoutError():
            return "no answer in time"
        case requests.HTTPError():
            return str(error)
        case urllib3.exceptions.HTTPError():
            return "it broke off"
        case requests.ConnectionError():
            return "no connection"
        case _:
            return type(error).__name__


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _beginning_of(part: Path) -> _Beginning:
    try:
        return msgspec.json.decode(_note_of(part).read_bytes(), type=_Beginning)
    except (OSError, msgspec.DecodeError):
        return _Beginning("", None)


def _note_beginning(part: Path, md5: str, response: requests.Response) -> None:
    tag = response.headers.get("ETag", "")
    validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    part.unlink(missing_ok=True)  # The note must not describe older bytes.
    _note_of(part).write_bytes(msgspec.json.encode(_Beginning(md5, validator)))


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
