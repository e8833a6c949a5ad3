"""Operations of a user's own, in eager code, in models and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops


@hb.saving.register_keras_serializable("test")
class Multiplied(hb.Operation):
    def __init__(self, factor: float, name: str | None = None) -> None:
        super().__init__(name)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


X = np.arange(6, dtype="float32").reshape(2, 3)


def test_eager_and_symbolic() -> None:
    scale = Multiplied(2.0, name="twice")
    np.testing.assert_array_equal(scale(ops.array(X)), X * 2)
    x = hb.Input((3,))
    y = scale(x)
    assert y.shape == (None, 3)
    assert scale.input is x
    assert scale.output is y
    assert scale.compute_output_spec(x).shape == (None, 3)
    assert scale.get_config() == {"name": "twice", "factor": 2.0}
    assert isinstance(layers.Dense(1), hb.Operation)
    with pytest.raises(NotImplementedError, match=r"does not define call\(\)"):
        hb.Operation()(1.0)
    with pytest.raises(AttributeError, match="has not been called on an Input"):
        _ = Multiplied(1.0).input
    with pytest.raises(ValueError, match="without '/'"):
        Multiplied(1.0, name="a/b")


class Shifted(hb.Operation):
    def __init__(self, by: Any = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by


class Nameless(hb.Operation):
    def __init__(self, by: float, scale: float = 2.0) -> None:
        super().__init__()


class Several(hb.Operation):
    def __init__(self, *parts: float) -> None:
        super().__init__()


def test_configs_without_get_config() -> None:
    """A config has every argument of the constructor, and the name where the constructor takes it."""
    assert Shifted(name="shifted").get_config() == {"name": "shifted", "by": 1.0}
    assert Shifted.from_config({"by": 3.0, "name": "a"}).get_config() == {"name": "a", "by": 3.0}
    assert Nameless(1.0).get_config() == {"by": 1.0, "scale": 2.0}
    assert Nameless.from_config({"by": 1.0, "scale": 3.0}).get_config() == {"by": 1.0, "scale": 3.0}
    with pytest.raises(NotImplementedError, match=r"its constructor takes \*parts"):
        Several(1.0).get_config()
    with pytest.raises(NotImplementedError, match="its argument by: cannot serialize"):
        Shifted(object()).get_config()


def test_in_a_model_and_a_file(tmp_path: Path) -> None:
    x = hb.Input((3,))
    scale = Multiplied(3.0)
    model = hb.Model(x, scale(layers.Dense(3, kernel_initializer="ones")(scale(x))))
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(expected, X.sum(1, keepdims=True).repeat(3, 1) * 9)
    assert [operation.name for operation in model.operations].count(scale.name) == 1
    model.save(tmp_path / "m.keras")
    again = hb.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
    duplicate = hb.models.clone_model(model)
    duplicate.set_weights(model.get_weights())
    np.testing.assert_array_equal(duplicate.predict(X, verbose=0), expected)


def test_functions() -> None:
    x, y = hb.Input((3,)), hb.Input((3,))
    f = hb.Function([x, y], {"sum": ops.add(x, y), "flat": ops.sum(x * y, axis=1)}, name="f")
    result = f([X, X])
    np.testing.assert_array_equal(result["flat"], (X * X).sum(1))
    assert len(f.inputs) == 2
    assert f.compute_output_shape([(5, 3), (5, 3)]) == {"sum": (5, 3), "flat": (5,)}
    assert sorted(operation.name for operation in f.operations)[:3] == [
        "add",
        *sorted(x.name for x in f.inputs),
    ]
    middle = (x * 2) + 1
    g = hb.Function(middle, middle**2)
    assert [operation.name for operation in g.operations] == ["power"]
    np.testing.assert_array_equal(g.operations[0](X, 2), X * X)
    with pytest.raises(ValueError, match="at least one output"):
        hb.Function(x, [])
    assert f(f.input)["sum"].shape == (None, 3)
    with pytest.raises(NotImplementedError, match="make a Model"):
        f.get_config()


def test_where_symbolic_tensors_come_from() -> None:
    """As scripts for Keras read it, to walk a model backwards."""
    x = hb.Input((3,))
    dense = layers.Dense(2)
    first, second = dense(x), dense(x * 2)
    assert (first._keras_history.operation, first._keras_history.node_index) == (dense, 0)
    assert second._keras_history == (dense, 1, 0)
    parts = ops.split(x, 3, axis=1)
    assert [part._keras_history.tensor_index for part in parts] == [0, 1, 2]
    assert not hasattr(hb.KerasTensor((3,)), "_keras_history")
