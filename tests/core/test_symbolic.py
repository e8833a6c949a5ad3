"""Symbolic tensors: shapes with unknown sizes, structures, and errors where a value is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import KerasTensor, layers, ops
from hornbeam.core import lazy
from hornbeam.core.symbolic import infer_types, symbolic_call
from hornbeam.ir.types import HornbeamTypeError, ShapeError

X = KerasTensor((None, 8, 4), name="x")
Y = KerasTensor((None, None, 4))


def test_what_it_knows() -> None:
    x = KerasTensor((None, 3), "int32", name="x")
    assert (x.shape, x.dtype, x.ndim, x.name, x.symbolic) == ((None, 3), "int32", 2, "x", True)
    assert repr(x) == str(x) == "<KerasTensor shape=(None, 3) dtype=int32 name=x>"
    assert x.history is None
    assert KerasTensor([2, np.int64(3)]).shape == (2, 3)
    assert KerasTensor((2, 3)).size == 6
    assert len(KerasTensor((2, 3))) == 2
    assert x in [x]
    assert {x: 1}[x] == 1


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        (lambda: X + 1, (None, 8, 4)),
        (lambda: 2.0 / X, (None, 8, 4)),
        (lambda: np.ones((8, 4), "float32") * X, (None, 8, 4)),
        (lambda: X @ np.ones((4, 5), "float32"), (None, 8, 5)),
        (lambda: X > 0, (None, 8, 4)),
        (lambda: -abs(X), (None, 8, 4)),
        (lambda: X[:, 0], (None, 4)),
        (lambda: X[..., None, ::2], (None, 8, 1, 2)),
        (lambda: X[1:], (None, 8, 4)),
        (lambda: X.reshape(-1, 32), (None, 32)),
        (lambda: ops.reshape(X, (-1, 2)), (None, 2)),
        (lambda: X.astype("int32"), (None, 8, 4)),
        (lambda: ops.sum(X, axis=0), (8, 4)),
        (lambda: ops.mean(X), ()),
        (lambda: ops.transpose(X), (4, 8, None)),
        (lambda: ops.concatenate([X, X], axis=1), (None, 16, 4)),
        (lambda: ops.concatenate([X, Y], axis=1), (None, None, 4)),
        (lambda: ops.concatenate([X, X], axis=0), (None, 8, 4)),
        (lambda: ops.stack([Y, Y], axis=1), (None, 2, None, 4)),
        (lambda: ops.matmul(Y, ops.transpose(Y, (0, 2, 1))), (None, None, None)),
        (lambda: ops.pad(Y, ((0, 0), (1, 1), (0, 0))), (None, None, 4)),
        (lambda: ops.where(Y > 0, Y, 0.0), (None, None, 4)),
        (lambda: hornbeam.jit(lambda v: v * 2)(Y), (None, None, 4)),
    ],
)
def test_shapes(fn: Callable[[], Any], shape: tuple) -> None:
    result = fn()
    assert isinstance(result, KerasTensor)
    assert result.shape == shape


def test_dtypes() -> None:
    assert (X > 0).dtype == "bool"
    assert ops.argmax(X, axis=-1).dtype == "int32"
    assert (KerasTensor((None,), "int32") / 2).dtype == "float32"
    assert (KerasTensor((None,), "float16") + 1.5).dtype == "float16"


def test_structures_come_back() -> None:
    parts = ops.split(X, 2, axis=1)
    assert [x.shape for x in parts] == [(None, 4, 4), (None, 4, 4)]
    assert [x.output_index for x in parts] == [0, 1]
    assert parts[0].history is parts[1].history

    result = symbolic_call(lambda x: {"b": x[:, 0], "a": (x, [x + 1]), "n": None, "k": 3}, (X,), {})
    assert (result["b"].shape, result["a"][1][0].shape, result["n"], result["k"]) == (
        (None, 4),
        (None, 8, 4),
        None,
        3,
    )
    assert result["a"][0].history.result is result


def test_the_record_of_a_call() -> None:
    y = ops.add(X, 1.0)
    call = y.history
    assert call.inputs == [X]
    assert call.args == (X, 1.0)
    assert call.callee is inspect.unwrap(ops.add)
    z = ops.concatenate([X, y], axis=-1)
    assert z.history.inputs == [X, y]
    assert z.history.kwargs == {"axis": -1}


def test_masks_travel() -> None:
    x = layers.Embedding(10, 4, mask_zero=True)(KerasTensor((None, 6), "int32"))
    assert x.shape == (None, 6, 4)
    seen = []

    def look(v: Any) -> Any:
        seen.append(v._keras_mask)
        return v

    x._keras_mask = KerasTensor((None, 6), "bool")
    infer_types(look, (x,), {})
    assert [mask.shape[1] for mask in seen] == [6]


def test_a_trial_run_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(nodes: object) -> None:
        raise AssertionError("a trial run must not compute values")

    monkeypatch.setattr(lazy, "evaluate", refuse)
    huge = KerasTensor((None, 100_000, 100_000))
    assert ops.matmul(huge, ops.transpose(huge, (0, 2, 1))).shape == (None, 100_000, 100_000)


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        np.asarray, np.exp, float, int, bool, list, len, lambda x: x.numpy(), lambda x: x.item(),
        lambda x: [1, 2][x], lambda x: f"{x:.2f}", lambda x: x.size, lambda x: 1 if x > 0 else 2,
        lambda x: x.node, lambda x: hornbeam.grad(lambda v: ops.sum(v))(x), lambda x: hornbeam.Variable(x),
    ],
)  # fmt: skip
def test_a_value_is_not_there(read: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"symbolic|known|only an integer scalar"):
        read(KerasTensor((None, 3), name="x"))


def test_errors_name_the_tensor() -> None:
    with pytest.raises(TypeError, match=r"<KerasTensor shape=\(None, 3\) dtype=float32 name=x> is symbolic"):
        KerasTensor((None, 3), name="x").numpy()
    with pytest.raises(TypeError, match=r"cannot decide an `if`; use ops\.where or ops\.cond"):
        bool(KerasTensor(()))
    with pytest.raises(AttributeError, match=r"a Tensor has no 'sum': write hornbeam\.ops\.sum\(x\)"):
        _ = KerasTensor(()).sum


def test_errors_of_shapes_have_no_probed_sizes() -> None:
    with pytest.raises(ShapeError, match=r"\(None, 8, 4\) and \(5, 5\): the inner sizes differ$") as error:
        X @ np.ones((5, 5), "float32")
    assert "83" not in str(error.value)
    with pytest.raises(ShapeError, match=r"\(2, 3\), \(2, 4\)"):
        KerasTensor((2, 3)) + np.ones((2, 4), "float32")
    with pytest.raises(HornbeamTypeError, match="does not take float32"):
        X & X


def test_wrong_specifications() -> None:
    for shape in (("a",), (1.5,), ((2, 3),)):
        with pytest.raises(TypeError, match="a tuple of integers and None"):
            KerasTensor(shape)
    with pytest.raises(ShapeError, match="must not be negative"):
        KerasTensor((None, -1))
    with pytest.raises(TypeError, match="unknown dtype 'float99'"):
        KerasTensor((1,), "float99")


def test_symbols_know_that_they_have_a_mask() -> None:
    """A layer that insists on a mask can be called in a functional model."""

    class Steps(layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            if mask is None:
                raise ValueError("no mask")
            return ops.sum(ops.cast(mask, "int32"), axis=1)

        def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
            return None

    words = hornbeam.Input((None,), dtype="int32")
    embedded = layers.Dense(2)(layers.Embedding(5, 3, mask_zero=True)(words))
    assert embedded._keras_mask is not None
    assert (embedded._keras_mask.shape, embedded._keras_mask.dtype) == ((None, None), "bool")
    model = hornbeam.Model(words, Steps()(embedded))
    assert model(np.int32([[1, 2, 0], [3, 0, 0]])).tolist() == [2, 1]
    with pytest.raises(ValueError, match="no mask"):
        Steps()(layers.Dense(2)(hornbeam.Input((None, 3))))


class Doubled(layers.Layer):
    """A layer whose `call` needs numbers, so that it declares its output's shape."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return ops.concatenate([self.dense(x) for _ in range(2)], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        length = input_shape[1]
        return (input_shape[0], None if length is None else 2 * length, 4)


def test_a_declared_shape_is_used() -> None:
    layer = Doubled(dtype="float16")
    x = KerasTensor((None, None, 3))
    y = layer(x)
    assert (y.shape, y.dtype) == ((None, None, 4), "float16")
    assert layer.dense.built
    assert layer.compute_output_spec(KerasTensor((2, 5, 3))).shape == (2, 10, 4)


def test_a_declared_shape_may_come_from_the_inferred_one() -> None:
    class Wrapped(layers.Dense):
        def compute_output_shape(self, input_shape: Any) -> Any:
            return super().compute_output_shape(input_shape)

    layer = Wrapped(7)
    assert layer.compute_output_shape((None, 3)) == (None, 7)
    assert layer(KerasTensor((None, 3))).shape == (None, 7)


def test_python_loops_over_unknown_sizes_say_what_to_do() -> None:
    class Loop(layers.Layer):
        def call(self, x: Any) -> Any:
            return sum(x[:, i] for i in range(x.shape[1]))

    with pytest.raises(TypeError, match=r"unknown \(None\) until the model gets data.*compute_output_shape"):
        Loop()(KerasTensor((None, None, 3)))
    assert Loop()(KerasTensor((None, 5, 3))).shape == (None, 3)


def test_as_conditions_comparisons_are_of_identity() -> None:
    a, b, c = KerasTensor((None, 3)), KerasTensor((None, 3)), KerasTensor((None, 4))
    assert a in [c, b, a]
    assert a not in [c, b]
    assert [c, b, a].index(a) == 2
    assert a == a
    assert a != b
    assert a != c
    assert (a == c) is False
    assert (a == b).shape == (None, 3)
    assert (a == b).dtype == "bool"
    with pytest.raises(TypeError, match="cannot decide an `if`"):
        bool(a == 0)
