"""Graphs of ONNX operators as layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import STRING, KerasTensor
from hornbeam.core.typing import Unpack
from hornbeam.core.variable import Variable
from hornbeam.errors import GraphError as GraphError
from hornbeam.errors import ValueNeededError
from hornbeam.ir.types import is_float
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import RegularizedLayerOptions

# Imported for their effect: each registers its operators.
from hornbeam.onnx.operators import attention as attention
from hornbeam.onnx.operators import elementwise as elementwise
from hornbeam.onnx.operators import flow as flow
from hornbeam.onnx.operators import microsoft as microsoft
from hornbeam.onnx.operators import ml as ml
from hornbeam.onnx.operators import products as products
from hornbeam.onnx.operators import quantized as quantized
from hornbeam.onnx.operators import recurrent as recurrent
from hornbeam.onnx.operators import reducing as reducing
from hornbeam.onnx.operators import sampling as sampling
from hornbeam.onnx.operators import scores as scores
from hornbeam.onnx.operators import selection as selection
from hornbeam.onnx.operators import sequences as sequences
from hornbeam.onnx.operators import shaping as shaping
from hornbeam.onnx.operators import spectra as spectra
from hornbeam.onnx.operators import strings as strings
from hornbeam.onnx.operators import windows as windows
from hornbeam.onnx.operators.execution import TextRun, integers_of_trace, run_graph
from hornbeam.onnx.operators.structure import check
from hornbeam.onnx.operators.structure import is_graph as is_graph
from hornbeam.onnx.operators.vocabulary import OPERATORS as OPERATORS


@exported("hornbeam.layers")
class OnnxGraph(Layer):
    """Layer of a graph of ONNX operators, created by `saving.load_onnx`. The graph's weights are its weights.

    Calls take a tensor for each input of the graph, in a list if there are several, and return a tensor, or a
    list of several. Normalizations use the means and variances of the file, and dropout does nothing, in
    training too. A graph with strings runs on the host, in NumPy as far as it has to.

    Args:
        graph: The graph as plain JSON values (see `onnx/operators/structure.py`).
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        GraphError: If the graph breaks a rule, or has operators that are not supported, all of which are
            named. It is a ValueError.

    Example:
        >>> x = {"name": "x", "dtype": "float32", "shape": [None, 2]}
        >>> node = {"op": "Relu", "name": "", "inputs": ["x"], "outputs": ["y"], "attributes": {}}
        >>> graph = {"opset": 20, "inputs": [x], "outputs": [{**x, "name": "y"}], "nodes": [node]}
        >>> hornbeam.layers.OnnxGraph({**graph, "weights": [], "constants": {}})([[1.0, -1.0]]).tolist()
        [[1.0, 0.0]]
    """

    # Plain values: in a forest they are long lists, which need no search for variables.
    _untracked = frozenset({"graph"})

    # Outputs may be boxes that were found, for example, of any number.
    keeps_samples = False

    def __init__(self, graph: Mapping[str, Any], **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        # Dtypes are those of the file.
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        check(graph)
        self.graph = dict(graph)
        self.on_host = any(x["dtype"] == STRING for x in [*graph["inputs"], *graph["outputs"]])
        self.takes_strings = self.on_host
        self._run_text = TextRun(self._run)
        self._weights_by_name: dict[str, Variable] = {
            entry["name"]: self._add_entry(entry) for entry in graph["weights"]
        }

    def _add_entry(self, entry: Mapping[str, Any]) -> Variable:
        return self.add_weight(
            name=entry["name"].replace("/", "."),
            shape=tuple(entry["shape"]),
            initializer="zeros",
            dtype=entry["dtype"],
            trainable=bool(entry.get("trainable", False)),
            autocast=False,
        )

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assign values to the weights.

        Args:
            arrays: Array for each weight, by its name in the graph.

        Raises:
            KeyError: If one is missing.
        """
        for name, variable in self._weights_by_name.items():
            variable.assign(arrays[name])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the values of the weights, by their names in the graph."""
        return {name: np.asarray(variable.numpy()) for name, variable in self._weights_by_name.items()}

    def call(self, inputs: Tree) -> Tree:
        tensors = tree.flatten(inputs)
        names = [entry["name"] for entry in self.graph["inputs"]]
        if len(tensors) != len(names):
            raise GraphError(f"the graph takes {len(names)} inputs ({', '.join(names)}), got {len(tensors)}")
        outputs = self._run_text(*tensors) if self.on_host else self._run(*tensors)
        return outputs[0] if len(outputs) == 1 else outputs

    def _run(self, *tensors: Any) -> list[Any]:
        names = (entry["name"] for entry in self.graph["inputs"])
        values = dict(zip(names, map(integers_of_trace, tensors), strict=True))
        return run_graph(self.graph, {**values, **self._weights_by_name})

    def compute_output_spec(self, inputs: Tree, **kwargs: Any) -> Tree:
        """Return symbolic outputs; with the file's shapes where inference fails for sizes or values that
        are not known.

        Args:
            inputs: Symbolic inputs.
            **kwargs: Arguments of the call.
        """
        declared = self.graph["outputs"]
        if self.on_host:
            return _symbols(declared)
        try:
            return super().compute_output_spec(inputs, **kwargs)
        except (TypeError, ValueError) as error:
            is_open = isinstance(error, ValueNeededError) or any(
                None in x.shape[1:] or not is_float(x.dtype)
                for x in tree.flatten(inputs)
                if isinstance(x, KerasTensor)
            )
            if not is_open or any(output.get("shape") is None for output in declared):
                raise
        return _symbols(declared)


def _symbols(declared: list[dict[str, Any]]) -> Tree:
    for output in declared:
        if output.get("shape") is None:
            raise GraphError(f"the output {output['name']!r} does not say how many axes it has")
    symbols = [KerasTensor(tuple(x["shape"]), x["dtype"]) for x in declared]
    return symbols[0] if len(symbols) == 1 else symbols
