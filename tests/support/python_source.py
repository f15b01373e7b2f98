"""Reading our own source as a tree."""

import ast
import gc
from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """The tree of a Python file.

    Without collections meanwhile: Python 3.11 raises SystemError where one that runs finalizers falls into
    the building of a tree.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"))
    finally:
        gc.enable()
