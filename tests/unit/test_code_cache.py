"""Machine code belongs to the code of the whole package."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from movierank_core.kernels.code_cache import KEPT_SECONDS, OURS, PREFIX, VARIABLE, choose_code_cache

INNER = "from numba import njit\n\n\n@njit(cache=True)\ndef inner(x):\n    return x + {added}\n"
OUTER = (
    "from numba import njit\n\nfrom toy.inner import inner\n\n\n"
    "@njit(cache=True)\ndef outer(x):\n    return inner(x)\n"
)
CALL = (
    "from pathlib import Path\n"
    "from movierank_core.kernels.code_cache import choose_code_cache\n"
    "choose_code_cache(Path('toy').resolve())\n"
    "from toy.outer import outer\n"
    "print(outer(1), sum(outer.stats.cache_hits.values()))\n"
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a kernel that inlines one of another module."""
    for variable in (VARIABLE, OURS):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "inner.py").write_text(INNER.format(added=10))
    (folder / "outer.py").write_text(OUTER)
    return folder


def call(package: Path) -> str:
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), root])}
    done = subprocess.run(
        [sys.executable, "-c", CALL],
        cwd=package.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_after_an_edit_of_an_inlined_kernel_its_callers_give_the_new_result(package: Path) -> None:
    assert call(package) == "11 0"
    assert call(package) == "11 1"
    (package / "inner.py").write_text(INNER.format(added=20))
    assert call(package) == "21 0"
    assert call(package) == "21 1"


def test_a_child_of_a_process_with_older_code_chooses_for_itself(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = choose_code_cache(package)
    assert older is not None
    assert os.environ[VARIABLE] == str(older)
    (package / "inner.py").write_text(INNER.format(added=20))
    newer = choose_code_cache(package)
    assert newer not in (None, older)
    assert os.environ[VARIABLE] == str(newer)


def test_a_folder_that_the_user_chose_is_left_alone(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert choose_code_cache(package) is None
    assert os.environ[VARIABLE] == str(tmp_path / "mine")
    assert not (package / "__pycache__").exists()


def test_a_read_only_package_uses_the_users_cache(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").touch()  # No folder can be made in its place, whoever runs the test.
    chosen = choose_code_cache(package)
    assert chosen is not None
    assert chosen.is_relative_to(tmp_path / "cache" / "movierank")


def test_without_any_folder_to_write_to_numba_decides(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "__pycache__").touch()
    (tmp_path / "cache").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    assert choose_code_cache(package) is None
    assert VARIABLE not in os.environ


def test_old_folders_go_when_a_new_one_is_made_and_recent_ones_stay(package: Path) -> None:
    cache = package / "__pycache__"
    old, recent, other = cache / f"{PREFIX}old", cache / f"{PREFIX}recent", cache / "x.pyc"
    for path in (old, recent):
        path.mkdir(parents=True)
    other.touch()
    before = time.time() - KEPT_SECONDS - 60
    os.utime(old, (before, before))
    chosen = choose_code_cache(package)
    assert chosen is not None
    assert {path.name for path in cache.iterdir()} == {recent.name, other.name, chosen.name}


def test_the_package_itself_has_its_own_folder() -> None:
    code = "import os, movierank_core; print(os.environ['NUMBA_CACHE_DIR'])"
    environment = {name: text for name, text in os.environ.items() if name not in (VARIABLE, OURS)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).name.startswith(PREFIX)
