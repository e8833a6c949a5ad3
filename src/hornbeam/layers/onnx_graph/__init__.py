"""A graph of ONNX operators as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor
from hornbeam.core.variable import Variable
from hornbeam.layers.layer import Layer

# These fill the table of operators.
from hornbeam.layers.onnx_graph import elementwise as elementwise
from hornbeam.layers.onnx_graph import flow as flow
from hornbeam.layers.onnx_graph import products as products
from hornbeam.layers.onnx_graph import recurrent as recurrent
from hornbeam.layers.onnx_graph import reducing as reducing
from hornbeam.layers.onnx_graph import shaping as shaping
from hornbeam.layers.onnx_graph import windows as windows
from hornbeam.layers.onnx_graph.structure import check
from hornbeam.layers.onnx_graph.vocabulary import GraphError as GraphError
from hornbeam.layers.onnx_graph.walking import run_graph


@exported("hornbeam.layers")
class OnnxGraph(Layer):
    """A graph of ONNX operators, its weights being weights of the layer. Made by `saving.load_onnx`.

    graph: the graph as plain JSON values (see `layers/onnx_graph/structure.py`). Called with a tensor for
    each input of the graph, in a list if there are several; gives a tensor, or a list if there are several
    outputs. Normalizations use the means and variances of the file, and dropout does nothing, in training as
    well.

    Raises GraphError (a ValueError) for a graph that breaks a rule, and for operators that are not there, all
    of which are named at once.

    >>> x = {"name": "x", "dtype": "float32", "shape": [None, 2]}
    >>> node = {"op": "Relu", "name": "", "inputs": ["x"], "outputs": ["y"], "attributes": {}}
    >>> graph = {"opset": 20, "inputs": [x], "outputs": [{**x, "name": "y"}], "weights": [], "constants": {}}
    >>> hornbeam.layers.OnnxGraph({**graph, "nodes": [node]})([[1.0, -1.0]]).tolist()
    [[1.0, 0.0]]
    """

    def __init__(self, graph: Mapping[str, Any], **kwargs: Any) -> None:
        # Dtypes are those of the file.
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        check(graph)
        self.graph = dict(graph)
        self._weights_by_name: dict[str, Variable] = {
            entry["name"]: self._weight(entry) for entry in graph["weights"]
        }

    def _weight(self, entry: Mapping[str, Any]) -> Variable:
        return self.add_weight(
            name=entry["name"].replace("/", "."),
            shape=tuple(entry["shape"]),
            initializer="zeros",
            dtype=entry["dtype"],
            trainable=bool(entry.get("trainable", False)),
            autocast=False,
        )

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Give weights their values, by their names in the graph. Raises KeyError if one is missing."""
        for name, variable in self._weights_by_name.items():
            variable.assign(arrays[name])

    def call(self, inputs: Any) -> Any:
        given = tree.flatten(inputs)
        names = [entry["name"] for entry in self.graph["inputs"]]
        if len(given) != len(names):
            raise GraphError(f"the graph takes {len(names)} inputs ({', '.join(names)}), got {len(given)}")
        found = run_graph(self.graph, {**dict(zip(names, given, strict=True)), **self._weights_by_name})
        return found[0] if len(found) == 1 else found

    def compute_output_spec(self, inputs: Any, **kwargs: Any) -> Any:
        """Symbolic tensors of the shapes that come out; those of the file where sizes of several axes are not
        known and a trial finds nothing.
        """
        try:
            return super().compute_output_spec(inputs, **kwargs)
        except ValueError:
            free = any(None in x.shape[1:] for x in tree.flatten(inputs) if isinstance(x, KerasTensor))
            declared = self.graph["outputs"]
            if not free or any(output.get("shape") is None for output in declared):
                raise
        made = [KerasTensor(tuple(x["shape"]), x["dtype"]) for x in declared]
        return made[0] if len(made) == 1 else made
