"""Compiled loops over the rows of a large matrix, in threads.

The loops release Python's lock, so threads of the standard library are enough. numba's own threads would
bring a threading layer, which does not survive a fork or two callers at once.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

BLOCK_ROWS: Final = 64
"""Number of rows per block. Rows cost differently, so each thread takes the next block when it is done."""


def in_row_blocks(n_rows: int, n_threads: int, work: Callable[[int, int], None]) -> None:
    """Calls `work(first, stop)` for blocks of rows that together are 0 to `n_rows`, in `n_threads` threads.

    `work` should be a compiled loop that releases Python's lock. No two calls may write to the same entry;
    then the result does not depend on the number of threads. Raises the first exception of a block.
    """
    starts = range(0, n_rows, BLOCK_ROWS)
    if n_threads == 1 or len(starts) < 2:
        for first in starts:
            work(first, min(first + BLOCK_ROWS, n_rows))
        return
    with ThreadPoolExecutor(n_threads, "rows") as pool:
        for done in [pool.submit(work, first, min(first + BLOCK_ROWS, n_rows)) for first in starts]:
            done.result()
