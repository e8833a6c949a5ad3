"""Arrays on shared memory, and models inside of PyTorch and JAX. What is not installed is skipped."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import config, interop, layers, ops
from hornbeam._internal.extras import install_command
from hornbeam.engines import installed, using
from hornbeam.ir.types import HornbeamTypeError

HOSTS = [name for name in installed() if name in ("jax", "torch")]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def native() -> Any:
    yield
    config.set_engine("native")


def address(x: Any) -> int:
    """Return the address of an array."""
    if hasattr(x, "data_ptr"):
        return x.data_ptr()
    if hasattr(x, "unsafe_buffer_pointer"):
        return x.unsafe_buffer_pointer()
    return np.asarray(x).__array_interface__["data"][0]


def namespace(host: str) -> Any:
    return pytest.importorskip({"jax": "jax.numpy"}.get(host, host))


def net() -> hornbeam.Model:
    hornbeam.utils.set_random_seed(4)
    return hornbeam.Sequential(
        [
            layers.Input((8, 8, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(3, name="head"),
        ],
        name="net",
    )


def recurrent() -> hornbeam.Model:
    hornbeam.utils.set_random_seed(4)
    return hornbeam.Sequential(
        [layers.Input((5, 3)), layers.LSTM(4), layers.LayerNormalization(), layers.Dense(3)]
    )


X = {
    net: RNG.normal(size=(6, 8, 8, 2)).astype("float32"),
    recurrent: RNG.normal(size=(6, 5, 3)).astype("float32"),
}


def loss_and_gradients(model: Any, x: np.ndarray) -> tuple[float, list[np.ndarray], np.ndarray]:
    """Hornbeam's own: the sum of squares, its gradients by weight and by input."""
    weights = model.trainable_variables

    def loss(values: Any, x: Any) -> Any:
        mapping = list(zip(weights, values, strict=True))
        with hornbeam.StatelessScope(mapping):
            return ops.sum(ops.square(model(x, training=False)))

    value, (by_weight, by_input) = hornbeam.value_and_grad(loss, argnums=(0, 1))(
        [w.value for w in weights], x
    )
    return float(value), [np.asarray(g) for g in by_weight], np.asarray(by_input)


# -- arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", installed())
def test_numpy_reads_a_tensor_in_place(engine: str) -> None:
    with using(engine):
        x = ops.reshape(ops.arange(600, dtype="float32"), (30, 20)) * 2
        x.numpy()
        there = np.from_dlpack(x)
    assert x.__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(there, x.numpy())
    assert address(there) == address(x.numpy())


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("engine", ["native", "its own"])
def test_a_tensor_there_and_back_without_a_copy(host: str, engine: str) -> None:
    library = namespace(host)
    with using(host if engine == "its own" else engine):
        x = ops.reshape(ops.arange(4096, dtype="float32"), (64, 64)) * 2
        x.numpy()
        there = library.from_dlpack(x)
        back = interop.from_dlpack(there)
        np.testing.assert_array_equal(np.asarray(there), x.numpy())
        np.testing.assert_array_equal(back.numpy(), x.numpy())
        # JAX asks for DLPack before 1.0, which cannot say that memory is read-only: it gets a copy.
        if host == "torch" or engine == "its own":
            assert address(there) == address(x.numpy())
        assert address(there) == address(back.numpy())


@pytest.mark.parametrize("host", HOSTS)
def test_arrays_of_others_are_operands(host: str) -> None:
    library = namespace(host)
    array = library.asarray([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(np.asarray(ops.matmul(array, array)), [[7, 10], [15, 22]])
    assert hornbeam.from_dlpack(array).dtype == "float32"


@pytest.mark.skipif("jax" not in HOSTS, reason="JAX is not installed")
def test_immutable_arrays_are_not_copied() -> None:
    x = namespace("jax").ones((64, 64))
    assert address(ops.convert_to_tensor(x).numpy()) == address(x)


def test_arrays_that_change_are_copied_by_all_but_from_dlpack() -> None:
    x = np.ones((64, 64), "float32")
    copied, borrowed = ops.convert_to_tensor(x), hornbeam.from_dlpack(x)
    assert address(copied.numpy()) != address(x) == address(borrowed.numpy())
    with pytest.raises(TypeError, match="__dlpack__"):
        hornbeam.from_dlpack([1, 2])


@pytest.mark.parametrize("host", HOSTS)
def test_fit_takes_arrays_of_others(host: str) -> None:
    library = namespace(host)
    histories = []
    for convert in (np.asarray, library.asarray):
        model = net()
        model.compile("sgd", "mse")
        data = convert(X[net]), convert(np.ones((6, 3), "float32"))
        histories.append(model.fit(*data, batch_size=3, epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1]


# -- a torch module ------------------------------------------------------------------------------------------

needs_torch = pytest.mark.skipif("torch" not in HOSTS, reason="PyTorch is not installed")


@needs_torch
@pytest.mark.parametrize("build", [net, recurrent])
def test_a_torch_module_gives_our_values_and_gradients(build: Any) -> None:
    import torch

    model, x = build(), X[build]
    value, by_weight, by_input = loss_and_gradients(model, x)
    module = interop.torch_module(model).eval()
    inputs = torch.from_numpy(x.copy()).requires_grad_()
    loss = module(inputs).square().sum()
    loss.backward()
    assert isinstance(module, torch.nn.Module)
    np.testing.assert_allclose(loss.item(), value, rtol=1e-4)
    np.testing.assert_allclose(inputs.grad, by_input, rtol=2e-3, atol=1e-3)
    parameters = list(module.parameters())
    assert len(parameters) == len(by_weight)
    for parameter, gradient in zip(parameters, by_weight, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=2e-3, atol=1e-3)


@needs_torch
def test_torch_trains_it_as_a_part_of_a_bigger_module() -> None:
    import torch

    from hornbeam.engines.torch.triton import import_beside_tensorflow

    import_beside_tensorflow()  # which another test may have loaded: optimizers of PyTorch import Triton
    model = net()
    before = [np.array(w) for w in model.weights]
    module = interop.torch_module(model)
    full = torch.nn.Sequential(module, torch.nn.Linear(3, 1))
    optimizer = torch.optim.Adam(full.parameters(), lr=0.01)
    x, y = torch.from_numpy(X[net]), torch.ones((6, 1))
    losses, outputs = [], []
    for _ in range(30):
        optimizer.zero_grad()
        outputs.append(module(x).detach())
        loss = (full(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert not torch.equal(outputs[0], outputs[1])
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(weight))  # until it is written back
    module.write_back()
    np.testing.assert_allclose(model.predict(X[net], verbose=0), module.eval()(x).detach(), atol=1e-4)
    assert not np.array_equal(before[2], np.asarray(model.weights[2]))
    again = interop.torch_module(net())
    again.load_state_dict(module.state_dict())
    torch.testing.assert_close(again.eval()(x), module(x))


@needs_torch
def test_dropout_of_a_torch_module_is_ours() -> None:
    import torch

    model = hornbeam.Sequential([layers.Input((9,)), layers.Dropout(0.5, seed=3)])
    module, x = interop.torch_module(model).train(), np.ones((4, 9), "float32")
    for _ in range(2):
        np.testing.assert_array_equal(module(torch.from_numpy(x)), np.asarray(model(x, training=True)))
    assert not list(module.parameters())


@needs_torch
def test_a_model_that_is_not_built_makes_no_module() -> None:
    with pytest.raises(ValueError, match="built"):
        interop.torch_module(hornbeam.Sequential([layers.Dense(2)]))


# -- a function of JAX ---------------------------------------------------------------------------------------

needs_jax = pytest.mark.skipif("jax" not in HOSTS, reason="JAX is not installed")


@needs_jax
@pytest.mark.parametrize("build", [net, recurrent])
def test_a_jax_function_gives_our_values_and_gradients(build: Any) -> None:
    import jax

    model, x = build(), X[build]
    value, by_weight, by_input = loss_and_gradients(model, x)
    function, weights = interop.jax_function(model)

    def loss(weights: Any, x: Any) -> Any:
        return (function(weights, x) ** 2).sum()

    trained = {v.path: weights[v.path] for v in model.trainable_variables}
    result, (gradients, inputs) = jax.jit(
        jax.value_and_grad(lambda some, x: loss({**weights, **some}, x), argnums=(0, 1))
    )(trained, x)
    np.testing.assert_allclose(result, value, rtol=1e-4)
    np.testing.assert_allclose(inputs, by_input, rtol=2e-3, atol=1e-3)
    for variable, gradient in zip(model.trainable_variables, by_weight, strict=True):
        np.testing.assert_allclose(gradients[variable.path], gradient, rtol=2e-3, atol=1e-3)
    assert weights[model.weights[0].path].dtype == "float32"


@needs_jax
def test_a_jax_function_that_trains_returns_its_state() -> None:
    import jax

    model = net()
    function, weights = interop.jax_function(model, training=True)
    outputs, after = jax.jit(function)(weights, X[net])
    np.testing.assert_allclose(outputs, np.asarray(model(X[net], training=True)), atol=1e-4)
    assert set(after) == set(weights)
    for variable in model.variables:
        np.testing.assert_allclose(after[variable.path], np.asarray(variable), atol=1e-5)


@needs_jax
def test_what_jax_traces_is_no_tensor() -> None:
    import jax

    with pytest.raises(
        HornbeamTypeError, match=r"register_jax\(\), or take hornbeam.interop.jax_function\(model\)"
    ):
        jax.grad(lambda x: ops.sum(x))(np.ones(3, "float32"))


@needs_jax
def test_a_jax_function_is_mapped() -> None:
    import jax

    function, weights = interop.jax_function(recurrent())
    each = jax.vmap(lambda row: function(weights, row[None])[0])(X[recurrent])
    np.testing.assert_allclose(each, function(weights, X[recurrent]), atol=1e-5)


@pytest.mark.parametrize("make", [interop.jax_function, interop.torch_module])
def test_a_missing_library_says_how_to_get_it(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "jax" if make is interop.jax_function else "torch"
    monkeypatch.setattr("hornbeam.engines._loaded", {})
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"hornbeam.engines.{name}", raising=False)
    with pytest.raises(ImportError, match=re.escape(install_command(name))):
        make(net())
