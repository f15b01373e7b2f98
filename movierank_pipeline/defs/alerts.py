"""Alerts from Dagster: failed runs and checks, schedules that raise, and parts that are too old."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import msgspec
from dagster import DagsterEventType

from movierank_core.paths import Paths
from movierank_pipeline.alerts import Alert, post_alert
from movierank_pipeline.settings import Settings, events_url
from movierank_pipeline.staleness import old_parts

ALERTED_BY_TAG: Final = "movierank/alerted_by"
"""Tag of a run of `movierank materialize` with the sender of its alerts."""
BY_PROCESS: Final = "process"
"""The process of the run sends them itself, so that a night may be a cron job. The sensors leave it alone."""
BY_SENSOR: Final = "sensor"
"""The sensors send them, because the process was killed."""
STALENESS_SECONDS: Final = 600
"""Time between two looks at the age of production, histories and feedback, in seconds."""
_MAX_CHARACTERS: Final = 500
"""Maximum length of an error in an alert."""
_ASSET_JOB: Final = "__ASSET_JOB"
"""Dagster's name for a run of chosen assets without a job of its own."""
_REPORTED: Final = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.RUN_FAILURE,
}


@dataclass(frozen=True)
class RunReport:
    """What went wrong in a run."""

    step: str | None
    """The step that failed first; None without one, for example where the process was killed."""
    error: str
    """First line of its error; empty for a run that succeeded."""
    failed_checks: dict[str, str]
    """Failed checks that are errors, as `asset: check`, with their description; warnings are left out."""


def report_of(instance: dg.DagsterInstance, run_id: str) -> RunReport:
    """The report of a run that has ended."""
    step, error, checks = None, "", {}
    for entry in instance.all_logs(run_id, of_type=_REPORTED):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
                name = f"{found.asset_key.to_user_string()}: {found.check_name}"
                checks[name] = found.description or ""
        elif event.event_type is DagsterEventType.STEP_FAILURE and step is None:
            cause = event.step_failure_data.error
            while cause is not None and cause.cause is not None and cause.message.startswith("dagster."):
                cause = cause.cause  # Dagster's wrapper around the error of the step.
            step = str(event.step_key)
            error = shown_error("" if cause is None else cause.message)
        elif event.event_type is DagsterEventType.RUN_FAILURE and step is None:
            error = shown_error(event.message or "")
    return RunReport(step, error, checks)


def shown_error(message: str) -> str:
    """The first line of an error as an alert shows it: without values of data, credentials and query strings.

    Errors about a data set quote its lines in back quotes, and a line is about a person. After "Expected:"
    and "Remedy:" come our own words.
    """
    line = next(iter(message.strip().splitlines()), "")
    line = re.sub(r"^(?:\w+\.)+(?=\w+(?::|$))", "", line)
    marks = [line.find(mark) for mark in (" Expected: ", " Remedy: ") if mark in line]
    end = min(marks, default=len(line))
    line = re.sub(r"`[^`]*`?", "`…`", line[:end]) + line[end:]
    line = re.sub(r"(\w+://)[^\s/@]+@", r"\1…@", line)
    line = re.sub(r"(\w+://[^\s?]+)\?\S+", r"\1?…", line)
    return line if len(line) <= _MAX_CHARACTERS else f"{line[: _MAX_CHARACTERS - 1]}…"


def alert_about_run(
    instance: dg.DagsterInstance, run: dg.DagsterRun, url: str, dagster_url: str
) -> Alert | None:
    """Sends and returns the alert about a run that has ended; None if nothing in it went wrong."""
    if not url:
        return None
    report = report_of(instance, run.run_id)
    has_failed = run.status is dg.DagsterRunStatus.FAILURE
    if not has_failed and not report.failed_checks:
        return None
    job = "assets" if run.job_name == _ASSET_JOB else run.job_name
    checks = [f"Check {name} failed. {why}".strip() for name, why in report.failed_checks.items()]
    where = "" if report.step is None else f" in the step {report.step}"
    alert = Alert(
        kind="run_failed" if has_failed else "check_failed",
        title=f"The run of {job} failed{where}"
        if has_failed
        else f"The run of {job} ended with failed checks: {', '.join(report.failed_checks)}",
        detail="\n".join(line for line in (report.error, *checks) if line),
        run_id=run.run_id,
        dagster_url=f"{dagster_url.rstrip('/')}/runs/{run.run_id}",
    )
    post_alert(url, alert)
    return alert


@contextmanager
def alerting_of_plan(who: str, url: str, dagster_url: str) -> Iterator[None]:
    """Sends an alert if the block, which decides what to run, raises: no run begins, so none can fail."""
    try:
        yield
    except Exception as error:
        alert = Alert(
            kind="plan_failed",
            title=f"{who} could not decide what to run, and ran nothing",
            detail=shown_error(f"{type(error).__name__}: {error}"),
            dagster_url=dagster_url,
        )
        post_alert(url, alert)
        raise


def alert_sensors(url: str) -> list[dg.SensorDefinition]:
    """The sensors that send alerts to `url`. They run from the start with a `url`, and are off without one.

    A sensor that is off costs nothing, and the Dagster UI shows that nothing is sent.
    """
    status = dg.DefaultSensorStatus.RUNNING if url else dg.DefaultSensorStatus.STOPPED

    # Runs of `movierank materialize` come from no code location.
    @dg.run_failure_sensor(
        name="alert_run_failed",
        monitor_all_code_locations=True,
        default_status=status,
        description="Alerts of each failed run, with its step, error and failed checks.",
    )
    def alert_run_failed(context: dg.RunFailureSensorContext, settings: Settings) -> None:
        _alert_unless_own(context, url, settings)

    @dg.run_status_sensor(
        name="alert_check_failed",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitor_all_code_locations=True,
        default_status=status,
        description="Alerts of each finished run in which a check failed, such as that of a refused version.",
    )
    def alert_check_failed(context: dg.RunStatusSensorContext, settings: Settings) -> None:
        _alert_unless_own(context, url, settings)

    @dg.sensor(
        name="alert_stale",
        minimum_interval_seconds=STALENESS_SECONDS,
        default_status=status,
        description="Alerts when production, the published histories or the feedback get too old, and when"
        " that is over.",
    )
    def alert_stale(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult:
        if not url:
            return dg.SensorResult(skip_reason="MOVIERANK_ALERT_URL is not set.")
        return look_for_old_parts(context.cursor, url, settings, datetime.now(UTC))

    return [alert_run_failed, alert_check_failed, alert_stale]


def _alert_unless_own(context: dg.RunStatusSensorContext, url: str, settings: Settings) -> None:
    if context.dagster_run.tags.get(ALERTED_BY_TAG) != BY_PROCESS:
        alert_about_run(context.instance, context.dagster_run, url, settings.dagster_url)


def look_for_old_parts(cursor: str | None, url: str, settings: Settings, now: datetime) -> dg.SensorResult:
    """Sends one alert for each part that has become too old or is not any more, by the cursor.

    The cursor has the title of each part's open alert by kind. An alert that was not delivered changes
    nothing in it, so the next evaluation tries again.
    """
    was_open = msgspec.json.decode(cursor, type=dict[str, str]) if cursor else {}
    is_open, sent = dict(was_open), []
    paths = Paths.from_environment()
    for kind, part in old_parts(paths, events_url(paths), settings.staleness_limits, now).items():
        if (part is not None) == (kind in was_open):
            continue
        alert = (
            Alert(kind=kind, title=part.title, detail=part.detail, dagster_url=settings.dagster_url)
            if part is not None
            else Alert(
                kind=f"{kind}_over",
                title=f"Over: {was_open[kind]}",
                detail="It is within its limit again.",
                dagster_url=settings.dagster_url,
            )
        )
        if not post_alert(url, alert):
            break  # Each attempt takes time, and Dagster ends a sensor after a minute.
        if part is None:
            del is_open[kind]
        else:
            is_open[kind] = part.title
        sent.append(alert.kind)
    said = f"sent {', '.join(sent)}" if sent else "no change"
    return dg.SensorResult(
        skip_reason=f"{said}; open: {', '.join(is_open) or 'none'}",
        cursor=msgspec.json.encode(is_open).decode(),
    )
