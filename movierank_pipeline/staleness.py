"""Looks at production, the published histories and the feedback, and reports the parts that are too old."""

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Final

from movierank_core.data.history_snapshot import open_histories
from movierank_core.data.snapshot import CURRENT
from movierank_core.events.store import Watermark, open_event_store
from movierank_core.mlflow_store import PRODUCTION, is_embedded
from movierank_core.paths import Paths
from movierank_core.staleness import OldPart, StalenessLimits, old_histories, old_model, silent_feedback
from movierank_pipeline.release.mlflow_client import connect
from movierank_pipeline.release.registry import Registry

MODEL: Final = "stale_model"
HISTORIES: Final = "stale_histories"
FEEDBACK: Final = "stale_feedback"
_log = logging.getLogger("movierank.alerts")


def old_parts(
    paths: Paths, events_url: str, limits: StalenessLimits, now: datetime
) -> dict[str, OldPart | None]:
    """The report of each part by its kind; None for a part that is not too old, or not there yet.

    A part that cannot be looked at, because the registry or the event store is unavailable, is missing and
    logged: whether it is too old is then unknown.
    """
    looks: dict[str, Callable[[], OldPart | None]] = {
        MODEL: partial(_model, paths, limits, now),
        HISTORIES: partial(_histories, paths, events_url, limits, now),
        FEEDBACK: partial(_feedback, events_url, limits, now),
    }
    found: dict[str, OldPart | None] = {}
    for kind, look in looks.items():
        try:
            found[kind] = look()
        except Exception as error:  # One unavailable part must not hide another one that is too old.
            _log.warning("%s cannot be checked: %s: %s", kind, type(error).__name__, error)
    return found


def _model(paths: Paths, limits: StalenessLimits, now: datetime) -> OldPart | None:
    is_missing = is_embedded(paths) and not (paths.mlruns / "mlflow.db").is_file()
    if not limits.model_days or is_missing:  # To connect would create an embedded store.
        return None
    production = Registry(connect(paths)).by_alias(PRODUCTION)
    if production is None:
        return None
    return old_model(str(production.number), production.created_at, now, limits.model_days)


def _histories(paths: Paths, events_url: str, limits: StalenessLimits, now: datetime) -> OldPart | None:
    if not limits.histories_hours or not (paths.histories / CURRENT).is_file():
        return None
    manifest = open_histories(paths.histories).manifest
    with closing(open_event_store(events_url)) as store:
        stored = store.watermark()
    return old_histories(
        datetime.fromisoformat(manifest.created_at),
        Watermark.parse(manifest.feedback_through),
        stored,
        now,
        limits.histories_hours,
    )


def _feedback(events_url: str, limits: StalenessLimits, now: datetime) -> OldPart | None:
    if not limits.feedback_hours:
        return None
    with closing(open_event_store(events_url)) as store:
        return silent_feedback(store.last_event_at(), now, limits.feedback_hours)
