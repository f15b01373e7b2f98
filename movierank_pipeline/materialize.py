"""Runs the asset graph in this process and records the run in the history of the Dagster UI."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import dagster as dg

from movierank_core.errors import ConfigError, MovierankError
from movierank_core.paths import Paths
from movierank_pipeline.alerts import alert_url
from movierank_pipeline.definitions import build_defs
from movierank_pipeline.defs.alerts import ALERTED_BY_TAG, BY_PROCESS, alert_about_run, alerting_of_plan
from movierank_pipeline.defs.one_run import require_no_other_run, run_lock
from movierank_pipeline.defs.provenance import plan
from movierank_pipeline.settings import Settings

_QUIET_YAML = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
_DAGSTER_YAML = f"""\
{_QUIET_YAML}# Two runs at once would mix their files.
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  max_runtime_seconds: 43200
retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days: {{skipped: 7, failure: 30, success: 30}}
"""
_IN_PROCESS_YAML = f"""\
{_QUIET_YAML}# The default captures the standard streams, which hides the terminal from progress displays.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
_IN_PROCESS_FILE = "in_process.yaml"
_log: Final = logging.getLogger("movierank.alerts")


REFUSAL: Final = "promotion: accepted"
"""The check, as in `Outcome.failed_checks`, that fails where the gate refused a version."""


class Reporter(Protocol):
    """Receives the progress of a run."""

    def started(self, step: str) -> None: ...
    def progressed(self, step: str, message: str) -> None: ...
    def finished(self, step: str, seconds: float) -> None: ...
    def failed(self, step: str) -> None: ...
    def checked(self, asset: str, check: str, passed: bool, figures: Mapping[str, object]) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    made: list[str]
    reused: list[str]
    """Assets that were fresh or not selected."""
    run_id: str | None
    """Id of the Dagster run; None where no asset was stale."""
    failed_checks: list[str] = field(default_factory=list)
    """Failed checks as `asset: check`, warnings included."""


class CheckFailedError(MovierankError):
    """A blocking asset check stopped the run."""


def prepare_dagster_home(paths: Paths) -> Path:
    """`DAGSTER_HOME` if set, else our own folder, created with telemetry and greetings off."""
    if configured := os.environ.get("DAGSTER_HOME"):
        return Path(configured)
    home = paths.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    for name, content in (("dagster.yaml", _DAGSTER_YAML), (_IN_PROCESS_FILE, _IN_PROCESS_YAML)):
        file = home / name
        # A file that an older version wrote is renewed; one that somebody changed stays.
        if not file.is_file() or file.read_text("utf-8") == _QUIET_YAML:
            file.write_text(content, "utf-8")
    return home


@contextmanager
def dagster_instance(paths: Paths, *, with_logs: bool = False) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance whose history the UI shows.

    Only `with_logs` it knows the standard streams that Dagster has captured, and captures those of a run.
    """
    home = prepare_dagster_home(paths)
    is_ours = (home / _IN_PROCESS_FILE).is_file()
    file = _IN_PROCESS_FILE if is_ours and not with_logs else "dagster.yaml"
    with dg.DagsterInstance.from_config(str(home), file) as instance:
        yield instance


def materialize(
    settings: Settings,
    paths: Paths,
    reporter: Reporter,
    *,
    select: str | None = None,
    everything: bool = False,
    min_new_events: int = 1,
) -> Outcome:
    """Materialises the stale assets, or all with `everything`, or a Dagster selection such as `ranker+`.

    Raises the exception of a failed asset, CheckFailedError where a blocking check failed, and ConfigError
    for a `select` that is no selection. See `plan` for `min_new_events`. Raises BusyError, and makes nothing,
    while another run in this root is in progress.
    """
    with run_lock(paths):
        return _materialize(settings, paths, reporter, select, everything, min_new_events)


def _materialize(
    settings: Settings,
    paths: Paths,
    reporter: Reporter,
    select: str | None,
    everything: bool,
    min_new_events: int,
) -> Outcome:
    failed: list[str] = []
    blocked: list[str] = []
    definitions = build_defs({"settings": settings}, {"console": _logger(reporter, failed, blocked)})
    with dagster_instance(paths) as instance:
        require_no_other_run(instance, paths)
        graph = definitions.resolve_asset_graph()
        names = [key.to_user_string() for key in graph.toposorted_asset_keys]
        if select is not None:
            wanted = _selected(select, definitions)
        elif everything:
            wanted = names
        else:
            with alerting_of_plan("`movierank materialize`", alert_url(), settings.dagster_url):
                wanted = plan(graph, settings, paths, instance, min_new_events=min_new_events).stale
        reused = [name for name in names if name not in wanted]
        if not wanted:
            return Outcome([], reused, None)
        job = definitions.resolve_implicit_global_asset_job_def()
        run_id, url = str(uuid4()), alert_url()
        try:
            job.execute_in_process(
                run_config={"loggers": {"console": {}}},
                instance=instance,
                asset_selection=[dg.AssetKey(name) for name in wanted],
                run_id=run_id,
                tags={ALERTED_BY_TAG: BY_PROCESS} if url else {},
            )
        except dg.DagsterError as error:
            if not blocked:
                raise
            raise CheckFailedError(
                f"The run was stopped by the check {', '.join(blocked)}",
                remedy="look at its figures above or in the Dagster UI (`movierank dagster`)",
            ) from error
        finally:
            _alert(instance, run_id, url, settings.dagster_url)
    return Outcome(wanted, reused, run_id, failed)


def _alert(instance: dg.DagsterInstance, run_id: str, url: str, dagster_url: str) -> None:
    """Sends an alert if the run failed or a check in it did. An error on the way is logged."""
    try:
        if url and (run := instance.get_run_by_id(run_id)) is not None:
            alert_about_run(instance, run, url, dagster_url)
    except Exception:  # It must not replace the error of the run.
        _log.exception("no alert about the run %s", run_id)


def _selected(select: str, definitions: dg.Definitions) -> list[str]:
    graph = definitions.resolve_asset_graph()
    try:
        keys = dg.AssetSelection.from_string(select).resolve(graph)
    except dg.DagsterError as error:
        raise ConfigError(
            f"{select!r} selects no assets: {error}",
            expected="a Dagster selection, such as `ranker` or `key:ranker+`",
        ) from error
    # Assets of one step are materialised together.
    together = {other for key in keys for other in graph.get(key).execution_set_asset_keys}
    return [key.to_user_string() for key in graph.toposorted_asset_keys if key in keys | together]


def _logger(reporter: Reporter, failed: list[str], blocked: list[str]) -> dg.LoggerDefinition:
    """A Dagster console logger that passes the start, end, checks and messages of steps to `reporter`."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            event: dg.DagsterEvent | None = record.__dict__.get("dagster_event")
            if event is not None:
                _pass_on(event, reporter, failed, blocked)
            elif record.levelno >= logging.INFO:
                meta = record.__dict__["dagster_meta"]
                reporter.progressed(str(meta["op_name"]), str(meta["orig_message"]))

    @dg.logger
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("movierank.run", logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return console


def _pass_on(event: dg.DagsterEvent, reporter: Reporter, failed: list[str], blocked: list[str]) -> None:
    match event.event_type:
        case dg.DagsterEventType.STEP_START:
            reporter.started(str(event.step_key))
        case dg.DagsterEventType.STEP_SUCCESS:
            reporter.finished(str(event.step_key), event.step_success_data.duration_ms / 1000)
        case dg.DagsterEventType.STEP_FAILURE:
            reporter.failed(str(event.step_key))
        case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            asset = evaluation.asset_key.to_user_string()
            if not evaluation.passed:
                failed.append(f"{asset}: {evaluation.check_name}")
                if evaluation.blocking and evaluation.severity == dg.AssetCheckSeverity.ERROR:
                    blocked.append(failed[-1])
            figures = {name: value.value for name, value in evaluation.metadata.items()}
            reporter.checked(asset, evaluation.check_name, evaluation.passed, figures)
