"""When a version or published histories count as old: one rule for the service's health and for alerts."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

if TYPE_CHECKING:  # The settings of the service import this module, and the event store imports Polars.
    from movierank_core.events.store import Watermark

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)

ModelDays = Annotated[
    float,
    Meta(
        ge=0,
        le=36_500,
        description="Maximum age of the version in production, in days, before it is reported as old; 0 for"
        " no report.",
    ),
]
HistoriesHours = Annotated[
    float,
    Meta(
        ge=0,
        le=876_000,
        description="Maximum age of the published histories, in hours, before they are reported as old if"
        " newer events wait in the event store; 0 for no report.",
    ),
]
FeedbackHours = Annotated[
    float,
    Meta(
        ge=0,
        le=876_000,
        description="Maximum time without a feedback event, in hours, before the silence is reported if"
        " there were events before; 0 for no report.",
    ),
]


class StalenessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The ages from which a part is reported as old. 0 turns a report off."""

    model_days: ModelDays = 7.0
    histories_hours: HistoriesHours = 48.0
    feedback_hours: FeedbackHours = 0.0


class OldPart(NamedTuple):
    """A part that is too old, in words."""

    title: str
    """What was found, without a full stop."""
    detail: str
    """What was expected, and what to do."""

    def __str__(self) -> str:
        return f"{self.title}. {self.detail}"


def age_of(made_at: datetime, now: datetime) -> timedelta:
    """The time from `made_at` to `now`, both aware; 0 for a moment in the future (clocks of hosts differ)."""
    return max(timedelta(), now - made_at)


def old_model(version: str, made_at: datetime, now: datetime, days: float) -> OldPart | None:
    """The report on the version that serves, made at `made_at`; None if it is not older than `days`."""
    age = age_of(made_at, now)
    if not days or age <= days * _DAY:
        return None
    return OldPart(
        f"Version {version}, which serves, was made {age / _DAY:.1f} days ago",
        f"Expected: at most {days:g} days. Remedy: see `movierank versions` for newer ones that the gate"
        " refused, and the Dagster UI for runs that failed; run `movierank materialize`.",
    )


def old_histories(
    made_at: datetime, through: "Watermark | None", stored: "Watermark", now: datetime, hours: float
) -> OldPart | None:
    """The report on histories published at `made_at`; None if they are not older than `hours`.

    They hold the events up to `through`. None as well if the event store, which is at `stored`, has nothing
    that they lack: a publication would change nothing.
    """
    age = age_of(made_at, now)
    if not hours or age <= hours * _HOUR or not _lack_events(through, stored):
        return None
    return OldPart(
        f"The published histories are {age / _HOUR:.0f} hours old and lack newer events",
        f"Expected: at most {hours:g} hours. Remedy: run `movierank materialize`, or switch on the schedule"
        " `hourly` in the Dagster UI.",
    )


def silent_feedback(last_event_at: datetime | None, now: datetime, hours: float) -> OldPart | None:
    """The report on a feedback stream; None without any event ever, or if the last is at most `hours` old."""
    if last_event_at is None or not hours:
        return None
    age = age_of(last_event_at, now)
    if age <= hours * _HOUR:
        return None
    return OldPart(
        f"No feedback event has come for {age / _HOUR:.0f} hours",
        f"Expected: one within {hours:g} hours. Remedy: check that applications reach `POST /feedback`.",
    )


def _lack_events(through: "Watermark | None", stored: "Watermark") -> bool:
    known = through.seq if through is not None and through.store_id == stored.store_id else 0
    return stored.seq > known
