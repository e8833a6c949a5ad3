"""Generated: every primitive x sample x dtype against its type rule, every derivative against differences."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from hornbeam import primitives as p
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind, check_dtypes
from hornbeam.ir.types import (
    FLOATS,
    HornbeamTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_float,
    numpy_dtype,
)
from hornbeam.ir.verify import verify
from tests.helpers.gradcheck import check_gradients, float_outputs, pullback, traced
from tests.helpers.primitive_cases import (
    CASES,
    FAMILIES,
    FUNCTIONS,
    NAMES,
    differentiable_cases,
    dtypes_of,
    floats_of,
    operands,
    types_of,
)

# Their input counts as symmetric, so a difference must move both halves of the matrix.
SYMMETRIC = {"cholesky", "eigh"}


@pytest.mark.parametrize(("name", "index"), CASES)
def test_reference_has_the_type_of_the_rule(name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]
    for dtype in dtypes_of(primitive, sample):
        arrays = operands(primitive, index, dtype)
        types = types_of(arrays)
        check_dtypes(primitive, types)
        expected = primitive.type_rule(*types, **sample.params)
        out = primitive.reference(*arrays, **sample.params)
        if isinstance(expected, tuple):
            assert isinstance(out, tuple)
            assert tuple(types_of(list(out))) == expected, f"{name} of {types}"
        else:
            assert isinstance(out, np.ndarray), f"{name} of {types}"
            assert TensorType(out.shape, dtype_name(out.dtype)) == expected, f"{name} of {types}"


@pytest.mark.parametrize(("name", "index"), CASES)
def test_graph_verifies_and_cost_is_counted(name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]
    dtype = dtypes_of(primitive, sample)[-1]
    inputs = [placeholder(type, 0) for type in types_of(operands(primitive, index, dtype))]
    node = bind(primitive, *inputs, **sample.params)
    verify(Graph(inputs, outputs_of(node)))
    flops, moved = primitive.cost([n.type for n in inputs], node.type, **sample.params)
    assert isinstance(flops, int)
    assert isinstance(moved, int)
    assert flops >= 0
    assert moved >= 0


@pytest.mark.parametrize(("name", "index"), list(differentiable_cases()))
def test_first_and_second_derivative(name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]

    def apply(*xs: Node) -> tuple[Node, ...]:
        if name in SYMMETRIC:
            xs = tuple((x + p.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))) * 0.5 for x in xs)
        return outputs_of(bind(primitive, *xs, **sample.params))

    check_gradients(apply, operands(primitive, index, "float64"), order=2)


@pytest.mark.parametrize(("name", "index"), list(differentiable_cases()))
def test_derivative_graph_verifies_in_every_float_dtype(name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    params = primitive.samples[index].params
    fn = float_outputs(lambda *xs: outputs_of(bind(primitive, *xs, **params)))
    for dtype in floats_of(primitive):
        arrays = operands(primitive, index, dtype)
        wrt = [i for i, type in enumerate(types_of(arrays)) if is_float(type.dtype)]
        forward, _ = traced(fn, arrays)
        weights = [np.ones(node.shape, numpy_dtype(node.dtype)) for node in forward.outputs]
        backward, constants = traced(pullback(fn, len(arrays), wrt), [*arrays, *weights])
        actual = reference(backward, [*arrays, *weights, *constants])
        assert types_of(actual) == [types_of(arrays)[i] for i in wrt]


@pytest.mark.parametrize("name", NAMES)
def test_block_is_complete(name: str) -> None:
    primitive = PRIMITIVES[name]
    function = getattr(p, FUNCTIONS.get(name, name))
    assert primitive.samples, f"{name} has no samples"
    assert inspect.getdoc(function), f"{name} has no docstring"
    if (
        primitive.vjp is not None
        and set(FLOATS) & set(primitive.dtypes)
        and inspect.signature(function).parameters
    ):
        shapes = [s.shapes for s in primitive.samples if s.derivative]
        assert shapes, f"{name} has a derivative and no sample for it"


def test_every_primitive_of_a_family_has_its_function() -> None:
    public = {name for family in FAMILIES for name in family.__all__}
    assert public == {FUNCTIONS.get(name, name) for name in NAMES} & public
    assert all(hasattr(p, name) for name in public)


@pytest.mark.parametrize("name", [n for n in NAMES if PRIMITIVES[n].dtypes != p.elementwise.DTYPES])
def test_other_dtypes_are_rejected(name: str) -> None:
    primitive = PRIMITIVES[name]
    sample = next((s for s in primitive.samples if s.shapes), None)
    if sample is None:
        pytest.skip("takes no operands")
    wrong = next(d for d in p.elementwise.DTYPES if d not in primitive.dtypes)
    inputs = [placeholder(TensorType(shape, wrong), 0) for shape in sample.shapes]
    with pytest.raises(HornbeamTypeError, match=name):
        bind(primitive, *inputs, **sample.params)


def test_shape_errors_say_what_came() -> None:
    x = placeholder(TensorType((2, 3), "float32"), 0)
    y = placeholder(TensorType((3, 2), "float32"), 0)
    with pytest.raises(ShapeError, match=r"float32\[2,3\], float32\[3,2\]"):
        p.add(x, y)
    with pytest.raises(HornbeamTypeError, match="one dtype"):
        p.add(x, placeholder(TensorType((2, 3), "float64"), 0))


def test_trivial_applications_make_no_node() -> None:
    x = placeholder(TensorType((2, 3), "float32"), 0)
    assert p.reshape(x, (2, 3)) is x
    assert p.reshape(p.reshape(x, (6,)), (2, 3)) is x
    assert p.transpose(p.transpose(x, (1, 0)), (1, 0)) is x
    assert p.transpose(x, (0, 1)) is x
    assert p.broadcast(x, (2, 3), (0, 1)) is x
    assert p.convert(x, "float32") is x
    assert p.bitcast(x, "float32") is x
    assert p.slice_(x, (0, 0), (2, 3)) is x
    assert p.pad(x, 0.0, (0, 0), (0, 0)) is x
    assert p.reverse(x, ()) is x
    assert p.concatenate(x, axis=0) is x
    assert p.reduce_sum(x, ()) is x
    assert p.reduce_max(x, ()) is x


def test_small_literal_powers_need_no_pow() -> None:
    x = placeholder(TensorType((2, 3), "float32"), 0)
    assert p.power(x, 1) is x
    assert p.power(x, 2) is p.mul(x, x)
    assert p.power(x, p.full(0, x.type)) is p.ones_like(x)
    assert p.power(x, 3).name == p.power(2, x).name == "pow"


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, -1.5])
def test_derivatives_of_powers_by_literals(exponent: float) -> None:
    check_gradients(lambda x: [bind(PRIMITIVES["pow"], x, exponent)], [np.array([0.4, 1.7, 2.5])])


def test_python_scalars_take_the_type_of_the_node() -> None:
    x = placeholder(TensorType((2, 3), "float16"), 0)
    for node in (p.add(x, 1), p.sub(1.5, x), p.maximum(x, 0), p.select(p.gt(x, 0), x, 0)):
        assert node.type == x.type
    with pytest.raises(TypeError, match="at least one operand"):
        p.add(1, 2)


def test_the_checker_finds_wrong_derivatives() -> None:
    x = np.array([0.3, -0.7, 1.1])
    with pytest.raises(AssertionError, match="order 1"):
        check_gradients(lambda a: [p.stop_gradient(a) * a], [x])
    with pytest.raises(AssertionError, match="order 2"):
        check_gradients(lambda a: [(a - p.stop_gradient(a)) * (a - p.stop_gradient(a)) + a * a], [x])


def test_costs_count_multiplications_and_additions() -> None:
    x = placeholder(TensorType((4, 5), "float32"), 0)
    product = p.dot_general(x, p.transpose(x, (1, 0)), contract=((1,), (0,)))
    image = placeholder(TensorType((2, 8, 8, 3), "float32"), 0)
    kernel = placeholder(TensorType((3, 3, 3, 7), "float32"), 0)
    feature = p.conv(image, kernel, (1, 1), ((1, 1), (1, 1)))
    pooled = p.max_pool(image, (2, 2), (2, 2), ((0, 0), (0, 0)))
    expected = {
        product: 2 * 4 * 5 * 4,
        feature: 2 * (2 * 8 * 8 * 7) * (3 * 3 * 3),
        pooled: (2 * 4 * 4 * 3) * 4,
    }
    back = p.conv_input_grad(feature, kernel, image.shape, (1, 1), ((1, 1), (1, 1)))
    expected[back] = expected[feature]
    expected[p.conv_kernel_grad(image, feature, kernel.shape, (1, 1), ((1, 1), (1, 1)))] = expected[feature]
    expected[p.add(x, x)] = 20
    expected[p.transpose(x, (1, 0))] = 0
    for node, flops in expected.items():
        assert node.primitive is not None
        actual, moved = node.primitive.cost([n.type for n in node.inputs], node.type, **node.params)
        assert actual == flops, node.name
        assert moved == sum(n.type.nbytes for n in (*node.inputs, node)), node.name
