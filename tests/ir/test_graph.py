import numpy as np
import pytest

from hornbeam import primitives as p
from hornbeam.errors import VerifyError
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import leaf_array, placeholder
from hornbeam.ir.primitive import constant
from hornbeam.ir.scope import scope
from hornbeam.ir.trace import captures, inline, new_level, trace_body
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name, promote_types
from hornbeam.ir.verify import verify

F32 = TensorType((2, 3), "float32")


def test_equal_nodes_are_one_node():
    x = placeholder(F32, 1)
    assert p.exp(x + 1.0) is p.exp(x + 1.0)
    assert p.exp(x) is not p.exp(x + 0.0 * x)
    assert constant(0.0, "float32") is not constant(-0.0, "float32")


def test_forgotten_nodes_are_forgotten():
    import gc
    import weakref

    x = placeholder(F32, 1)
    node = weakref.ref(p.tanh(x))
    gc.collect()
    assert node() is None


def test_text_is_stable():
    x, y = placeholder(F32, 1), placeholder(F32, 1)
    graph = Graph((x, y), (p.reduce_sum(x * y + 2.0, (1,)),))
    assert str(graph) == (
        "(%0: float32[2,3], %1: float32[2,3]) {\n"
        "  %2 = mul %0 %1 : float32[2,3]\n"
        "  %3 = constant  [data=2.0, dtype=float32, shape=()] : float32[]\n"
        "  %4 = broadcast %3 [dims=(), shape=(2, 3)] : float32[2,3]\n"
        "  %5 = add %2 %4 : float32[2,3]\n"
        "  %6 = reduce_sum %5 [axes=(1,)] : float32[2]\n"
        "  return %6\n"
        "}"
    )


def test_fingerprint_tells_constants_apart():
    x = placeholder(F32, 1)
    one, other = Graph((x,), (x + 1.0,)), Graph((x,), (x + np.nextafter(np.float32(1), np.float32(2)),))
    assert one.fingerprint != other.fingerprint
    y = placeholder(F32, 1)
    assert one == Graph((y,), (y + 1.0,))


def test_a_graph_must_be_closed():
    x, y = placeholder(F32, 1), placeholder(F32, 1)
    with pytest.raises(ValueError, match="not closed"):
        _ = Graph((x,), (x + y,)).nodes


def test_inline_puts_arguments_in():
    x = placeholder(F32, 1)
    graph = Graph((x,), (x * x, x + 1.0))
    y = placeholder(F32, 1)
    assert inline(graph, [y]) == (y * y, y + 1.0)


def test_bodies_capture_outer_values_but_not_literals():
    with new_level() as level:
        outer = placeholder(F32, level)
        graph, captured = trace_body(lambda x: [x * p.exp(outer) + 1.0], [F32])
    assert captured == (p.exp(outer),)
    assert [n.name for n in graph.nodes] == ["mul", "constant", "broadcast", "add"]
    assert captures([outer], [], level) == ()


def test_verify_finds_wrong_types():
    x = placeholder(F32, 1)
    node = p.exp(x * 3.0)
    assert verify(Graph((x,), (node,)))
    node.type = TensorType((3, 2), "float32")
    with pytest.raises(VerifyError, match="its rule says"):
        verify(Graph((x,), (node,)))


def test_nodes_know_their_scope():
    x = placeholder(F32, 1)
    with scope("model/dense"):
        node = p.sin(x)
    assert node.scope == "model/dense"
    assert x.scope == ""


def test_type_errors_show_both_sides():
    x, y = placeholder(F32, 1), placeholder(TensorType((3, 2), "float32"), 1)
    with pytest.raises(ShapeError, match=r"float32\[2,3\], float32\[3,2\]"):
        p.add(x, y)
    with pytest.raises(HornbeamTypeError, match=r"does not take int32"):
        p.exp(placeholder(TensorType((2,), "int32"), 1))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["float32", "float64"], "float64"),
        (["float16", "bfloat16"], "float32"),
        (["int8", "uint8"], "int16"),
        (["uint32", "int32"], "int32"),
        (["uint64", "int8"], "float32"),
        (["bool", "int"], "int32"),
        (["float16", "float"], "float16"),
        (["int64", "float"], "float32"),
        (["int64", "bfloat16"], "bfloat16"),
        (["uint8", "int"], "uint8"),
        (["bool", "bool"], "bool"),
    ],
)
def test_promotion(kinds, expected):
    assert promote_types(kinds) == expected
    assert promote_types(reversed(kinds)) == expected


def test_dtype_names():
    assert dtype_name(np.float32) == dtype_name("float32") == dtype_name(np.zeros(1, np.float32)) == "float32"
    assert dtype_name(float) == "float32"
    assert dtype_name(leaf_array(np.zeros(2, "int8")).dtype) == "int8"
    with pytest.raises(HornbeamTypeError, match="unknown dtype 'float99'"):
        dtype_name("float99")
