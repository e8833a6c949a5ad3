"""Sequential models and models as subclasses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.random import set_random_seed

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def test_with_an_input() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")], name="net")
    assert model.built
    assert [layer.name for layer in model.layers] == ["a", "b"]
    assert [v.path for v in model.weights] == ["net/a/kernel", "net/a/bias", "net/b/kernel", "net/b/bias"]
    assert (model.input_shape, model.output_shape, model.count_params()) == ((None, 4), (None, 2), 23)


@pytest.mark.parametrize("first", [{"input_shape": (4,)}, {"input_dim": 4}])
def test_with_the_shape_in_the_first_layer(first: dict[str, Any]) -> None:
    model = hb.Sequential([layers.Dense(3, **first), layers.Dense(2)])
    assert model.output_shape == (None, 2)
    assert len(model.layers) == 2


def test_deferred() -> None:
    model = hb.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built
    with pytest.raises(AttributeError, match="not built"):
        _ = model.input_shape
    assert model(X).shape == (5, 2)
    assert model.built
    assert model.output_shape == (None, 2)
    explicit = hb.Sequential([layers.Dense(3)])
    explicit.build((None, 4))
    assert explicit.output_shape == (None, 3)


def test_add_and_pop() -> None:
    model = hb.Sequential()
    model.add(hb.Input((4,)))
    model.add(layers.Dense(3))
    model.add(layers.Dense(2))
    before = model.predict(X, verbose=0)
    top = model.pop()
    assert model.output_shape == (None, 3)
    assert model.predict(X, verbose=0).shape == (5, 3)
    model.add(top)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)
    with pytest.raises(ValueError, match="no layer to remove"):
        hb.Sequential().pop()


def test_a_model_as_a_layer() -> None:
    base = hb.Sequential([hb.Input((4,)), layers.Dense(3)], name="base")
    model = hb.Sequential([base, layers.Dense(1)])
    assert model.input_shape == (None, 4)
    assert model.layers[0] is base
    x = hb.Input((4,))
    functional = hb.Model(x, layers.Dense(1)(base(x)))
    assert len(functional.weights) == 4
    base.trainable = False
    assert len(model.trainable_weights) == len(functional.trainable_weights) == 2


def test_layers_become_a_model_by_their_outputs() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2)])
    inner = hb.Model(model.inputs, model.get_layer("a").output)
    assert inner.predict(X, verbose=0).shape == (5, 3)


def test_config_and_back() -> None:
    model = hb.Sequential(
        [hb.Input((4,)), layers.Dense(3, activation="relu"), layers.Dropout(0.5)], name="net"
    )
    config = model.get_config()
    assert list(config) == ["name", "trainable", "dtype", "layers", "build_input_shape"]
    assert config["build_input_shape"] == (None, 4)
    assert [entry["class_name"] for entry in config["layers"]] == ["InputLayer", "Dense", "Dropout"]
    again = hb.Sequential.from_config(config)
    assert again.get_config() == config
    deferred = hb.Sequential([layers.Dense(3)])
    assert "build_input_shape" not in deferred.get_config()
    deferred(X)
    assert hb.Sequential.from_config(deferred.get_config()).built


def test_compile_settings_in_json() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3)])
    model.compile(hb.optimizers.SGD(0.25), hb.losses.Huber(0.5), metrics=["mae"])
    again = hb.models.model_from_json(model.to_json())
    assert float(again.optimizer.learning_rate) == 0.25
    assert again.evaluate(X, X[:, :3], verbose=0)[0] > 0
    model.compile("sgd", lambda y_true, y_pred: ops.mean(y_pred, axis=-1))
    with pytest.warns(UserWarning, match="not part of the config: a lambda"):
        assert model.get_compile_config() == {}


def test_clone() -> None:
    model = hb.Sequential([layers.Dense(3), layers.Dense(2)])
    model(X)
    duplicate = hb.models.clone_model(model)
    duplicate.set_weights(model.get_weights())
    np.testing.assert_array_equal(duplicate.predict(X, verbose=0), model.predict(X, verbose=0))


def test_functions_are_layers_too() -> None:
    model = hb.Sequential([hb.Input((4,)), ops.abs])
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.abs(X))


# -- subclasses ------------------------------------------------------------------------------------


@hb.saving.register_keras_serializable("tests")
class Two(hb.Model):
    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = layers.Dense(units, activation="relu")
        self.rest = [layers.Dropout(0.1), layers.Dense(1)]

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_subclass(engine: str) -> None:
    set_random_seed(3)
    model = Two(name="two")
    assert [layer.name for layer in model.layers] == [model.first.name, *(layer.name for layer in model.rest)]
    assert model.weights == []
    model.compile("sgd", "mse")
    first, *_, last = model.fit(X, X[:, 0], epochs=20, verbose=0).history["loss"]
    assert last < first
    assert model.weights[0].path == f"two/{model.first.name}/kernel"


def test_subclass_is_built_by_a_shape() -> None:
    model = Two()
    model.build((None, 4))
    assert model.count_params() == 4 * 3 + 3 + 3 + 1


def test_subclass_config() -> None:
    model = Two(units=7, name="seven")
    again = hb.models.model_from_json(model.to_json())
    assert isinstance(again, Two)
    assert (again.first.units, again.name) == (7, "seven")


def test_registered_functional_subclass_in_json() -> None:
    @hb.saving.register_keras_serializable("tests")
    class Graph(hb.Model):
        pass

    x = hb.Input((4,))
    model = Graph(x, layers.Dense(2)(x))
    again = hb.models.model_from_json(model.to_json())
    assert isinstance(again, Graph)
    assert again.output_shape == (None, 2)


def test_symbolic_call_of_a_subclass() -> None:
    x = hb.Input((4,))
    model = hb.Model(x, Two()(x))
    assert model.output_shape == (None, 1)


def test_several_arguments() -> None:
    class Both(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return {"sum": self.dense(inputs["a"]) + self.dense(inputs["b"]), "a": inputs["a"]}

    model = Both()
    model.compile("sgd", {"sum": "mse"})
    model.fit({"a": X, "b": X}, {"sum": X[:, :2]}, verbose=0)
    assert sorted(model.predict({"a": X, "b": X}, verbose=0)) == ["a", "sum"]


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(NotImplementedError, match="does not define call"):
        hb.Model()(X)
    with pytest.raises(NotImplementedError, match="export"):
        Two().export("somewhere", format="openvino")


def test_state_tree() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    tree = model.get_state_tree(value_format="numpy_array")
    dense = tree["trainable_variables"]["net"][model.layers[0].name]
    assert list(dense) == ["kernel", "bias"]
    dense["bias"] = [2.0]
    model.set_state_tree(tree)
    assert model.get_weights()[1].tolist() == [2.0]
