"""Primitives that an engine lacks: errors name engine, primitive, layer and the user's line."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam._internal.extras import install_command
from hornbeam.engines import _loaded, using
from hornbeam.engines.base import BindingExecutable, Buffer
from hornbeam.engines.table import TableEngine, require_version
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.graph import Graph
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.scope import Located
from tests.helpers.builders import compiled_model
from tests.helpers.processes import environment

HERE = os.path.relpath(__file__)


class Toy(TableEngine):
    """The primitives' own references but for some."""

    name = "toy"

    def __init__(self, *lacks: str) -> None:
        super().__init__()
        self.table = {n: p.reference for n, p in PRIMITIVES.items() if n not in lacks and not p.composite}

    def compile(self, graph: Graph) -> Any:
        self.check(graph)
        return ToyExecutable(self, graph)

    def put(self, array: np.ndarray) -> Buffer:
        return array

    def get(self, buffer: Buffer) -> np.ndarray:
        return np.asarray(buffer)


class ToyExecutable(BindingExecutable):
    def __init__(self, engine: Toy, graph: Graph) -> None:
        self.engine, self.graph = engine, graph

    def run(self, inputs: Any, donate: Any = None) -> Any:
        return self.engine.evaluate(self.graph, inputs)


@pytest.fixture
def without() -> Any:
    """`without("exp")` is the name of an engine that has no exponential."""

    def make(*lacks: str) -> str:
        _loaded["toy"] = Toy(*lacks)
        return "toy"

    yield make
    _loaded.pop("toy", None)


class Wavy(layers.Layer):
    def call(self, x: Any) -> Any:
        y = ops.sin(x)
        return y + ops.cos(x)


def line(text: str) -> int:
    """The only line of this file that ends with a text."""
    lines = [n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.endswith(text)]
    assert len(lines) == 1
    return lines[0]


def message(engine: str, run: Any) -> str:
    with using(engine), pytest.raises(MissingPrimitiveError) as error:
        run()
    return str(error.value)


def build_model(layer: Any) -> hornbeam.Model:
    return compiled_model((3,), [layer, layers.Dense(1)], "sgd", "mse")


X, Y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")


def test_the_line_in_a_layer_of_the_users(without: Any) -> None:
    model = build_model(Wavy(name="wavy"))  # a layer of mine
    expected = f"the toy engine has no 'cos' (in sequential/wavy, {HERE}:{line('return y + ops.cos(x)')})"
    expected = re.sub("sequential", model.name, expected)
    for run in (lambda: model.fit(X, Y, verbose=0), lambda: model.predict(X, verbose=0)):
        assert message(without("cos"), run) == expected
    # Eager code notes no lines, but that of the layer.
    assert f"/wavy, {HERE}:{line('# a layer of mine')})" in message("toy", lambda: model(X).numpy())


def test_the_line_that_is_differentiated(without: Any) -> None:
    """The derivative of sin is cos."""

    class Swing(layers.Layer):
        def call(self, x: Any) -> Any:
            y = x * 2
            return ops.sin(y)

    model = build_model(layers.Dense(3))
    model.add(Swing(name="swing"))
    model.compile("sgd", "mse")
    result = message(without("cos"), lambda: model.fit(X, np.zeros((4, 1), "float32"), verbose=0))
    location = f"{HERE}:{line('return ops.sin(y)')}"
    assert result == f"the toy engine has no 'cos' (in {model.name}/swing (backward), {location})"


def test_the_line_that_made_a_layer_of_ours(without: Any) -> None:
    model = build_model(layers.Activation("tanh", name="bent"))  # here it is made
    result = message(without("tanh"), lambda: model.fit(X, Y, verbose=0))
    assert (
        result == f"the toy engine has no 'tanh' (in {model.name}/bent, {HERE}:{line('# here it is made')})"
    )


def test_the_line_of_an_operation_on_symbols(without: Any) -> None:
    inputs = layers.Input((3,))
    outputs = ops.floor(inputs)  # here it is called
    model = hornbeam.Model(inputs, outputs)
    result = message(without("floor"), lambda: model.predict(X, verbose=0))
    assert f"{HERE}:{line('# here it is called')})" in result


def test_the_line_in_a_jitted_function(without: Any) -> None:
    @hornbeam.jit
    def curve(x: Any) -> Any:
        return ops.cond(True, lambda: ops.erf(x), lambda: x)  # in a branch

    assert f"no 'erf' ({HERE}:{line('# in a branch')})" in message(without("erf"), lambda: curve(X))


def test_tracing_normally_notes_no_line_and_runs_once() -> None:
    traces = []

    class Quiet(layers.Layer):
        def call(self, x: Any) -> Any:
            traces.append(ops.exp(x).node.scope)
            return x

    model = build_model(Quiet(name="quiet"))
    traces.clear()
    model.predict(X, verbose=0)
    assert len(traces) == 1
    assert isinstance(traces[0], Located)
    assert traces[0].line[1] == line('model = build_model(Quiet(name="quiet"))')


def test_eager_code_says_its_line_on_demand(tmp_path: Path) -> None:
    script = tmp_path / "eager.py"
    script.write_text(
        "from tests.engines.test_lacking import Toy, _loaded, ops\n"
        "import hornbeam\n"
        "_loaded['toy'] = Toy('tan')\n"
        "hornbeam.config.set_engine('toy')\n"
        "y = ops.tan(ops.ones((3,)))\n"
        "y.numpy()\n"
    )
    for lines, said in (("", "no 'tan'\n"), ("1", "no 'tan' (")):
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            env=environment(HORNBEAM_LINES=lines),
        )
        assert said in done.stderr
        assert ("eager.py:5)" in done.stderr) == bool(lines)


def test_scopes_with_a_line_are_copied_and_pickled() -> None:
    scope = Located("dense", ("script.py", 3))
    for other in (copy.deepcopy(scope), pickle.loads(pickle.dumps(scope))):
        assert (other, other.line) == ("dense", ("script.py", 3))
    assert copy.deepcopy(build_model(layers.Dense(2, name="inner"))).predict(X, verbose=0).shape == (4, 1)


# -- versions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["0.4.30", "0.7.9", "0"])
def test_an_old_library_says_how_to_get_another(result: str) -> None:
    with pytest.raises(ImportError) as error:
        require_version("jax", "JAX", result, "0.8")
    assert str(error.value) == (
        f"the jax engine needs JAX 0.8 or later, but {result} is installed: "
        f"{install_command('jax', upgrade=True)}"
    )


@pytest.mark.parametrize("result", ["0.8", "0.8.0", "0.10.2", "1.0.dev3", "2.15.0+cpu"])
def test_a_library_that_is_new_enough(result: str) -> None:
    require_version("jax", "JAX", result, "0.8")


def test_what_the_engines_need_is_what_their_extras_install() -> None:
    root = Path(__file__).parents[2]
    extras = dict(
        re.findall(r'^(\w+) = \["\w+(?:\[\w+\])?>=([\d.]+)', (root / "pyproject.toml").read_text(), re.M)
    )
    results = {}
    for path in (root / "src/hornbeam/engines").rglob("*.py"):
        results.update(re.findall(r'^require_version\("(\w+)",.*"([\d.]+)"\)', path.read_text(), re.M))
    assert {"jax", "torch"} <= set(results)
    assert {name: extras[name] for name in results} == results
