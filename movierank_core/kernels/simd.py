"""Vectors of 32 floats for compiled loops: one instruction does the work of many lanes.

numba vectorises loops over arrays by itself, but has to ask first, each time, whether these overlap. Where
a loop is as short as a page of results, that takes longer than the loop: by `Lanes` attribution takes a third
of the time of loops of 32 steps. They hold single precision; products and sums may be fused.

numba keeps compiled code by the file of the function that it compiled: after a change here, delete the
`__pycache__` folders of those that use it.
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
    """numba's type of such a vector; it lives in registers."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES: Final = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _VECTOR)


@intrinsic
def load(typing_context: Any, array: types.Array, place: types.Integer) -> Any:
    """`array[place : place + 32]` of a contiguous float32 array; nobody looks whether it has so many."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return _LANES(array, place), generate


@intrinsic
def store(typing_context: Any, array: types.Array, place: types.Integer, lanes: Lanes) -> Any:
    """`array[place : place + 32] = lanes`, as careless as `load`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, place, lanes), generate


@intrinsic
def where_above(
    typing_context: Any, lanes: Lanes, limit: types.Float, above: types.Float, below: types.Float
) -> Any:
    """`above` in every lane that is over `limit`, `below` in the others, in those that are NaN too."""

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
    """numba's type of 32 unsigned numbers of so many bits, each of which stands for a set."""

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
    """Where a lane is over `limit`, of its set what is in `kept` as well (uint32 or uint64, as the sets)."""

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
def store_lowest(typing_context: Any, array: types.Array, place: types.Integer, sets: BitLanes) -> Any:
    """`array[place : place + 32]` (uint32) = the number of the lowest bit of each set, none of them empty.

    The lowest bit alone is a power of two, so its number is the exponent of the same value as a float.
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

    return types.void(array, place, sets), generate


@intrinsic
def lanes_above(typing_context: Any, lanes: Lanes, limit: types.Float) -> Any:
    """A number (uint32) whose bit k says whether lane k is over `limit`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        is_above = builder.fcmp_ordered(">", arguments[0], _spread(builder, arguments[1]))
        return builder.bitcast(is_above, ir.IntType(N_LANES))

    return types.uint32(lanes, types.float32), generate


@intrinsic
def first_lane(typing_context: Any, bits: types.Integer) -> Any:
    """The place (uint32) of the lowest bit of a uint32 that is not 0."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint32(types.uint32), generate


@intrinsic
def n_lanes(typing_context: Any, bits: types.Integer) -> Any:
    """How many bits (uint32) of a uint32 are set."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), generate


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
    """Lets compiled code write an operator between two `Lanes`, or between them and a number."""

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
