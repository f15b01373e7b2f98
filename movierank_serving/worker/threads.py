"""Runs a blocking function in a thread pool, so that the event loop goes on answering other requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(
    threads: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """The result of `function(*args, **kwargs)`, called in one of `threads`. Raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: function(*args, **kwargs))
