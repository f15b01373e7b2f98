"""Places for movies that hardly anybody had an event with yet, which no source of what people like can find.

Their scores are low because nothing is known of them, so that by score alone they would never be shown, and
nothing would ever become known.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

EVERY: Final = 20
"""Of so many places, one at least has a little-known movie.

Chosen on requests before the test period of ml-latest-small, with all events of a tenth of the movies
withheld. A hundred places held 0.019 of the likes of withheld movies instead of none, and 0.429 instead of
0.437 of the others; with every tenth place it would be 0.030 and 0.420. In the ranker's order instead of that
of content they held 0.007: trees know little of such movies.
"""


def with_reserved_places(
    order: NDArray[np.int64], is_little_known: NDArray[np.bool_], reserved: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The positions of `order` with places reserved, and per place whether its movie was moved up to it.

    `is_little_known` is by position, `reserved` are the positions that may move up, in their own order. Where
    none of the places 1 to 20, 21 to 40 and so on has a little-known movie, the last of them goes to the next
    of `reserved` that stands further down; the others follow as they were.
    """
    placed, is_moved = order.copy(), np.zeros(len(order), np.bool_)
    _reserve(placed, is_moved, is_little_known, reserved)
    return placed, is_moved


@njit(cache=True, nogil=True)
def _reserve(placed, is_moved, is_little_known, reserved):  # type: ignore[no-untyped-def]  # numba
    n_used = 0
    for place in range(EVERY - 1, len(placed), EVERY):
        is_filled = False
        for near in range(place - EVERY + 1, place + 1):
            is_filled |= is_little_known[placed[near]]
        while not is_filled and n_used < len(reserved):
            for below in range(place + 1, len(placed)):
                if placed[below] == reserved[n_used]:
                    placed[place + 1 : below + 1] = placed[place:below].copy()
                    placed[place] = reserved[n_used]
                    is_moved[place] = is_filled = True
                    break
            n_used += 1
