"""Parses source files of the repository."""

import ast
import gc
from pathlib import Path


def parsed(path: Path) -> ast.Module:
    """The tree of a Python file.

    Garbage collection is off meanwhile: Python 3.11 raises SystemError when a collection that runs finalizers
    happens while a tree is built.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text("utf-8"))
    finally:
        gc.enable()
