"""The torch engine overwrites operands that are not read any more, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import placeholder
from hornbeam.ir.types import TensorType
from hornbeam.primitives import elementwise, shape

torch = pytest.importorskip("torch")
from hornbeam.engines import get_engine  # noqa: E402
from hornbeam.engines.torch.reuse import in_place_functions  # noqa: E402

SHAPE = (256, 256)


def test_overwrites_what_is_read_for_the_last_time(rng: np.random.Generator) -> None:
    x = placeholder(TensorType(SHAPE, "float32"), 0)
    square = elementwise.mul(x, x)  # of an input: new memory
    seen = elementwise.add(square, x)  # a view of it is read at the end
    view = shape.reshape(seen, (SHAPE[0] * SHAPE[1],))
    kept = elementwise.sub(seen, square)  # `seen` is in a view; `square` is free from here on, and taken
    root = elementwise.sqrt(elementwise.mul(kept, kept))  # `kept` is an output; the product is taken
    graph = Graph([x], [kept, root, elementwise.neg(view)])
    selected = in_place_functions(graph)
    assert set(selected) == {kept, root}
    array = rng.normal(size=SHAPE).astype("float32")
    copied = array.copy()
    engine = get_engine("torch:cpu")
    actual = [engine.get(y) for y in engine.executable(graph).run([engine.put(copied)])]
    np.testing.assert_array_equal(copied, array)
    for mine, other in zip(reference(graph, [array]), actual, strict=True):
        np.testing.assert_allclose(other, mine, rtol=1e-6)


def test_small_and_exact_numbers_are_left_alone() -> None:
    for size, dtype in ((4, "float32"), (1 << 17, "int32")):
        x = placeholder(TensorType((size,), dtype), 0)
        assert not in_place_functions(Graph([x], [elementwise.neg(elementwise.add(x, x))]))
