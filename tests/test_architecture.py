"""Imports point one way: pipeline to core, serving to core, and only the command line to both."""

import ast
from pathlib import Path

import pytest

from tests.support.python_source import parsed

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "movierank_core": {
        "movierank_pipeline", "movierank_serving", "movierank_cli",
        "dagster", "mlflow", "litestar", "lightgbm", "requests", "httpx", "uvicorn",
    },
    "movierank_pipeline": {"movierank_serving", "movierank_cli", "litestar", "uvicorn"},
    "movierank_serving": {"movierank_pipeline", "movierank_cli", "dagster", "lightgbm", "implicit", "scipy"},
}  # fmt: skip
INSIDE_FUNCTIONS_ONLY = {"mlflow", "lightgbm", "matplotlib", "implicit", "scipy", "psycopg"}
"""Slow to import or optional: never at the top of a module."""
TOP_LEVEL_ALLOWED = {"movierank_pipeline/release/pyfunc_model.py": {"mlflow"}}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(top-level package, whether it is imported at the module's top) of every import."""
    tree = parsed(path)
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        if id(node) not in typing_only:
            found += [(name.split(".")[0], node in tree.body) for name in names]
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_what_it_must_not(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, _ in imports(path)
        if name in FORBIDDEN[package]
    ]
    assert wrong == []


def test_slow_and_optional_libraries_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name} at its top"
        for package in FORBIDDEN
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, is_top in imports(path)
        if is_top
        and name in INSIDE_FUNCTIONS_ONLY
        and name not in TOP_LEVEL_ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    ]
    assert wrong == []


DAGSTER_ALLOWED = ("movierank_pipeline/defs/",)
DAGSTER_ALLOWED_FILES = {
    f"movierank_pipeline/{name}.py" for name in ("definitions", "materialize", "settings")
}


def test_only_the_asset_layer_imports_dagster() -> None:
    wrong = [
        place
        for package in FORBIDDEN
        for path in sorted((ROOT / package).rglob("*.py"))
        if any(name == "dagster" for name, _ in imports(path))
        and not (place := path.relative_to(ROOT).as_posix()).startswith(DAGSTER_ALLOWED)
        and place not in DAGSTER_ALLOWED_FILES
    ]
    assert wrong == []


MAX_MODULES = 16
"""Maximum number of modules in one folder, `__init__.py` not counted."""


def test_no_folder_has_more_modules_than_a_reader_can_survey() -> None:
    crowded = {}
    for package in ("movierank_core", "movierank_pipeline", "movierank_serving"):
        for folder in (ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())):
            modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
            if len(modules) > MAX_MODULES:
                crowded[folder.relative_to(ROOT).as_posix()] = len(modules)
    assert crowded == {}
