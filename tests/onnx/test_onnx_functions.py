"""Functions inside of ONNX files: their nodes take the place of calls, as ONNX Runtime does it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.errors import ModelFileError
from hornbeam.saving import budget, load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

make = helper.make_node
OPERATORS, OWN = helper.make_opsetid("", 17), helper.make_opsetid("f", 1)


def value(name: str, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def refers(node: Any, **names: str) -> Any:
    """A node whose attributes are those of the call."""
    for name, reference in names.items():
        node.attribute.add(name=name, ref_attr_name=reference, type=onnx.AttributeProto.FLOAT)
    return node


def function(name: str, inputs: list[str], outputs: list[str], nodes: list[Any], **options: Any) -> Any:
    imports = options.pop("imports", [OPERATORS, OWN])
    return helper.make_function("f", name, inputs, outputs, nodes, imports, **options)


LEAKY = function(
    "Leaky",
    ["x"],
    ["y"],
    [refers(make("LeakyRelu", ["x"], ["h"]), alpha="factor"), make("Neg", ["h"], ["y"])],
    attributes=["factor"],
)
SHRUNK = function(
    "Shrunk",
    ["x"],
    ["y"],
    [refers(make("Shrink", ["x"], ["y"]), lambd="border", bias="shift")],
    attributes=["shift"],
    attribute_protos=[helper.make_attribute("border", 0.25)],
)
BRANCHES = {
    "then_branch": helper.make_graph([make("Add", ["a", "h"], ["t"])], "then", [], [value("t")]),
    "else_branch": helper.make_graph(
        [make("Leaky", ["a"], ["h2"], domain="f", factor=0.3), make("Add", ["h2", "h"], ["e"])],
        "else", [], [value("e")],
    ),
}  # fmt: skip
OUTER = function(
    "Outer",
    ["a", "b"],
    ["out", "a"],
    [
        make("Leaky", ["a"], ["h"], domain="f", factor=0.5), make("ReduceSum", ["h"], ["s"], keepdims=0),
        make("Greater", ["s", "b"], ["c"]), make("If", ["c"], ["out"], **BRANCHES),
    ],
)  # fmt: skip
SAME = function("Outer", ["a", "b"], ["out", "same"], [*OUTER.node, make("Identity", ["a"], ["same"])])


def written(path: Path, nodes: list[Any], functions: list[Any], outputs: str = "y") -> Path:
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    ends = [value("x", ["n", 3])], [value(name) for name in outputs]
    graph = helper.make_graph(nodes, "g", *ends, [zero])
    imports = [OPERATORS, OWN]
    onnx.save(helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=9), path)
    return path


def test_nested_functions_with_branches_and_attributes(tmp_path: Path) -> None:
    """Of two calls of one function, values inside have different names."""
    nodes = [
        make("Outer", ["x", "zero"], ["y", "z"], domain="f"),
        make("Outer", ["y", "zero"], ["w", "v"], domain="f"),
        make("Shrunk", ["w"], ["u"], domain="f"),
        make("Shrunk", ["w"], ["t"], domain="f", border=0.5, shift=1.0),
    ]  # fmt: skip
    path = written(tmp_path / "m.onnx", nodes, [LEAKY, SAME, SHRUNK], "yzwut")
    again = tmp_path / "again.onnx"
    model = load_onnx(path)
    model.export(again, format="onnx", verbose=False)
    for x in (np.float32([[1, -2, 3]]), np.float32([[-1, 2, -3], [0.1, 0, 0.2]])):
        expected = runtime.InferenceSession(path).run(None, {"x": x})
        for results in (model.run(None, {"x": x}), runtime.InferenceSession(again).run(None, {"x": x})):
            for mine, theirs in zip(results, expected, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_an_input_may_be_an_output(tmp_path: Path) -> None:
    path = written(
        tmp_path / "m.onnx", [make("Outer", ["x", "zero"], ["y", "z"], domain="f")], [LEAKY, OUTER], "yz"
    )
    x = np.float32([[1, -2, 3]])
    np.testing.assert_array_equal(load_onnx(path).run(["z"], {"x": x})[0], x)


def calling(depth: int, width: int) -> list[Any]:
    """Functions that call the next one, several times."""
    functions = [function("F0", ["x"], ["y"], [make("Neg", ["x"], ["y"])])]
    names = ["x", *(f"v{i}" for i in range(1, width)), "y"]
    for level in range(1, depth):
        calls = [make(f"F{level - 1}", [x], [y], domain="f") for x, y in itertools.pairwise(names)]
        functions.append(function(f"F{level}", ["x"], ["y"], calls))
    return functions


ITSELF = function("F0", ["x"], ["y"], [make("F0", ["x"], ["y"], domain="f")])
BAD: dict[str, tuple[list[Any], str]] = {
    "many": (calling(8, 9), "calls of functions make more than"),
    "itself": ([ITSELF], "functions call each other more than"),
    "deep": (calling(60, 1), "functions call each other more than"),
    "version": (
        [function("F0", ["x"], ["y"], [make("Neg", ["x"], ["y"])], imports=[helper.make_opsetid("", 18)])],
        "the function 'F0' uses version 18",
    ),
    "inputs": ([function("F0", [], ["y"], [make("Neg", ["x"], ["y"])])], "is called with 1 inputs, it has 0"),
}


@pytest.mark.parametrize("label", BAD)
def test_bad_functions_are_refused(label: str, tmp_path: Path) -> None:
    functions, message = BAD[label]
    call = make(functions[-1].name, ["x"], ["y"], domain="f")
    with budget(members=100), pytest.raises(ModelFileError, match=message):
        load_onnx(written(tmp_path / "m.onnx", [call], functions))
