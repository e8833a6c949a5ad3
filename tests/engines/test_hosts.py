"""Engines over other libraries: all primitives against the reference, training against the native engine.

An engine whose library is not installed is skipped, by name. The sweep over all dtypes is slow.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import config
from hornbeam._internal.extras import install_command
from hornbeam.engines import Engine, get_engine
from hornbeam.engines.conformance import DIFFERENTIABLE, gradient_fault, value_fault
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.primitives.complex_numbers import LOWERED
from tests.helpers.host_models import convnet, data, reader, residual, trained
from tests.helpers.installed import engine_or_skip
from tests.helpers.primitive_cases import CASES, dtypes_of, operands, types_of

HOSTS = ("jax", "torch", "tensorflow", "onnxruntime", "pytensor", "mlx")
# Where a library is known to go its own way: (engine, primitive) and why.
KNOWN = {
    ("torch", "rem"): "fmod is NaN where the quotient overflows",
    ("torch", "erf"): "bfloat16 numbers next to the smallest normal one lose their last digits",
    ("onnxruntime", "cos"): "float64 next to its zeros is exact in absolute terms only",
}
# What an engine refuses when a graph is compiled.
LACKS = {"onnxruntime": {"eig", "eigh", "svd"}}
DTYPES_LACKED = {
    ("onnxruntime", "erf"): {"float64"},
    ("onnxruntime", "erf_inv"): {"float64"},
}


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest) -> Engine:
    return engine_or_skip(request.param)


@pytest.fixture
def on() -> Any:
    """`on("jax")` makes it the engine until the test ends."""
    yield config.set_engine
    config.set_engine("native")


def check(host: Engine, name: str, index: int, dtype: str) -> None:
    fault = value_fault(host, name, index, dtype)
    assert not fault or (host.name, name) in KNOWN, f"{name} {dtype}: {fault}"


def refused(host: Engine, name: str, index: int, dtype: str) -> bool:
    """Return True if the engine refuses this. PyTorch has no arithmetic on uint64."""
    sample = PRIMITIVES[name].samples[index]
    if name in LACKS.get(host.name, ()) or dtype in DTYPES_LACKED.get((host.name, name), ()):
        return True
    return host.name == "torch" and "uint64" in (dtype, sample.params.get("dtype"), *(sample.dtypes or ()))


def has_empty_operand(name: str, index: int) -> bool:
    return any(0 in shape for shape in PRIMITIVES[name].samples[index].shapes)


# JAX compiles every case, which takes a tenth of a second: a sample of them here, all in the slow sweep.
@pytest.mark.parametrize(
    ("name", "index"), [case for i, case in enumerate(CASES) if i % 5 == 0 or has_empty_operand(*case)]
)
def test_agrees_with_the_reference(host: Engine, name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    selected = dtypes_of(primitive, primitive.samples[index])
    for dtype in {"float32", "int32", "bool"}.intersection(selected) or set(selected[:1]):
        if not refused(host, name, index, dtype):
            check(host, name, index, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "index"), CASES)
def test_agrees_on_every_dtype(host: Engine, name: str, index: int) -> None:
    primitive = PRIMITIVES[name]
    for dtype in dtypes_of(primitive, primitive.samples[index]):
        if not refused(host, name, index, dtype):
            check(host, name, index, dtype)


@pytest.mark.parametrize(("name", "index"), DIFFERENTIABLE[::12])
def test_gradients_agree_with_the_reference(host: Engine, name: str, index: int) -> None:
    if not refused(host, name, index, "float32"):
        assert not gradient_fault(host, name, index)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "index"), DIFFERENTIABLE)
def test_all_gradients_agree_with_the_reference(host: Engine, name: str, index: int) -> None:
    if not refused(host, name, index, "float32"):
        assert not gradient_fault(host, name, index)


def test_has_every_primitive(host: Engine) -> None:
    needed = {name for name, primitive in PRIMITIVES.items() if not primitive.composite} - set(LOWERED)
    had = set(host.instructions())  # type: ignore[attr-defined]
    assert needed - had == LACKS.get(host.name, set())


@pytest.mark.parametrize(
    ("name", "primitive", "dtype"),
    [
        ("torch", "add", "uint64"),
        *((engine, primitive, "float32") for engine, lacked in LACKS.items() for primitive in sorted(lacked)),
        *((*which, dtype) for which, dtypes in DTYPES_LACKED.items() for dtype in dtypes),
    ],
)
def test_refuses_what_it_lacks_when_it_compiles(name: str, primitive: str, dtype: str) -> None:
    try:
        engine = get_engine(name)
    except ImportError as error:
        pytest.skip(f"{error}")
    types = types_of(operands(PRIMITIVES[primitive], 0, dtype))
    inputs = [placeholder(type, 0) for type in types]
    graph = Graph(inputs, outputs_of(bind(PRIMITIVES[primitive], *inputs)))
    result = primitive if primitive in LACKS.get(name, ()) else dtype
    with pytest.raises(NotImplementedError, match=f"the {name} engine .*{result}"):
        engine.compile(graph)


@pytest.mark.parametrize(("build", "optimizer"), [(convnet, "adam"), (reader, "rmsprop"), (residual, "sgd")])
def test_trains_as_the_native_engine_does(host: Engine, on: Any, build: Any, optimizer: str) -> None:
    """The same shuffles, dropout masks, losses and weights, but for rounding."""
    losses, weights = trained(build, optimizer)
    on(host.name)
    actual, theirs = trained(build, optimizer)
    np.testing.assert_allclose(actual, losses, rtol=2e-4)
    for mine, other in zip(weights, theirs, strict=True):
        np.testing.assert_allclose(other, mine, atol=3e-3)


def test_random_numbers_are_the_same_bits(host: Engine, on: Any) -> None:
    def draw() -> list[np.ndarray]:
        seed = hornbeam.random.SeedGenerator(7)
        return [
            np.asarray(hornbeam.random.uniform((3, 7), seed=seed)),
            np.asarray(hornbeam.random.randint((11,), 0, 1000, seed=seed)),
            np.asarray(hornbeam.random.dropout(np.ones((40,), "float32"), 0.4, seed=seed)),
        ]

    expected = draw()
    on(host.name)
    for mine, other in zip(expected, draw(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_model_moves_between_engines_in_the_middle(host: Engine, on: Any) -> None:
    hornbeam.utils.set_random_seed(1)
    model = convnet()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data(convnet, np.random.default_rng(0))
    losses = []
    for engine in ("native", host.name, "native", host.name):
        on(engine)
        losses += model.fit(x, y, batch_size=32, shuffle=False, verbose=0).history["loss"]
    on("native")
    hornbeam.utils.set_random_seed(1)
    alone = convnet()
    alone.compile("adam", "sparse_categorical_crossentropy")
    expected = alone.fit(x, y, batch_size=32, epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


def test_values_read_before_stay_as_they_were(host: Engine, on: Any) -> None:
    """Donated buffers must not write over values that are still read."""
    on(host.name)
    variable = hornbeam.Variable(np.arange(6, dtype="float32"))
    before = np.asarray(variable)
    kept = before.copy()

    @hornbeam.jit
    def grow(amount: Any) -> Any:
        variable.assign(variable * 2 + amount)
        return variable.value

    grow(np.float32(1))
    grow(np.float32(1))
    np.testing.assert_array_equal(before, kept)
    np.testing.assert_array_equal(np.asarray(variable), kept * 4 + 3)


def test_loops_and_branches(host: Engine, on: Any) -> None:
    on(host.name)
    total = hornbeam.ops.while_loop(lambda i, s: i < 5, lambda i, s: (i + 1, s + i), (0, 0))[1]
    assert int(np.asarray(total)) == 10
    assert float(np.asarray(hornbeam.ops.cond(True, lambda: 2.0, lambda: 3.0))) == 2


def test_a_device_may_be_named(host: Engine) -> None:
    engine = get_engine(f"{host.name}:cpu")
    assert engine.name == f"{host.name}:cpu"
    np.testing.assert_array_equal(engine.get(engine.put(np.arange(3))), [0, 1, 2])
    with pytest.raises(RuntimeError):
        get_engine(f"{host.name}:cuda:99")


def test_the_native_engine_takes_no_device() -> None:
    with pytest.raises(ValueError, match="takes no device"):
        get_engine("native:gpu")


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "hornbeam.engines.torch", raising=False)
    with pytest.raises(ImportError, match=re.escape(install_command("torch"))):
        get_engine("torch:cpu:7")
