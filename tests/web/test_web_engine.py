"""The engine in WebAssembly against the reference and the native engine: primitives, composites, models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import primitives as p
from hornbeam.engines import Engine, get_engine
from hornbeam.export.frozen import freeze
from hornbeam.ir.autodiff import gradients, outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import FLOATS, Shape, is_float
from hornbeam.runtime import FrozenModel
from tests.helpers.engine_cases import compare, sample_errors
from tests.helpers.model_zoo import ZOO, perceptron, random_weights
from tests.helpers.native_cases import EXACT, LARGE, LIMITS, convolution_limit
from tests.helpers.primitive_cases import CASES, floats_of, operands, random_array, types_of
from tests.helpers.web_engine import NODE, WebEngine, WebModel

pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")

# Products are rounded before sums, and sums are in another order than on the native engine.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


@pytest.fixture(scope="module")
def web() -> Iterator[WebEngine]:
    engine = WebEngine()
    yield engine
    engine.close()


@pytest.mark.parametrize(("name", "index"), CASES)
def test_primitives_agree_with_the_reference(web: WebEngine, name: str, index: int) -> None:
    for dtype, error in sample_errors(web, name, index).items():
        assert error.strays == 0, f"{name} {dtype}: {error}"
        assert error.ulp <= LIMITS.get(name, EXACT), f"{name} {dtype}: {error}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shapes", "params"), LARGE)
def test_large_operands(web: WebEngine, name: str, shapes: tuple[Shape, ...], params: dict[str, Any]) -> None:
    for dtype in floats_of(PRIMITIVES[name]):
        rng = np.random.default_rng(0)
        error = compare(web, name, [random_array(rng, shape, dtype, (-1, 1)) for shape in shapes], params)
        limit = convolution_limit(dtype, shapes[1], params) if name == "conv" else LIMITS.get(name, EXACT)
        assert error.strays == 0, f"{name} {dtype}: {error}"
        assert error.ulp <= 2 * limit, f"{name} {dtype}: {error}"


COMPOSITES = [
    (name, index)
    for name, primitive in sorted(PRIMITIVES.items())
    if primitive.composite and hasattr(p, name)
    for index in range(len(primitive.samples))
]


def outputs(engine: Engine, graph: Graph, arrays: list[np.ndarray]) -> list[np.ndarray]:
    buffers = engine.executable(graph).run([engine.put(np.array(a)) for a in arrays])
    return [np.asarray(engine.get(buffer)) for buffer in buffers]


def assert_close(got: np.ndarray, expected: np.ndarray, where: str) -> None:
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), where
    if not is_float(expected.dtype.name):
        np.testing.assert_array_equal(got, expected, where)
        return
    tolerance = TOLERANCE[expected.dtype.name]
    got, expected = got.astype("float64"), expected.astype("float64")
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale, err_msg=where)


@pytest.mark.parametrize(("name", "index"), COMPOSITES)
def test_composites_and_their_gradients_agree_with_the_native_engine(
    web: WebEngine, name: str, index: int
) -> None:
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]
    for dtype in FLOATS:
        arrays = operands(primitive, index, dtype)
        inputs = [placeholder(t, 0) for t in types_of(arrays)]
        output = getattr(p, name)(*inputs, **sample.params)
        results = list(output) if isinstance(output, tuple) else list(outputs_of(output))
        floats = [x for x in inputs if is_float(x.dtype)]
        summed = [y for y in results if is_float(y.dtype)]
        if sample.derivative and primitive.vjp is not None and floats and summed:
            cotangents = [p.ones_like(y) for y in summed]
            results += [ct for ct in gradients(summed, cotangents, floats) if ct is not None]
        graph = Graph(inputs, results)
        pairs = zip(outputs(web, graph, arrays), outputs(get_engine("native"), graph, arrays), strict=True)
        for number, (got, expected) in enumerate(pairs):
            assert_close(got, expected, f"{name} {dtype}, output {number}")


@pytest.mark.parametrize("case", ZOO)
def test_models_agree_with_predict(web: WebEngine, case: str) -> None:
    model, inputs = ZOO[case]()
    random_weights(model)
    data = freeze(model)
    frozen, loaded = FrozenModel.from_bytes(data), WebModel(web, data)
    names = [x.name for x in frozen.signatures["predict"].inputs]
    for rows in (1, len(inputs[0])):
        some = {name: x[:rows] for name, x in zip(names, inputs, strict=True)}
        got, _ = loaded.run(some)
        for name, expected in frozen.run(some).items():
            assert_close(got[name], expected, f"{case} {name}")


def test_metadata_and_signatures(web: WebEngine) -> None:
    model, _ = perceptron()
    loaded = WebModel(web, freeze(model, labels=["a", "b", "c"]))
    assert loaded.metadata["labels"] == ["a", "b", "c"]
    assert list(loaded.signatures) == ["predict"]


def test_memory_does_not_grow(web: WebEngine) -> None:
    model, inputs = perceptron()
    loaded = WebModel(web, freeze(model))
    (name,) = (x["name"] for x in loaded.signatures["predict"]["inputs"])
    x = np.zeros((500, *inputs[0].shape[1:]), "float32")
    loaded.run({name: x}, rounds=100)
    before, _ = web.ask({"action": "memory"}, [])
    loaded.run({name: x}, rounds=2000)
    after, _ = web.ask({"action": "memory"}, [])
    assert after == before


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a frozen model"),
        (b"\x00" * 100, "not a frozen model"),
        (freeze(perceptron()[0])[:-1], "damaged|not a frozen model"),
    ],
)
def test_files_that_are_no_frozen_models(web: WebEngine, data: bytes, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        WebModel(web, data)


def test_inputs_that_do_not_fit(web: WebEngine) -> None:
    x = hb.Input((4,), dtype="int32", name="x")
    loaded = WebModel(web, freeze(hb.Model(x, hb.layers.Embedding(5, 2)(x))))
    with pytest.raises(RuntimeError, match="the inputs are x, got z"):
        loaded.run({"z": np.zeros((1, 4), "int32")})
    with pytest.raises(RuntimeError, match="x takes int32 in a Int32Array, got Float32Array"):
        loaded.run({"x": np.zeros((1, 4), "float32")})
    with pytest.raises(RuntimeError, match=r'"x" is int32\[2,3\], it must be int32\[batch, 4\]'):
        loaded.run({"x": np.zeros((2, 3), "int32")})
    with pytest.raises(RuntimeError, match='no signature "serve", it has predict'):
        loaded.run({"x": np.zeros((1, 4), "int32")}, signature="serve")
    assert loaded.run({"x": np.zeros((1, 4), "int32")})[0]


def test_values_larger_than_the_memory(web: WebEngine) -> None:
    x = hb.Input((None,), name="x")
    loaded = WebModel(web, freeze(hb.Model(x, hb.ops.expand_dims(x, 1) * hb.ops.expand_dims(x, 2))))
    assert loaded.run({"x": np.ones((1, 8), "float32")})[0]
    with pytest.raises(RuntimeError, match="too large"):
        loaded.run({"x": np.ones((1, 20_000), "float32")})
