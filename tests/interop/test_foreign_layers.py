"""Modules of PyTorch, functions of JAX and modules of Flax as layers. What is not installed is skipped."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import config, layers, ops
from hornbeam.core import registry
from hornbeam.engines import installed, using
from hornbeam.errors import MissingPrimitiveError
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 2, 6, 6)).astype("float32")
Y = RNG.normal(size=(32, 3)).astype("float32")
NEEDS_TORCH = pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
NEEDS_JAX = pytest.mark.skipif("jax" not in installed(), reason="needs JAX")


@pytest.fixture(autouse=True)
def native() -> Any:
    hornbeam.utils.set_random_seed(1)
    yield
    config.set_engine("native")


def close(x: Any, y: Any, tolerance: float = 2e-6) -> None:
    np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def trained(layer: Any, x: Any, engine: str, steps: int = 6) -> hornbeam.Model:
    model = compiled_model(x.shape[1:], [layer], hornbeam.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(x, Y, batch_size=32, epochs=steps, verbose=0, engine=engine)
    return model


# -- PyTorch -------------------------------------------------------------------------------------------------


def torch_net(**kwargs: Any) -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(inplace=True),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 3),
    )


@NEEDS_TORCH
def test_a_torch_module_trains_as_in_pytorch() -> None:
    import torch

    module = torch_net()
    alone = copy.deepcopy(module)
    model = trained(layers.TorchModuleWrapper(module, name="net"), X, "torch")
    optimizer = torch.optim.SGD(alone.parameters(), 0.1, momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(alone(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        optimizer.step()
    ours = model.layers[-1].module.state_dict()
    assert int(ours["1.num_batches_tracked"]) == 6
    for name, value in alone.state_dict().items():
        close(ours[name], value, 2e-5)
    with torch.no_grad():
        expected = alone.eval()(torch.from_numpy(X))
    close(model.predict(X, verbose=0, engine="torch"), expected, 5e-5)
    kinds = [(w.name, w.trainable) for w in model.layers[-1].weights]
    assert kinds[:2] == [("0.weight", True), ("0.bias", True)]
    assert ("1.running_mean", False) in kinds
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "TorchModuleWrapper" in "".join(lines)
    assert model.count_params() == 76 + 8 + 195 + 9


@NEEDS_TORCH
def test_what_pytorch_draws_follows_the_seed_and_is_the_same_in_the_backward_pass() -> None:
    import torch

    x = np.ones((4, 50), "float32")
    with using("torch"):
        before = torch.get_rng_state()
        layer = layers.TorchModuleWrapper(torch.nn.Dropout(0.5))

        def loss(x: Any) -> Any:
            return ops.sum(layer(x, training=True) * 3)

        gradient = np.asarray(hornbeam.grad(loss)(ops.convert_to_tensor(x)))
        assert set(np.unique(gradient)) == {0.0, 6.0}
        value, gradient = hornbeam.value_and_grad(loss)(ops.convert_to_tensor(x))
        assert float(value) == np.asarray(gradient).sum()
        first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
        assert (first != second).any()
        assert (np.asarray(layer(x, training=False)) == x).all()
        assert torch.equal(before, torch.get_rng_state())
    draws = []
    for _ in range(2):
        hornbeam.utils.set_random_seed(5)
        with using("torch"):
            draws.append(np.asarray(layers.TorchModuleWrapper(torch.nn.Dropout(0.5))(x, training=True)))
    assert (draws[0] == draws[1]).all()


@NEEDS_TORCH
def test_structures_arguments_by_name_frozen_and_tied_parameters() -> None:
    import torch

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(3, 3)
            self.second = torch.nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.first.bias.requires_grad_(False)

        def forward(self, pair: Any, *, scale: float, shift: Any = None) -> Any:
            a, b = pair["a"], pair["b"]
            return {"sum": self.first(a) + self.second(b) * scale, "count": (a.shape[0], a > 0, shift)}

    module = Two()
    alone = copy.deepcopy(module)
    layer = layers.TorchModuleWrapper(module)
    assert [(w.name, w.trainable) for w in layer.weights] == [
        ("first.weight", True), ("second.bias", True), ("first.bias", False)
    ]  # fmt: skip
    a, b, shift = (RNG.normal(size=(5, 3)).astype("float32") for _ in range(3))
    with using("torch"):
        actual = layer({"a": a, "b": b}, scale=2.0, shift=shift)
        expected = alone({"a": torch.from_numpy(a), "b": torch.from_numpy(b)}, scale=2.0)
        close(actual["sum"], expected["sum"].detach())
        assert actual["count"][0] == 5
        assert (np.asarray(actual["count"][1]) == (a > 0)).all()
        close(actual["count"][2], shift)
        other = layer({"a": a, "b": b}, scale=3.0, shift=shift)
        assert not np.allclose(other["sum"], actual["sum"])
    assert set(layer._state_dict()) == set(alone.state_dict())


@NEEDS_TORCH
def test_second_derivatives_and_derivatives_of_recomputed_parts_are_pytorchs() -> None:
    import torch

    layer = layers.TorchModuleWrapper(torch.nn.Tanh())
    x = RNG.normal(size=(7,)).astype("float32")
    t = np.tanh(x)
    with using("torch"):

        def total(x: Any) -> Any:
            return ops.sum(layer(x))

        tensor = ops.convert_to_tensor(x)
        close(hornbeam.grad(total)(tensor), 1 - t**2)
        close(hornbeam.grad(lambda x: ops.sum(hornbeam.grad(total)(x)))(tensor), -2 * t * (1 - t**2))
        close(hornbeam.grad(lambda x: hornbeam.checkpoint(total)(x))(tensor), 1 - t**2)
        close(hornbeam.jit(hornbeam.grad(total))(tensor), 1 - t**2)


@NEEDS_TORCH
def test_weights_of_a_torch_module_are_saved_as_keras_does(tmp_path: Path) -> None:
    model = trained(layers.TorchModuleWrapper(torch_net()), X, "torch")
    model.save_weights(tmp_path / "a.weights.h5")
    other = hornbeam.Sequential([layers.Input(X.shape[1:]), layers.TorchModuleWrapper(torch_net())])
    other.load_weights(tmp_path / "a.weights.h5")
    close(other.predict(X, verbose=0, engine="torch"), model.predict(X, verbose=0, engine="torch"))
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        names: list[str] = []
        file.visit(names.append)
    assert any(name.endswith("vars/1.running_var") for name in names)
    wrong = hornbeam.Sequential([layers.Input(X.shape[1:]), layers.TorchModuleWrapper(torch_net()[:2])])
    with pytest.raises(ValueError, match=r"differ in .*4\.bias"):
        wrong.load_weights(tmp_path / "a.weights.h5")


@NEEDS_TORCH
def test_files_hold_registered_modules_and_no_pickles(tmp_path: Path) -> None:
    import torch

    with pytest.raises(TypeError, match="get_config"):
        registry.serialize(layers.TorchModuleWrapper(torch_net()))
    with pytest.raises(ValueError, match="pickled"):
        layers.TorchModuleWrapper.from_config({"module": "gASVAAA="})

    @registry.register_keras_serializable("test")
    class Scale(torch.nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size, self.weight = size, torch.nn.Parameter(torch.arange(float(size)))

        def forward(self, x: Any) -> Any:
            return x * self.weight

        def get_config(self) -> dict[str, Any]:
            return {"size": self.size}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls(**config)

    model = hornbeam.Sequential([layers.Input((3,)), layers.TorchModuleWrapper(Scale(3), name="scale")])
    model.layers[-1].set_weights([np.array([5.0, 6.0, 7.0])])
    model.save(tmp_path / "m.keras")
    loaded = hornbeam.models.load_model(tmp_path / "m.keras")
    close(loaded.predict(np.ones((2, 3)), verbose=0, engine="torch"), [[5, 6, 7]] * 2)


@NEEDS_TORCH
def test_mistakes_with_torch_modules_say_what_to_do() -> None:
    import torch

    model = compiled_model(
        (4,), [layers.TorchModuleWrapper(torch.nn.Linear(4, 3), name="linear")], "sgd", "mse"
    )
    for engine in ("native", "reference"):
        with pytest.raises(
            MissingPrimitiveError, match=rf"linear.*torch.*{engine} engine.*set_engine\('torch'\)"
        ):
            model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0, engine=engine)
    with pytest.raises(ValueError, match="call the module once"):
        layers.TorchModuleWrapper(torch.nn.LazyLinear(3))
    with pytest.raises(TypeError, match=r"takes a torch\.nn\.Module"):
        layers.TorchModuleWrapper(lambda x: x)

    class Chosen(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x[x > 0]

    with pytest.raises(TypeError, match="needs values"):
        layers.TorchModuleWrapper(Chosen())(np.ones(3, "float32"))


BESIDE_TENSORFLOW = """
import tensorflow, torch, hornbeam
from hornbeam import layers
layer = layers.TorchModuleWrapper(torch.nn.BatchNorm1d(3))
model = hornbeam.Sequential([layers.Input((3,)), layer])
print(model.output_shape)
"""


@NEEDS_TORCH
@pytest.mark.skipif("tensorflow" not in installed(), reason="needs TensorFlow")
def test_shapes_of_a_torch_module_beside_tensorflow() -> None:
    """PyTorch imports Triton to infer shapes; after TensorFlow that import aborted the process."""
    ran = subprocess.run([sys.executable, "-c", BESIDE_TENSORFLOW], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["(None,", "3)"]


# -- JAX -----------------------------------------------------------------------------------------------------


@NEEDS_JAX
def test_a_function_of_jax_trains_as_in_jax() -> None:
    import jax
    import jax.numpy as jnp

    def call(params: Any, inputs: Any) -> Any:
        hidden = jnp.tanh(inputs @ params["dense"]["w"] + params["dense"]["b"])
        return hidden @ params["out"] + jnp.arange(3) * 0.5

    params = {
        "dense": {"w": RNG.normal(size=(72, 5)).astype("float32") / 9, "b": np.zeros(5, "float32")},
        "out": RNG.normal(size=(5, 3)).astype("float32"),
    }
    x = X.reshape(32, -1)
    model = trained(layers.JaxLayer(call, params=params), x, "jax")
    gradient = jax.grad(lambda p: ((call(p, x) - Y) ** 2).mean())
    velocity = jax.tree.map(jnp.zeros_like, params)
    for _ in range(6):
        velocity = jax.tree.map(lambda v, g: 0.9 * v - 0.1 * g, velocity, gradient(params))
        params = jax.tree.map(jnp.add, params, velocity)
    layer = model.layers[-1]
    assert [w.name for w in layer.weights] == ["dense_b", "dense_w", "out"]
    close(layer.params["dense"]["w"], params["dense"]["w"])
    close(layer.params["out"], params["out"])
    close(model.predict(x, verbose=0, engine="jax"), call(params, x), 1e-5)


@NEEDS_JAX
def test_state_keys_structures_and_init_of_a_function_of_jax() -> None:
    import jax
    import jax.numpy as jnp

    def init(rng: Any, inputs: Any) -> Any:
        return jax.random.normal(rng, (inputs["a"].shape[-1], 2)), {"count": 0, "mean": jnp.zeros(3)}

    def call(params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> Any:
        x = inputs["a"] + inputs["b"]
        if training:
            x = x * jax.random.bernoulli(rng, 0.5, x.shape)
        new = {"count": state["count"] + 1, "mean": inputs["a"].mean(0)}
        return (x @ params, {"ones": jnp.ones(2)}), new

    layer = layers.JaxLayer(call, init, seed=4)
    a, b = (RNG.normal(size=(5, 3)).astype("float32") for _ in range(2))
    with using("jax"):
        product, rest = layer({"a": a, "b": b})
        close(product, (a + b) @ np.asarray(layer.params), 1e-5)
        assert rest["ones"].dtype == "float32"
        first, second = (np.asarray(layer({"a": a, "b": b}, training=True)[0]) for _ in range(2))
        assert (first != second).any()
        assert int(layer.state["count"].numpy()) == 3
        close(layer.state["mean"], a.mean(0))
    assert [w.trainable for w in layer.weights] == [True, False, False]
    wrong = layers.JaxLayer(lambda state, inputs: (inputs, {}), state={"n": 1})
    with pytest.raises(ValueError, match="structure"):
        wrong(a)


@NEEDS_JAX
def test_second_derivatives_are_jaxs_and_the_users_64_bit_setting_holds() -> None:
    import jax.numpy as jnp

    def call(inputs: Any) -> Any:
        assert jnp.ones(()).dtype == jnp.float32
        return jnp.tanh(inputs)

    layer = layers.JaxLayer(call)
    x = RNG.normal(size=(7,)).astype("float32")
    t = np.tanh(x)
    with using("jax"):

        def total(x: Any) -> Any:
            return ops.sum(layer(x))

        tensor = ops.convert_to_tensor(x)
        close(hornbeam.grad(total)(tensor), 1 - t**2)
        close(hornbeam.grad(lambda x: ops.sum(hornbeam.grad(total)(x)))(tensor), -2 * t * (1 - t**2))
        close(hornbeam.grad(lambda x: hornbeam.checkpoint(total)(x))(tensor), 1 - t**2)


@NEEDS_JAX
def test_mistakes_with_functions_of_jax_say_what_to_do(tmp_path: Path) -> None:
    for arguments, text in [
        ((lambda params: 0,), "must have an argument `inputs`"),
        ((lambda inputs, mode: 0,), "'mode'"),
        ((lambda params, inputs: 0,), "init_fn"),
    ]:
        with pytest.raises(ValueError, match=text):
            layers.JaxLayer(*arguments)
    model = hornbeam.Sequential(
        [layers.Input((4,)), layers.JaxLayer(lambda inputs: inputs * 2, name="twice")]
    )
    with pytest.raises(MissingPrimitiveError, match=r"twice.*jax.*native engine.*set_engine\('jax'\)"):
        model.predict(np.ones((2, 4)), verbose=0)


@registry.register_keras_serializable("test")
def tripled(inputs: Any) -> Any:
    return inputs * 3


@NEEDS_JAX
def test_a_layer_of_a_registered_function_is_saved(tmp_path: Path) -> None:
    model = hornbeam.Sequential([layers.Input((4,)), layers.JaxLayer(tripled)])
    model.save(tmp_path / "m.keras")
    loaded = hornbeam.models.load_model(tmp_path / "m.keras")
    close(loaded.predict(np.ones((2, 4)), verbose=0, engine="jax"), np.full((2, 4), 3.0))


ON_A_MESH = """
import numpy as np, hornbeam, jax.numpy as jnp
from hornbeam import distribution, layers
hornbeam.config.set_engine("jax")
hornbeam.utils.set_random_seed(0)
distribution.set_distribution(distribution.DataParallel())
weights = np.full((4, 2), 0.1, "float32")
layer = layers.JaxLayer(lambda params, inputs: jnp.tanh(inputs @ params), params=weights)
model = hornbeam.Sequential([layers.Input((4,)), layer])
model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
history = model.fit(x, x[:, :2], batch_size=16, verbose=0).history
print(history["loss"][0], len(distribution.list_devices()))
"""


@NEEDS_JAX
def test_a_function_of_jax_runs_on_several_devices() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    ran = subprocess.run([sys.executable, "-c", ON_A_MESH], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    loss, devices = ran.stdout.split()[-2:]
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    close(float(loss), ((np.tanh(x @ np.full((4, 2), 0.1)) - x[:, :2]) ** 2).mean(), 1e-5)
    assert devices == "2"


# -- Flax ----------------------------------------------------------------------------------------------------


def flax_net() -> Any:
    nn = pytest.importorskip("flax.linen")

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        @nn.compact
        def __call__(self, inputs: Any, training: bool = False) -> Any:
            x = nn.Conv(4, (3, 3), name="conv")(inputs)
            x = nn.relu(nn.BatchNorm(use_running_average=not training, name="norm")(x))
            x = nn.Dropout(0.25, deterministic=not training)(x)
            return nn.Dense(3, name="head")(x.mean((1, 2)))

    return Net()


@NEEDS_JAX
def test_a_module_of_flax_trains_with_its_state(tmp_path: Path) -> None:
    module = flax_net()
    x = X.transpose(0, 2, 3, 1)
    model = trained(layers.FlaxLayer(module, name="flax"), x, "jax", steps=30)
    layer = model.layers[-1]
    history = model.fit(x, Y, batch_size=32, verbose=0, engine="jax").history["loss"]
    assert history[0] < ((Y - Y.mean(0)) ** 2).mean() * 1.05
    variables = {**layer.params, **layer.state}
    import jax

    values = jax.tree.map(np.asarray, variables)
    assert np.abs(values["batch_stats"]["norm"]["mean"]).max() > 1e-3
    close(model.predict(x, verbose=0, engine="jax"), module.apply(values, x), 1e-5)
    assert {w.name: w.trainable for w in layer.weights}["batch_stats_norm_var"] is False
    # One step in training mode moves the statistics as Flax does.
    mean = values["batch_stats"]["norm"]["mean"]
    _, new = module.apply(
        values, x, training=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
    )
    with using("jax"):
        layer(x, training=True)
    close(layer.state["batch_stats"]["norm"]["mean"], new["batch_stats"]["norm"]["mean"], 1e-5)
    assert np.abs(mean - np.asarray(layer.state["batch_stats"]["norm"]["mean"])).max() > 0
    model.save_weights(tmp_path / "a.weights.h5")
    again = hornbeam.Sequential([layers.Input(x.shape[1:]), layers.FlaxLayer(module)])
    again.load_weights(tmp_path / "a.weights.h5")
    close(again.predict(x, verbose=0, engine="jax"), model.predict(x, verbose=0, engine="jax"))


@NEEDS_JAX
def test_given_variables_and_methods_of_flax() -> None:
    nn = pytest.importorskip("flax.linen")
    import jax

    module = nn.Dense(3)
    variables = module.init(jax.random.key(0), np.ones((1, 2), "float32"))
    x = RNG.normal(size=(4, 2)).astype("float32")
    with using("jax"):
        layer = layers.FlaxLayer(module, variables=variables)
        close(layer(x), module.apply(variables, x))
        doubled = layers.FlaxLayer(
            module, method=lambda module, inputs: module(inputs) * 2, variables=variables
        )
        close(doubled(x), 2 * module.apply(variables, x))
