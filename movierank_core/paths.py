"""Paths of files and folders. Nothing here creates or reads a file.

`MOVIERANK_HOME` (default `<root>/.movierank`) holds the event store and files that can be made again.
`<root>/mlruns` holds the embedded MLflow store. The root is `MOVIERANK_ROOT`, else the checkout that the
packages run from, else the current folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from movierank_core.errors import ConfigError


def project_root() -> Path:
    """The absolute folder that holds `mlruns/` and, by default, `.movierank/`."""
    if configured := os.environ.get("MOVIERANK_ROOT"):
        return Path(configured).resolve()
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd().resolve()


@dataclass(frozen=True)
class Paths:
    """Folders and files of one installation; all paths are absolute."""

    root: Path
    home: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """Raises ConfigError if a file is where a folder has to be."""
        root = project_root()
        home = os.environ.get("MOVIERANK_HOME")
        paths = cls(root=root, home=Path(home).resolve() if home else root / ".movierank")
        _require_folder("MOVIERANK_ROOT", paths.root)
        _require_folder("MOVIERANK_HOME", paths.home)
        return paths

    @property
    def datasets(self) -> Path:
        """Downloaded and generated data sets, one folder each."""
        return self.home / "datasets"

    @property
    def assets(self) -> Path:
        """Stored assets: Parquet files and folders."""
        return self.home / "assets"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def histories(self) -> Path:
        """Published history snapshots and the pointer to the current one."""
        return self.home / "histories"

    @property
    def facts(self) -> Path:
        """Published facts of movies and the pointer to the current snapshot."""
        return self.home / "facts"

    @property
    def events_url(self) -> str:
        """URL of the default event store. Settings prefer `MOVIERANK_EVENTS_URL`."""
        return f"sqlite:///{self.home / 'events.db'}"

    @property
    def model_cache(self) -> Path:
        """Verified copies of model versions, served while the registry is unavailable."""
        return self.home / "model_cache"

    @property
    def mlruns(self) -> Path:
        return self.root / "mlruns"

    @property
    def tracking_uri(self) -> str:
        """URI of the embedded MLflow store. Settings prefer `MLFLOW_TRACKING_URI`."""
        return f"sqlite:///{self.mlruns / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.mlruns / "artifacts"


def _require_folder(variable: str, folder: Path) -> None:
    """`folder` may be missing, but nothing on the way to it may be a file."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(
            f"{existing} is no folder",
            expected=f"a folder, since {variable} is {folder}",
            remedy=f"set {variable} to another folder",
        )
