"""How time, memory and disk of a whole training grow with the number of events.

    PYTHONPATH=. python benchmarks/scale.py [--sizes 1,3.2] [--catalogue DIR] [--folder DIR] [--json OUT.json]

Per size in millions of events, `movierank synth` writes a data set (a user per 160 events), and a new process
materialises every asset, as `movierank materialize --data-dir` does. Without `--catalogue` the films grow
with the events, from 3,706 at a million to 87,585. Per step: wall time, processor time of the process and of
its ended children, and the largest resident memory of the process tree, sampled. The exponent is the slope of
log seconds over log events: 1 is linear growth.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

PROGRAM: Final = Path(sys.executable).with_name("movierank")
EVENTS_PER_USER: Final = 160
"""About as many as in ml-32m."""
MOVIES_PER_MILLION, MAX_MOVIES = 3_706, 87_585
SAMPLE_SECONDS: Final = 0.05
DATA, ALL = "write the data", "all steps"
METRICS: Final = ("ndcg@10", "recall@100")


class Meter:
    """Wall seconds, processor seconds and peak memory of each step; a reporter of `materialize`."""

    def __init__(self, process: psutil.Process) -> None:
        """`process`: the root of the tree whose memory counts."""
        self.steps: dict[str, dict[str, float]] = {}
        self._process = process
        self._peaks: list[float] = []
        self._began: dict[str, tuple[float, float, int]] = {}

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Samples the memory of the tree in a thread."""
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def started(self, step: str) -> None:
        self._peaks.append(tree_megabytes(self._process))
        self._began[step] = time.perf_counter(), processor_seconds(), len(self._peaks) - 1

    def finished(self, step: str, seconds: float) -> None:
        wall, processor, first = self._began.pop(step)
        self._peaks.append(tree_megabytes(self._process))
        self.steps[step] = {
            "wall": time.perf_counter() - wall,
            "processor": processor_seconds() - processor,
            "peak_mb": max(self._peaks[first:]),
        }

    def progressed(self, step: str, message: str) -> None:
        pass

    def failed(self, step: str) -> None:
        raise RuntimeError(f"The step {step} failed")

    def checked(self, asset: str, check: str, passed: bool, figures: Mapping[str, object]) -> None:
        pass

    def _sample(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_SECONDS):
            self._peaks.append(tree_megabytes(self._process))


def processor_seconds() -> float:
    """Processor time of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def tree_megabytes(root: psutil.Process) -> float:
    """Resident memory of a process and its descendants, in megabytes; processes that just ended count 0."""
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def folder_megabytes(folder: Path) -> float:
    """Disk space of the files below `folder`; a file with several names counts once."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values()) / 1e6


def exponent(events: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log seconds over log events by least squares; NaN for one size or a time of 0."""
    if len(events) < 2 or min(seconds) <= 0:
        return float("nan")
    return float(np.polyfit(np.log(events), np.log(seconds), 1)[0])


def growth_text(events: Sequence[float], values: Sequence[float]) -> str:
    """The exponent as text; a dash where it is unknown."""
    found = exponent(events, values)
    return "–" if math.isnan(found) else f"{found:.2f}"


def train(data: Path, root: Path) -> dict[str, Any]:
    """The figures of one training on `data` below `root`, in this process."""
    from movierank_core.paths import Paths
    from movierank_pipeline.evaluation.stored import StoredEvaluation
    from movierank_pipeline.materialize import materialize
    from movierank_pipeline.settings import Settings

    meter = Meter(psutil.Process())
    paths = Paths.from_environment()
    with meter.sampling():
        meter.started(ALL)
        materialize(Settings.from_environment(given={"data_dir": str(data)}), paths, meter)
        meter.finished(ALL, 0)
    systems = StoredEvaluation.load(paths.assets / "evaluation").report.systems
    return {
        "steps": meter.steps,
        "disk_mb": folder_megabytes(root),
        "systems": {
            name: {metric: figures[metric].mean for metric in METRICS} for name, figures in systems.items()
        },
    }


def measure(millions: float, folder: Path, catalogue: Path | None) -> dict[str, Any]:
    """Writes a data set of this size below `folder`, trains on it in a new process, and gives the figures."""
    n_events = round(millions * 1e6)
    films = ["--movies", str(min(round(MOVIES_PER_MILLION * max(millions, 0.1)), MAX_MOVIES))]
    if catalogue is not None:
        films = ["--catalogue", str(catalogue)]
    data, root, out = folder / "data", folder / "root", folder / "out.json"
    root.mkdir(parents=True)
    users = ["--users", str(max(n_events // EVENTS_PER_USER, 1)), "--ratings", str(n_events)]
    wall, processor = time.perf_counter(), processor_seconds()
    subprocess.run([PROGRAM, "synth", data, *users, *films], check=True, stdout=subprocess.DEVNULL)
    written = {"wall": time.perf_counter() - wall, "processor": processor_seconds() - processor}
    environment = {**os.environ, "MOVIERANK_ROOT": str(root), "MOVIERANK_HOME": str(root / "home")}
    command = [sys.executable, __file__, "--train", data, "--root", root, "--json", out]
    subprocess.run(command, check=True, env=environment)
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    found["steps"] = {DATA: written, **found["steps"]}
    return {**found, "events": n_events, "data_mb": folder_megabytes(data)}


def table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Steps by sizes: wall seconds / processor seconds / peak megabytes, and the exponents of both times."""
    events = [report["events"] for report in reports]
    lines = [
        f"| step | {' | '.join(f'{n:,} events' for n in events)} | exponent: wall, processor |",
        f"|---|{'---|' * (len(events) + 1)}",
    ]
    for step in reports[-1]["steps"]:
        found = [report["steps"][step] for report in reports]
        cells = [
            f"{one['wall']:.1f} s / {one['processor']:.1f} s"
            + (f" / {one['peak_mb']:,.0f} MB" if "peak_mb" in one else "")
            for one in found
        ]
        growth = [growth_text(events, [one[kind] for one in found]) for kind in ("wall", "processor")]
        lines.append(f"| {step} | {' | '.join(cells)} | {', '.join(growth)} |")
    for name, key in (("data on disk", "data_mb"), ("results on disk", "disk_mb")):
        sizes = [report[key] for report in reports]
        cells = [f"{size:,.0f} MB" for size in sizes]
        lines.append(f"| {name} | {' | '.join(cells)} | {growth_text(events, sizes)} |")
    for system in reports[-1]["systems"]:
        cells = [
            " / ".join(f"{report['systems'][system][metric]:.3f}" for metric in METRICS) for report in reports
        ]
        lines.append(f"| {system}: {' / '.join(METRICS)} | {' | '.join(cells)} | |")
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="1,3.2", help="millions of events, ascending")
    parser.add_argument("--catalogue", type=Path, help="a folder with movies.csv: its films, at every size")
    parser.add_argument(
        "--folder", type=Path, help="where data and results stay; default: a temporary folder"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)  # The process of one training.
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.train is not None:
        arguments.json.write_text(json.dumps(train(arguments.train, arguments.root)), "utf-8")
        return
    reports = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            reports.append(measure(float(size), folder / size, arguments.catalogue))
            print(f"{size} million events: {reports[-1]['steps'][ALL]['wall']:.0f} s", file=sys.stderr)
    print(table(reports))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
