"""Complex tensors: functions against NumPy on every engine, derivatives against JAX, and models."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import engines, ops
from hornbeam.core.symbolic import KerasTensor
from hornbeam.errors import HornbeamTypeError, ShapeError
from hornbeam.ir.complex_pairs import has_complex, lower
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.types import COMPLEX, TensorType, promote_types
from hornbeam.ir.verify import verify
from tests.helpers.installed import engine_or_skip

ENGINES = ("native", "reference", "jax", "torch", "tensorflow", "onnxruntime", "pytensor", "mlx")
RNG = np.random.default_rng(5)
Z = (RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))).astype("complex64")
W = (RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))).astype("complex64")
REAL = RNG.normal(size=(3, 4)).astype("float32")

# The function on tensors, which names NumPy's function of the same name where no second one follows.
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    name: (getattr(ops, name), getattr(np, name))
    for name in (
        "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh",
        "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "abs", "angle", "conj", "real", "imag",
        "sum", "mean", "prod", "cumsum", "cumprod", "var", "std", "square", "reciprocal", "negative",
        "isfinite", "isnan", "isinf", "isreal", "count_nonzero", "transpose", "flip", "ravel", "diagonal",
        "trace", "any", "round", "sign", "nan_to_num", "zeros_like", "ones_like", "logical_not",
    )
}  # fmt: skip


def _with_w(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda z: fn(z, W)


CASES |= {
    name: (_with_w(getattr(ops, name)), _with_w(getattr(np, name)))
    for name in (
        "add", "subtract", "multiply", "divide", "power", "equal", "not_equal", "less", "less_equal",
        "greater", "greater_equal", "vdot", "outer", "kron", "allclose", "isclose",
    )
}  # fmt: skip
CASES |= {
    "with a real tensor": (lambda z: z * REAL - 2, lambda z: z * REAL - 2),
    "with a complex number": (lambda z: 2j + z / (1 - 1j), lambda z: 2j + z / (1 - 1j)),
    "whole power": (lambda z: z**3, lambda z: z**3),
    "reciprocal root": (ops.rsqrt, lambda z: 1 / np.sqrt(z)),
    "sigmoid": (ops.sigmoid, lambda z: 1 / (1 + np.exp(-z))),
    "matmul": (lambda z: z @ ops.transpose(z), lambda z: z @ z.T),
    "einsum": (lambda z: ops.einsum("ij,ij->i", z, ops.conj(z)), lambda z: np.sum(z * z.conj(), 1)),
    "tensordot": (lambda z: ops.tensordot(z, W, 2), lambda z: np.tensordot(z, W, 2)),
    "concatenate": (lambda z: ops.concatenate([z, REAL], 1), lambda z: np.concatenate([z, REAL], 1)),
    "stack": (lambda z: ops.stack([z, W]), lambda z: np.stack([z, W])),
    "pad": (lambda z: ops.pad(z, 1), lambda z: np.pad(z, 1)),
    "take": (lambda z: ops.take(z, [2, 0], 0), lambda z: z[[2, 0]]),
    "index": (lambda z: z[1:, ::-1], lambda z: z[1:, ::-1]),
    "where": (lambda z: ops.where(REAL > 0, z, W), lambda z: np.where(REAL > 0, z, W)),
    "where real": (lambda z: ops.where(REAL > 0, z, 1.0), lambda z: np.where(REAL > 0, z, 1.0)),
    "roll": (lambda z: ops.roll(z, 1, 1), lambda z: np.roll(z, 1, 1)),
    "repeat": (lambda z: ops.repeat(z, 2, 0), lambda z: np.repeat(z, 2, 0)),
    "cast": (lambda z: ops.cast(ops.cast(z, "complex128"), "complex64"), lambda z: z),
    "real part by cast": (lambda z: ops.cast(z, "float32"), np.real),
    "cast of a real": (lambda z: ops.cast(ops.real(z), "complex64"), lambda z: z.real.astype(z.dtype)),
    "product along an axis": (lambda z: ops.prod(z, 1), lambda z: np.prod(z, 1)),
    "product of nothing": (lambda z: ops.prod(z[:0], 0), lambda z: np.prod(z[:0], 0)),
    "norm": (ops.norm, np.linalg.norm),
    "norm by rows": (lambda z: ops.norm(z, 1, axis=1), lambda z: np.linalg.norm(z, 1, axis=1)),
    "segment_sum": (
        lambda z: ops.segment_sum(z, [0, 1, 0], 2),
        lambda z: np.stack([z[0] + z[2], z[1]]),
    ),
    "slice_update": (
        lambda z: ops.slice_update(z, (1, 1), W[:2, :2]),
        lambda z: np.block([[z[:1]], [z[1:, :1], W[:2, :2], z[1:, 3:]]]),
    ),
    "normalize": (ops.normalize, lambda z: z / np.linalg.norm(z, axis=-1, keepdims=True)),
    "normalize by sums": (lambda z: ops.normalize(z, order=1), lambda z: z / abs(z).sum(-1, keepdims=True)),
    "corrcoef": (ops.corrcoef, np.corrcoef),
    "nanvar": (lambda z: ops.nanvar(z, 1), lambda z: np.nanvar(z, 1)),
    "nanstd": (ops.nanstd, np.nanstd),
    "linspace": (lambda z: ops.linspace(z, W, 5), lambda z: np.linspace(z, W, 5)),
    "max": (ops.max, np.max),
    "softmax": (ops.softmax, lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)),
    "logsumexp": (ops.logsumexp, lambda z: np.log(np.exp(z).sum())),
    "sort": (ops.sort, np.sort),
    "polar": (lambda z: ops.polar(ops.abs(z), ops.angle(z)), lambda z: z),
    "there and back": (lambda z: ops.view_as_complex(ops.view_as_real(z)), lambda z: z),
    "cond": (
        lambda z: ops.cond(ops.sum(ops.real(z)) > 0, lambda: z * 2j, lambda: z * 3j),
        lambda z: z * (2j if z.real.sum() > 0 else 3j),
    ),
    "while_loop": (lambda z: ops.fori_loop(0, 3, lambda i, v: v * z, z), lambda z: z**4),
    "scan": (
        lambda z: ops.scan(lambda carry, row: (carry * row, carry + row), z[0], z)[1],
        lambda z: np.stack([z[0] + z[0], z[0] ** 2 + z[1], z[0] ** 2 * z[1] + z[2]]),
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_functions_agree_with_numpy(name: str) -> None:
    ours, theirs = CASES[name]
    expected = np.asarray(theirs(Z))
    for value in (ours(ops.convert_to_tensor(Z)), hornbeam.jit(ours)(Z)):
        result = np.asarray(value)
        kinds = {"c": "c", "f": "f", "b": "b", "i": "iu"}
        assert result.dtype.kind in kinds[expected.dtype.kind]
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(engine: str) -> None:
    engine_or_skip(engine)
    with engines.using(engine):
        for name, (ours, theirs) in CASES.items():
            result, expected = np.asarray(ours(ops.convert_to_tensor(Z))), np.asarray(theirs(Z))
            np.testing.assert_allclose(result, expected, rtol=5e-5, atol=5e-6, err_msg=name)


# Functions of one complex tensor with a real result, and the same for JAX.
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda x, z: x.sum(x.abs(z)),
    "abs at 0": lambda x, z: x.sum(x.abs(z * 0)),
    "square": lambda x, z: x.sum(x.real(z * x.conj(z))),
    "angle": lambda x, z: x.sum(x.angle(z)),
    "imag": lambda x, z: x.sum(x.imag(z) ** 2 * x.real(z)),
    "exp": lambda x, z: x.sum(x.abs(x.exp(z) / (z + 3)) ** 2),
    "log": lambda x, z: x.sum(x.real(x.log(z) * x.sqrt(z))),
    "sin": lambda x, z: x.sum(x.imag(x.sin(z) + x.cosh(z) * x.tanh(z))),
    "inverse": lambda x, z: x.sum(x.real(x.arctan(z) + x.arcsinh(z) * x.arcsin(z))),
    "power": lambda x, z: x.sum(x.abs(z ** (1.5 + 0.5j)) + x.abs(2.0**z)),
    "matmul": lambda x, z: x.sum(x.abs(x.matmul(z, x.transpose(z))) ** 2),
    "prod": lambda x, z: x.sum(x.abs(x.prod(z, 1))),
    "cumprod": lambda x, z: x.sum(x.abs(x.cumprod(z, 1))),
    "var": lambda x, z: x.sum(x.var(z, 0)),
    "where": lambda x, z: x.sum(x.abs(x.where(x.real(z) > 0, z * z, z * 1j))),
    "index": lambda x, z: x.sum(x.abs(z[1:, ::2] - z[:2, 1::2]) ** 2),
    "take": lambda x, z: x.sum(x.abs(x.take(z, np.array([0, 0, 2]), 0)) ** 2),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_agree_with_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    loss = LOSSES[name]
    expected = np.asarray(jax.grad(lambda z: loss(jnp, z))(jnp.asarray(Z)))
    for gradient in (
        hornbeam.grad(lambda z: loss(ops, z)),
        hornbeam.jit(hornbeam.grad(lambda z: loss(ops, z))),
    ):
        result = np.asarray(gradient(ops.convert_to_tensor(Z)))
        assert result.dtype == np.complex64
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_gradients_by_real_tensors_through_complex_ones() -> None:
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    def loss(x: Any, make: Any) -> Callable[[Any], Any]:
        return lambda r: x.sum(x.abs(x.exp(make(r, r * r))) ** 2)

    def polar(r: Any, angle: Any) -> Any:
        return r * jnp.exp(1j * angle)

    expected = jax.grad(loss(jnp, polar))(jnp.asarray(REAL))
    np.testing.assert_allclose(hornbeam.grad(loss(ops, ops.polar))(REAL), expected, rtol=1e-4, atol=1e-5)


def test_second_derivatives() -> None:
    def loss(z: Any) -> Any:
        return ops.sum(ops.abs(ops.exp(z)) ** 2)

    def norm(z: Any) -> Any:
        return ops.sum(ops.abs(hornbeam.grad(loss)(z)) ** 2)

    # grad = 2 |e^z|^2 d Re z, so norm = sum 4 e^(4 Re z).
    np.testing.assert_allclose(hornbeam.grad(norm)(Z), 16 * np.exp(4 * Z.real), rtol=1e-4)


@pytest.mark.parametrize("a", [*COMPLEX, "complex"])
@pytest.mark.parametrize("b", ["bool", "int", "int8", "uint64", "float", "float16", "float64", *COMPLEX])
def test_promotion_keeps_the_width(a: str, b: str) -> None:
    wide = "complex128" in (a, b) or b == "float64"
    assert promote_types([a, b]) == promote_types([b, a]) == ("complex128" if wide else "complex64")


def test_values_convert_print_and_pickle() -> None:
    z = ops.array([1 + 2j, 3])
    assert (z.dtype, z.shape) == ("complex64", (2,))
    assert ops.convert_to_tensor(np.array([1j])).dtype == "complex128"
    assert ops.convert_to_tensor([1.0, 2.0], dtype="complex64").dtype == "complex64"
    assert ops.array([z[0], 2.0]).tolist() == [1 + 2j, 2]
    assert "1.+2.j" in repr(z)
    assert z.tolist() == [1 + 2j, 3]
    assert complex(z[0]) == 1 + 2j
    assert pickle.loads(pickle.dumps(z)).tolist() == z.tolist()
    assert ops.ones(2, dtype="complex64").tolist() == [1, 1]
    assert (z == 3).tolist() == [False, True]
    with pytest.raises(TypeError):
        float(z[0])
    np.testing.assert_array_equal(np.from_dlpack(z), [1 + 2j, 3])


def test_variables_hold_complex_numbers() -> None:
    v = hornbeam.Variable(Z, dtype="complex64")
    step = hornbeam.jit(lambda: v.assign(v * 1j))
    step()
    step()
    np.testing.assert_allclose(v.numpy(), -Z, rtol=1e-6)
    np.testing.assert_allclose(
        hornbeam.value_and_grad(lambda z: ops.sum(ops.abs(z)))(v)[0], abs(Z).sum(), rtol=1e-6
    )


def test_a_model_trains_on_complex_data() -> None:
    inputs = hornbeam.Input((4,), dtype="complex64")
    hidden = ops.concatenate([ops.real(inputs * 2j), ops.abs(inputs)], -1)
    model = hornbeam.Model(inputs, hornbeam.layers.Dense(1)(hidden))
    model.compile("sgd", "mse")
    x = (RNG.normal(size=(64, 4)) + 1j * RNG.normal(size=(64, 4))).astype("complex64")
    y = (x.imag.sum(1, keepdims=True) - abs(x).sum(1, keepdims=True)).astype("float32")
    losses = model.fit(x, y, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 3
    assert model.predict(x, verbose=0).shape == (64, 1)


def test_a_model_returns_complex_predictions() -> None:
    inputs = hornbeam.Input((2,))
    model = hornbeam.Model(inputs, ops.polar(inputs, inputs))
    assert model.output.dtype == "complex64"
    x = np.ones((3, 2), "float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), np.exp(1j * x), rtol=1e-6)


def test_symbolic_shapes_and_dtypes() -> None:
    z = KerasTensor((None, 3, 2), "float32")
    assert ops.view_as_complex(z).dtype == "complex64"
    assert ops.view_as_complex(z).shape == (None, 3)
    back = ops.view_as_real(KerasTensor((None, 3), "complex64"))
    assert (back.shape, back.dtype) == ((None, 3, 2), "float32")
    assert ops.abs(KerasTensor((None,), "complex128")).dtype == "float64"


def test_lowered_graphs_have_real_types() -> None:
    z = placeholder(TensorType((3,), "complex64"), 1)
    graph = Graph([z], [ops.exp(hornbeam.Tensor(z)).node, ops.abs(hornbeam.Tensor(z)).node])
    lowered = verify(lower(verify(graph)))
    assert has_complex(graph)
    assert not has_complex(lowered)
    assert list(map(str, lowered.in_types)) == ["float32[3,2]"]
    assert list(map(str, lowered.out_types)) == ["float32[3,2]", "float32[3]"]


def test_errors_name_the_dtype() -> None:
    with pytest.raises(HornbeamTypeError, match="does not take complex64"):
        ops.erf(Z)
    with pytest.raises(HornbeamTypeError, match="complex64"):
        ops.relu(Z)
    for name in (
        "median", "nanmedian", "rfft", "signbit", "trunc", "histogram", "isposinf", "isneginf", "argmax",
    ):  # fmt: skip
        with pytest.raises(HornbeamTypeError, match=f"{name} does not take complex64"):
            getattr(ops, name)(Z)
    with pytest.raises(HornbeamTypeError, match=r"quantile does not take complex64.*ops\.real"):
        ops.quantile(Z, 0.5)
    with pytest.raises(ShapeError, match="pairs"):
        ops.view_as_complex([1.0, 2.0, 3.0])


EDGES = [0, -0.0, 1, -1, 1j, -1j, 2, -2, 2j, -2j, 1e-20, 1e-20j, 1e19, -1e19j, 30, -30, 30j, 3 + 4j, -3 - 4j]


@pytest.mark.parametrize(
    "name", ["sqrt", "abs", "exp", "tanh", "log1p", "expm1", "arcsinh", "arctan", "reciprocal", "arccosh"]
)
def test_edges_agree_with_numpy(name: str) -> None:
    values = np.array(EDGES, "complex64")
    if name == "arctan":
        values = values[abs(values * values + 1) > 0]
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(values.astype("complex128")).astype("complex64")
    result = np.asarray(getattr(ops, name)(values))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(result[finite], expected[finite], rtol=1e-5, atol=1e-6)


def test_sigmoid_does_not_overflow() -> None:
    expected = [0, 1, np.exp(-30 + 2j)]
    np.testing.assert_allclose(ops.sigmoid([-200 + 1j, 200 - 3j, -30 + 2j]), expected, rtol=1e-5, atol=1e-30)


def _eig_matrices() -> list[np.ndarray]:
    rng = np.random.default_rng(9)
    real = rng.normal(size=(2, 4, 4))
    return [
        real,
        real + 1j * rng.normal(size=(2, 4, 4)),
        np.array([[0.0, -1.0], [1.0, 0.0]]),
        np.zeros((3, 3)),
        np.roll(np.eye(5), 1, 0),
        np.array([[2.0, 1.0], [0.0, 2.0]]),
        real.astype("float32"),
        np.zeros((0, 2, 2)),
    ]


@pytest.mark.parametrize("engine", ["native", "reference", "jax", "torch", "tensorflow", "pytensor", "mlx"])
def test_eigenvalues_and_vectors(engine: str) -> None:
    engine_or_skip(engine)
    with engines.using(engine):
        for x in _eig_matrices():
            w, v = map(np.asarray, ops.eig(x))
            assert w.dtype == v.dtype == ("complex64" if x.dtype == np.float32 else "complex128")
            close = {"rtol": 1e-4, "atol": 1e-5} if x.dtype == np.float32 else {"rtol": 1e-7, "atol": 1e-12}
            np.testing.assert_allclose(x @ v, v * w[..., None, :], **close)
            np.testing.assert_allclose(np.linalg.norm(v, axis=-2), 1, **close)
            np.testing.assert_allclose(w.sum(-1), np.trace(x, axis1=-2, axis2=-1), **close)
        w, v = ops.eig(np.full((2, 2), np.nan))
        assert np.isnan(np.asarray(w)).all()
        assert np.isnan(np.asarray(v)).all()


@pytest.mark.parametrize("case", range(3))
def test_gradients_of_eig_agree_with_differences(case: int) -> None:
    matrices = _eig_matrices()[case]
    x = matrices.reshape(-1, *matrices.shape[-2:])[:1]
    weights = np.random.default_rng(2).normal(size=x.shape)

    def loss(m: Any) -> Any:
        w, v = ops.eig(m)
        order = ops.argsort(ops.real(w) + ops.imag(w), -1)
        sizes = ops.take_along_axis(ops.transpose(ops.abs(v) ** 4, (0, 2, 1)), order[..., None], 1)
        values = ops.take_along_axis(ops.abs(w) ** 2 + ops.imag(w), order, -1)
        return ops.sum(sizes * weights) + ops.sum(values * weights[:, 0])

    gradient = np.asarray(hornbeam.grad(loss)(x))
    assert gradient.dtype == x.dtype
    for direction in [weights, weights.swapaxes(-1, -2) * (1j if x.dtype.kind == "c" else -0.7)]:
        step = 1e-6 * direction
        difference = (float(loss(x + step)) - float(loss(x - step))) / 2e-6
        np.testing.assert_allclose(np.real(np.sum(gradient * direction)), difference, rtol=1e-5, atol=1e-7)


def test_complex_systems_are_solved() -> None:
    a = _eig_matrices()[1]
    np.testing.assert_allclose(ops.solve(a, a @ np.ones((4, 2))), np.ones((2, 4, 2)), rtol=1e-9)
    np.testing.assert_allclose(ops.inv(a), np.linalg.inv(a), rtol=1e-9)
