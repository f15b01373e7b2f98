"""Asking for memory before it is needed, in compiled loops.

A request reads some thousand short stretches, each elsewhere in the hundreds of megabytes of a model. The
processor guesses what comes next within a stretch, but not where the next one begins, and waits for memory
at each; asked for a little ahead, they arrive while those before are worked on.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE_BYTES = 64
"""Bytes that come at a time."""


@intrinsic
def prefetch(typing_context: Any, array: types.Array, place: types.Integer) -> Any:
    """Asks for the line of memory that holds `array[place]`, of one dimension; never fails, whatever `place`.

    Only a hint (LLVM's `llvm.prefetch`, to be read, into all caches): results are the same without it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_array = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(of_array.data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        hint = builder.module.globals.get("llvm.prefetch.p0")
        if hint is None:
            hint = ir.Function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(hint, [address, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, place), generate
