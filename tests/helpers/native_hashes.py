"""Print a hash of each result of the native engine: samples, large operands, drawn convolutions, gradients.

`python -m tests.helpers.native_hashes DRAWN`, to be compared between instruction sets and threads.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hornbeam.engines import get_engine
from hornbeam.ir.primitive import PRIMITIVES
from tests.helpers.engine_cases import run_on
from tests.helpers.native_cases import LARGE
from tests.helpers.primitive_cases import CASES, dtypes_of, floats_of, operands, random_array

Call = tuple[str, Sequence[np.ndarray], dict[str, Any]]


def calls(drawn: int) -> Iterator[Call]:
    for name, index in CASES:
        primitive = PRIMITIVES[name]
        sample = primitive.samples[index]
        for dtype in dtypes_of(primitive, sample):
            yield name, operands(primitive, index, dtype), sample.params
    rng = np.random.default_rng(0)
    for name, shapes, params in LARGE:
        for dtype in floats_of(PRIMITIVES[name]):
            yield name, [random_array(rng, shape, dtype, (-1, 1)) for shape in shapes], params
    for _ in range(drawn):
        yield from _convolution(rng)


def _convolution(rng: np.random.Generator) -> Iterator[Call]:
    """Draw a convolution; yield it and its gradients."""

    def choice(*values: int) -> int:
        return int(rng.choice(values))

    groups, each, outputs = choice(1, 1, 2, 4, 16, 33), choice(1, 2, 3, 4, 8, 16), choice(1, 1, 2, 3)
    taps, sides = [choice(1, 2, 3, 5, 7) for _ in range(2)], [choice(7, 14, 20, 33, 64) for _ in range(2)]
    window = {
        "strides": (choice(1, 1, 2), choice(1, 1, 2, 3)),
        "padding": ((choice(0, 1, 3), choice(0, 1)), (choice(0, 1), choice(0, 2))),
        "dilation": (choice(1, 1, 2), 1),
        "groups": groups,
    }
    x_shape, w_shape = (choice(1, 2, 5), *sides, groups * each), (*taps, each, groups * outputs)
    dtype = ("float32", "float32", "float64", "float16")[choice(0, 1, 2, 3)]
    x, w = (random_array(rng, shape, dtype, (-1, 1)) for shape in (x_shape, w_shape))
    conv = PRIMITIVES["conv"]
    try:
        dy = random_array(rng, conv.reference(x, w, **window).shape, dtype, (-1, 1))
    except ValueError:  # more taps than rows
        return
    yield "conv", [x, w], window
    yield "conv_input_grad", [dy, w], {"input_shape": x_shape, **window}
    yield "conv_kernel_grad", [x, dy], {"kernel_shape": w_shape, **window}


if __name__ == "__main__":
    engine = get_engine("native")
    for name, arrays, params in calls(int(sys.argv[1])):
        outputs = run_on(engine, name, arrays, params)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(out).tobytes() for out in outputs))
        print(name, [(a.dtype.name, a.shape) for a in arrays], params, digest.hexdigest()[:16])
