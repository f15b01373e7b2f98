"""Copies the version that carries the alias from the registry to this machine.

Runs in a process of its own, started by `movierank serve`: importing MLflow takes two seconds and 190 MB, and
a registry that hangs must not block a worker. No other module of the service imports MLflow.
"""

import logging
import os
import shutil
import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from movierank_core.atomic import atomic_write
from movierank_core.background import throttled
from movierank_core.errors import BundleError, MovierankError
from movierank_core.manifest import MANIFEST
from movierank_core.mlflow_store import BUNDLE_IN_MODEL, CHALLENGER, READY, STATE_TAG, follow_move
from movierank_core.urls import without_password, without_password_of
from movierank_serving.model_sync.local_copies import (
    CopiedVersion,
    ModelCopies,
    Refusal,
    SyncStatus,
    load_bundle,
    now,
)
from movierank_serving.settings import Settings
from movierank_serving.web.logs import set_up_logs

MAX_COPIES: Final = 3
"""Maximum number of local copies; the copies in use are never deleted."""
RETRY_AFTER: Final = timedelta(minutes=5)
"""Minimum time between two attempts to load a refused version."""
MAX_REFUSALS: Final = 5
"""Maximum number of refused versions in the status."""
_ALIAS_MISSING_CODES: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Error codes with which MLflow's stores report that no version carries an alias."""
_log = logging.getLogger("movierank.sync")


class RegistryUnavailable(MovierankError):
    """The registry does not answer, or has no usable version."""


class AliasNotSet(RegistryUnavailable):
    """The registry answered that no version carries the alias."""


def sync_once(settings: Settings) -> SyncStatus:
    """Checks the registry once; copies, verifies and selects the version with the alias if it has changed.

    With `serve_challenger`, does the same for the challenger. Problems of the registry and of versions do not
    raise: they are in the status, which is also written for the workers. Raises OSError if the status cannot
    be written.
    """
    copies = ModelCopies(settings.paths.model_cache)
    refused = _refusals(copies)
    registry_error = None
    try:
        refused = _follow(settings, copies, settings.model_alias, copies.current_file, refused)
    except RegistryUnavailable as error:
        registry_error = str(error)
    if settings.serve_challenger:
        try:
            refused = _follow(settings, copies, CHALLENGER, copies.challenger_file, refused)
        except AliasNotSet:
            copies.challenger_file.unlink(missing_ok=True)
        except RegistryUnavailable as error:
            registry_error = str(error) if registry_error is None else registry_error
    status = SyncStatus(checked_at=now(), registry_error=registry_error, refused=refused[-MAX_REFUSALS:])
    copies.set_status(status)
    return status


def _follow(
    settings: Settings, copies: ModelCopies, alias: str, pointer: Path, refused: list[Refusal]
) -> list[Refusal]:
    """Makes `pointer` name the version that carries `alias`. Returns the updated list of refused versions.

    If the version is refused, the served version stays, but an old challenger is dropped, because it no
    longer carries the alias. Raises RegistryUnavailable if the registry gives no version.
    """
    version, run_id = _aliased_version(settings, alias)
    if _is_selected(copies, pointer, version, run_id) or _was_just_refused(refused, version, run_id):
        return refused
    others = [entry for entry in refused if (entry.version, entry.run_id) != (version, run_id)]
    try:
        _switch_to(settings, copies, pointer, version, run_id)
    except (BundleError, OSError) as error:
        _log.error("version refused", extra={"model_version": version, "error": str(error)})
        if pointer == copies.challenger_file:
            pointer.unlink(missing_ok=True)
        return [*others, Refusal(version=version, run_id=run_id, error=str(error), refused_at=now())]
    return others


def run_sync(settings: Settings, stop: threading.Event) -> None:
    """Checks every `registry_poll_seconds` until `stop` is set or the parent process has ended."""
    parent = os.getppid()
    last_error: str | None = None
    while not stop.is_set() and os.getppid() == parent:
        try:
            error = sync_once(settings).registry_error
        except OSError as failure:  # A full disk, for example: the status cannot be written, so log it.
            error = f"The model copies cannot be written: {failure}"
        if error != last_error:
            _log.warning("registry", extra={"error": error or "available again"})
            last_error = error
        stop.wait(settings.registry_poll_seconds)


def main() -> None:
    """The process that `movierank serve` starts beside its workers."""
    stop = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stop.set())
    set_up_logs()
    run_sync(Settings.from_environment(), stop)


def _refusals(copies: ModelCopies) -> list[Refusal]:
    try:
        status = copies.status()
    except BundleError:
        return []  # The file is damaged and is about to be replaced.
    return [] if status is None else status.refused


def _named(copies: ModelCopies, pointer: Path) -> CopiedVersion | None:
    """The version that `pointer` names; None if the file is missing, or damaged and about to be replaced."""
    try:
        return copies.read(pointer)
    except BundleError:
        return None


def _is_selected(copies: ModelCopies, pointer: Path, version: str, run_id: str) -> bool:
    named = _named(copies, pointer)
    return (
        named is not None
        and (named.version, named.run_id) == (version, run_id)
        and (copies.folder_of(named) / MANIFEST).is_file()
    )


def _was_just_refused(refused: list[Refusal], version: str, run_id: str) -> bool:
    return any(
        (entry.version, entry.run_id) == (version, run_id)
        and datetime.now(UTC) - datetime.fromisoformat(entry.refused_at) < RETRY_AFTER
        for entry in refused
    )


def _switch_to(settings: Settings, copies: ModelCopies, pointer: Path, version: str, run_id: str) -> None:
    """Downloads and verifies a version unless a usable copy exists, then makes `pointer` name it.

    Raises BundleError if the version is unusable, RegistryUnavailable if it cannot be downloaded.
    """
    folder = copies.versions / f"{version}-{run_id[:8]}"
    with _throttled_if_serving(copies):
        is_usable = _is_usable(folder)
    if not is_usable:
        with atomic_write(folder) as written:
            bundle = _download(settings, version, written.parent)
            with _throttled_if_serving(copies):
                load_bundle(bundle)
            bundle.rename(written)
    named = CopiedVersion(version=version, run_id=run_id, folder=folder.name, aliased_at=now())
    copies.write(pointer, named)
    _log.info("version ready", extra={"model_version": version})
    _delete_old(copies)


def _is_usable(folder: Path) -> bool:
    """Whether an earlier copy exists and passes verification."""
    if not folder.is_dir():
        return False
    try:
        load_bundle(folder)
    except BundleError:
        return False
    os.utime(folder)
    return True


def _throttled_if_serving(copies: ModelCopies) -> AbstractContextManager[None]:
    """Throttles verification while a version is being served."""
    return nullcontext() if _named(copies, copies.current_file) is None else throttled()


def _delete_old(copies: ModelCopies) -> None:
    """Deletes the oldest copies beyond MAX_COPIES, except those in use."""
    in_use = [_named(copies, pointer) for pointer in (copies.current_file, copies.challenger_file)]
    keep = {named.folder for named in in_use if named is not None}
    folders = [path for path in copies.versions.iterdir() if path.is_dir() and not path.name.startswith(".")]
    folders.sort(key=lambda path: (path.name in keep, path.stat().st_mtime))
    for path in folders[:-MAX_COPIES]:
        shutil.rmtree(path, ignore_errors=True)


def _aliased_version(settings: Settings, alias: str) -> tuple[str, str]:
    """(version number, run id) of the version that carries the alias. Raises RegistryUnavailable."""
    client, errors = _client(settings)
    try:
        entry = client.get_model_version_by_alias(settings.model_name, alias)
    except errors as error:
        kind = (
            AliasNotSet if getattr(error, "error_code", "") in _ALIAS_MISSING_CODES else RegistryUnavailable
        )
        raise _unavailable(settings, alias, error, kind) from error
    if entry.tags.get(STATE_TAG) not in (None, READY):
        raise RegistryUnavailable(
            f"Version {entry.version} of {settings.model_name} is unfinished",
            remedy="choose another with `movierank promote`",
        )
    return str(entry.version), str(entry.run_id or "")


def _download(settings: Settings, version: str, folder: Path) -> Path:
    """Downloads a version to `folder`. Returns the folder of its bundle, which is `folder` or below it.

    Raises RegistryUnavailable, or BundleError if the version has no bundle.
    """
    _, errors = _client(settings)
    import mlflow

    if settings.tracking_uri == settings.paths.tracking_uri:
        follow_move(settings.paths)
    try:
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{settings.model_name}/{version}",
            dst_path=str(folder),
            tracking_uri=settings.tracking_uri,
            registry_uri=settings.tracking_uri,
        )
    except errors as error:
        raise _unavailable(settings, version, error) from error
    if (folder / BUNDLE_IN_MODEL / MANIFEST).is_file():
        return folder / BUNDLE_IN_MODEL
    manifests = sorted(folder.rglob(MANIFEST), key=lambda path: len(path.parts))
    if not manifests:
        raise BundleError(
            f"Version {version} of {settings.model_name} contains no {MANIFEST}",
            expected="a model logged by `movierank materialize`",
            remedy="promote another version",
        )
    return manifests[0].parent


def _client(settings: Settings) -> tuple[Any, tuple[type[Exception], ...]]:
    """A registry client, and the exceptions that it raises if the registry is unavailable."""
    database = settings.tracking_uri.removeprefix("sqlite:///")
    if database != settings.tracking_uri and not Path(database).is_file():
        # MLflow would create the file and run all its migrations.
        raise RegistryUnavailable(
            f"There is no registry at {database} yet", remedy="run `movierank materialize`"
        )
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    import mlflow
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    client = mlflow.MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.tracking_uri)
    return client, (MlflowException, RequestException, SQLAlchemyError, OSError)


def _unavailable(
    settings: Settings,
    wanted: str,
    error: Exception,
    kind: type[RegistryUnavailable] = RegistryUnavailable,
) -> RegistryUnavailable:
    text = without_password_of(settings.tracking_uri, " ".join(str(error).split()))[:400]
    address = without_password(settings.tracking_uri)
    return kind(
        f"No version {settings.model_name}@{wanted} from the registry {address}: {text}",
        remedy="run `movierank materialize` if there is none yet; else check MLFLOW_TRACKING_URI",
    )


if __name__ == "__main__":
    main()
