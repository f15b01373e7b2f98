"""Kernels on vectors of 32 lanes agree with NumPy."""

import numpy as np
import pytest
from numba import njit

from movierank_core.kernels.simd import (
    N_LANES,
    keep_where_above,
    load,
    spread,
    spread_bits,
    store,
    store_lowest,
    where_above,
)


@njit
def _combine(x, y, out):  # type: ignore[no-untyped-def]  # numba
    half = np.float32(0.5)
    for place in range(0, len(x), N_LANES):
        a, b = load(x, place), load(y, place)
        store(out, place, (a + b) * a - b * half + spread(half) + where_above(a, half, half, np.float32(-1)))


def test_lanes_are_added_multiplied_and_chosen_one_by_one() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3 * N_LANES)).astype(np.float32)
    x[5], x[6], x[40] = np.nan, 0.5, np.inf
    out = np.zeros(4 * N_LANES, np.float32)
    _combine(x, y, out)
    expected = (x + y) * x - y * 0.5 + 0.5 + np.where(x > 0.5, 0.5, -1)
    np.testing.assert_allclose(out[: len(x)], expected, rtol=1e-5, atol=1e-6)
    assert not out[len(x) :].any(), "nothing behind is written to"


@njit
def _where(x, limit, out):  # type: ignore[no-untyped-def]  # numba
    store(out, 1, where_above(load(x, 2), limit, np.float32(1), np.float32(0)))


def test_what_is_no_number_is_not_above_and_any_place_will_do() -> None:
    x = np.full(N_LANES + 2, np.nan, np.float32)
    x[7:10] = 3.0, 2.0, 4.0
    out = np.full(N_LANES + 2, 9, np.float32)
    _where(x, np.float32(2), out)
    assert out.tolist() == [9, *([0] * 5), 1, 0, 1, *([0] * (N_LANES - 8)), 9]


@njit
def _lowest_kept(x, limits, kept, out):  # type: ignore[no-untyped-def]  # numba
    sets = spread_bits(kept.dtype.type(0xFFFFFFFFFFFFFFFF))
    for k in range(len(limits)):
        sets = keep_where_above(sets, load(x, 0), limits[k], kept[k])
    store_lowest(out, 0, sets)


@pytest.mark.parametrize(("kind", "n_bits"), [(np.uint32, 32), (np.uint64, 64)])
def test_sets_lose_what_is_not_kept_and_name_their_lowest(kind: type, n_bits: int) -> None:
    rng = np.random.default_rng(3)
    x, limits = rng.normal(size=(2, N_LANES)).astype(np.float32)
    limits = np.sort(limits[:9])
    x[0], x[1] = np.nan, np.inf
    kept = [2**n_bits - 1 ^ 0b111 << 3 * k for k in range(9)]  # A split strikes three of the lowest bits out.
    out = np.zeros(N_LANES, np.uint32)
    _lowest_kept(x, limits, np.array(kept, kind), out)
    for lane, value in enumerate(x.tolist()):
        left = 2**n_bits - 1
        for limit, mask in zip(limits.tolist(), kept, strict=True):
            left &= mask if value > limit else 2**n_bits - 1
        assert out[lane] == (left & -left).bit_length() - 1
    assert len(set(out.tolist())) > 3
