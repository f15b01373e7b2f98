"""Where things lie on disk. Nothing here creates or reads a file.

`MOVIERANK_HOME` (default `<root>/.movierank`) holds everything that can be made again, the event store
excepted; `<root>/mlruns` holds the embedded MLflow store. The root is the checkout when the packages
run from one, else the current folder; `MOVIERANK_ROOT` wins over both.
"""

import os
from dataclasses import dataclass
from pathlib import Path


def project_root() -> Path:
    """The absolute folder that holds `mlruns/` and, unless told otherwise, `.movierank/`."""
    if configured := os.environ.get("MOVIERANK_ROOT"):
        return Path(configured).resolve()
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd().resolve()


@dataclass(frozen=True)
class Paths:
    """The folders and files under one home; all absolute."""

    root: Path
    home: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        root = project_root()
        home = os.environ.get("MOVIERANK_HOME")
        return cls(root=root, home=Path(home).resolve() if home else root / ".movierank")

    @property
    def datasets(self) -> Path:
        """Downloaded and generated rating sets, a folder each."""
        return self.home / "datasets"

    @property
    def assets(self) -> Path:
        """What Dagster's assets wrote: Parquet files and folders."""
        return self.home / "assets"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def histories(self) -> Path:
        """Published history snapshots and the pointer to the current one."""
        return self.home / "histories"

    @property
    def events_url(self) -> str:
        """The default event store; `MOVIERANK_EVENTS_URL` wins where settings are read."""
        return f"sqlite:///{self.home / 'events.db'}"

    @property
    def model_cache(self) -> Path:
        """Verified copies of model versions, kept for when the registry is away."""
        return self.home / "model_cache"

    @property
    def mlruns(self) -> Path:
        return self.root / "mlruns"

    @property
    def tracking_uri(self) -> str:
        """The embedded MLflow store; `MLFLOW_TRACKING_URI` wins where settings are read."""
        return f"sqlite:///{self.mlruns / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.mlruns / "artifacts"
