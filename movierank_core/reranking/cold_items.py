"""Cold-item slots: ranks that are kept for movies with hardly any events.

Nothing is known about a cold item, so the ranker scores it low, and by score alone it would never be shown.
Without a slot it would stay unknown.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def fill_cold_item_slots(
    order: NDArray[np.int64], is_cold_item: NDArray[np.bool_], cold_items: NDArray[np.int64], spacing: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The list `order` with its slots filled, and per rank whether its movie was moved up.

    All arrays count movies by their rank by score. `is_cold_item` has one entry per movie; `cold_items` are
    the movies that may move up, in the order of their claim. If none of the ranks 1 to `spacing` (`spacing` +
    1 to 2 `spacing`, and so on) has a cold item, the last rank goes to the next of `cold_items` further down;
    the other movies keep their order.

    The default spacing of 20 was chosen on requests before the test period of ml-latest-small, with all
    events of a tenth of the movies withheld. With slots, the first hundred ranks held 0.019 of the likes of
    withheld movies instead of none, and 0.429 instead of 0.437 of the other likes. A spacing of 10 would give
    0.030 and 0.420. In the ranker's order instead of the content source's, the slots held 0.007: trees know
    little about such movies.
    """
    ranked, is_moved = order.copy(), np.zeros(len(order), np.bool_)
    _fill(ranked, is_moved, is_cold_item, cold_items, spacing)
    return ranked, is_moved


@njit(cache=True, nogil=True)
def _fill(ranked, is_moved, is_cold_item, cold_items, spacing):  # type: ignore[no-untyped-def]  # numba
    n_used = 0
    for slot in range(spacing - 1, len(ranked), spacing):
        # 1. Look for a cold item among the ranks that end with the slot.
        is_filled = False
        for rank in range(slot - spacing + 1, slot + 1):
            is_filled |= is_cold_item[ranked[rank]]
        # 2. If there is none, move the next one from below into the slot; those between go down by one.
        while not is_filled and n_used < len(cold_items):
            for rank in range(slot + 1, len(ranked)):
                if ranked[rank] == cold_items[n_used]:
                    ranked[slot + 1 : rank + 1] = ranked[slot:rank].copy()
                    ranked[slot] = cold_items[n_used]
                    is_moved[slot] = is_filled = True
                    break
            n_used += 1
