"""Steps that hold a fitted state or the training rows: one such step runs at a time.

Dagster runs as many steps of a run at once as there are cores, and two states fitted side by side need twice
the memory. The executor keeps heavy steps apart. Runs do not overlap (`one_run`), so a limit within the run
is enough. A pool of Dagster would do the same with slots in its database, but the slot of a killed process
stays taken, and `movierank materialize` would wait for it for ever.
"""

from typing import Final

import dagster as dg

HEAVY: Final = {"movierank/heavy": "yes"}
"""Tags of the op of a heavy asset or check."""

one_heavy_step = dg.multi_or_in_process_executor.configured(
    {
        "multiprocess": {
            "tag_concurrency_limits": [
                {"key": key, "value": value, "limit": 1} for key, value in HEAVY.items()
            ]
        }
    },
    name="one_heavy_step",
)
"""Dagster's default executor with a limit of one heavy step at a time."""
