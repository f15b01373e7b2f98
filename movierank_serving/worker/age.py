"""Ages of the loaded parts, and the report of every part that is too old. Reads memory only."""

from datetime import datetime

from movierank_core.staleness import OldPart, age_of, old_histories, old_model
from movierank_serving.worker.loaded import LoadedHistories, LoadedModel
from movierank_serving.worker.state import WorkerState


def ages(state: WorkerState, now: datetime) -> dict[str, float]:
    """Age of the served version and of the published histories in seconds; only of loaded parts."""
    found = {}
    if (model := state.model) is not None:
        found["model"] = _version_made_at(model)
    if (histories := state.histories) is not None:
        found["histories"] = _published_at(histories)
    return {part: age_of(made_at, now).total_seconds() for part, made_at in found.items()}


def old_parts(state: WorkerState, now: datetime) -> list[OldPart]:
    """The report of each part that is older than its limit.

    Histories are reported only after the first check of the event store, which says whether they lack events.
    """
    settings = state.settings
    found: list[OldPart | None] = []
    if (model := state.model) is not None:
        found.append(old_model(model.version, _version_made_at(model), now, settings.stale_model_days))
    if (histories := state.histories) is not None and (stored := state.events_through) is not None:
        published_at, hours = _published_at(histories), settings.stale_histories_hours
        found.append(old_histories(published_at, histories.watermark, stored, now, hours))
    return [part for part in found if part is not None]


def _version_made_at(model: LoadedModel) -> datetime:
    return datetime.fromisoformat(model.recommender.manifest.created_at)


def _published_at(histories: LoadedHistories) -> datetime:
    return datetime.fromisoformat(histories.histories.manifest.created_at)
