"""SIMD vectors of 32 single-precision floats for numba kernels.

numba vectorises loops over arrays, but each such loop first tests whether its arrays overlap. In a loop over
one page of results that test takes longer than the loop. Values of `Lanes` live in registers, so attribution
with them takes a third of the time of loops of 32 steps. Products and sums may be fused.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

N_LANES: Final = 32
_VECTOR: Final = ir.VectorType(ir.FloatType(), N_LANES)
_EVERYWHERE: Final = ir.Constant(ir.VectorType(ir.IntType(32), N_LANES), [0] * N_LANES)


class Lanes(types.Type):
    """numba's type of a vector of 32 floats; it lives in registers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES: Final = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _VECTOR)


@intrinsic
def load(typing_context: Any, array: types.Array, start: types.Integer) -> Any:
    """`array[start : start + 32]` of a contiguous float32 array; bounds are not checked."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return _LANES(array, start), generate


@intrinsic
def store(typing_context: Any, array: types.Array, start: types.Integer, lanes: Lanes) -> Any:
    """`array[start : start + 32] = lanes`; bounds are not checked."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, start, lanes), generate


@intrinsic
def where_above(
    typing_context: Any, lanes: Lanes, limit: types.Float, above: types.Float, below: types.Float
) -> Any:
    """`above` in every lane greater than `limit`, `below` in every other lane, NaN included."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        lanes, limit, above, below = (arguments[0], *(_spread(builder, each) for each in arguments[1:]))
        return builder.select(builder.fcmp_ordered(">", lanes, limit), above, below)

    return _LANES(lanes, types.float32, types.float32, types.float32), generate


@intrinsic
def spread(typing_context: Any, number: types.Float) -> Any:
    """The same number in every lane."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0])

    return _LANES(types.float32), generate


class BitLanes(types.Type):
    """numba's type of 32 bit sets, each an unsigned integer of `n_bits` bits."""

    def __init__(self, n_bits: int) -> None:
        super().__init__(name=f"BitLanes({n_bits})")
        self.n_bits = n_bits


@register_model(BitLanes)
class _BitLanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: BitLanes) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(kind.n_bits), N_LANES))


@intrinsic
def keep_where_above(
    typing_context: Any, sets: BitLanes, lanes: Lanes, limit: types.Float, kept: types.Integer
) -> Any:
    """Each set, intersected with `kept` (of the same width) where its lane is greater than `limit`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        sets, lanes, limit, kept = arguments
        is_above = builder.fcmp_ordered(">", lanes, _spread(builder, limit))
        return builder.select(is_above, builder.and_(sets, _spread(builder, kept)), sets)

    return sets(sets, lanes, types.float32, kept), generate


@intrinsic
def spread_bits(typing_context: Any, bits: types.Integer) -> Any:
    """The same set in every lane."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0])

    return BitLanes(bits.bitwidth)(bits), generate


@intrinsic
def store_lowest(typing_context: Any, array: types.Array, start: types.Integer, sets: BitLanes) -> Any:
    """`array[start : start + 32]` (uint32) = the index of the lowest bit of each set; no set may be empty.

    The lowest bit alone is a power of two, so its index is the exponent of the same value as a float.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        sets, words = arguments[2], ir.VectorType(ir.IntType(32), N_LANES)
        lowest = builder.and_(sets, builder.neg(sets))
        exponents = builder.lshr(
            builder.bitcast(builder.uitofp(lowest, _VECTOR), words), ir.Constant(words, [23] * N_LANES)
        )
        numbers = builder.sub(exponents, ir.Constant(words, [127] * N_LANES))
        builder.store(numbers, _address(context, builder, signature, arguments, words), align=4)
        return context.get_dummy_value()

    return types.void(array, start, sets), generate


def _address(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, vector: ir.Type = _VECTOR
) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())


def _spread(builder: ir.IRBuilder, number: Any) -> Any:
    nothing = ir.Constant(ir.VectorType(number.type, N_LANES), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, _EVERYWHERE)


def _define(python_operator: Callable[..., Any], instruction: str) -> None:
    """Defines an operator in compiled code for two `Lanes`, or for `Lanes` and a float."""

    @intrinsic
    def combine(typing_context: Any, left: Lanes, right: Lanes) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=["contract"])

        return _LANES(left, right), generate

    @overload(python_operator)
    def implement(left, right):  # type: ignore[no-untyped-def]  # numba compares it with what it returns
        if isinstance(left, Lanes) and isinstance(right, Lanes):
            return lambda left, right: combine(left, right)
        if isinstance(left, Lanes) and isinstance(right, types.Float):
            return lambda left, right: combine(left, spread(right))
        return None


_define(operator.mul, "fmul")
_define(operator.add, "fadd")
_define(operator.sub, "fsub")
