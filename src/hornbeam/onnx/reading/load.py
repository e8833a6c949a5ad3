"""Load ONNX files of inference models: read as data, checked, and converted to trainable models."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.limits import current_budget
from hornbeam._internal.typing import Tree
from hornbeam.core.registry import exported_class
from hornbeam.ir.limits import work_limit
from hornbeam.ir.types import is_float
from hornbeam.layers.core import Identity
from hornbeam.layers.input import Input
from hornbeam.onnx.operators import OnnxGraph
from hornbeam.onnx.reading.files import bytes_of, explained
from hornbeam.onnx.reading.source import OnnxSource

if TYPE_CHECKING:
    from hornbeam.models.functional import Functional

# Operations applied during shape inference, besides one for every byte.
WORK = 300_000


def load_onnx(filepath: str | os.PathLike[str]) -> Functional:
    """Load the model in an ONNX file, ready for `predict`, and after `compile` for `fit`.

    It is a functional model with the file's inputs, by their names, around one layer, `layers.OnnxGraph`,
    that runs the file's operators. An unknown first size is the batch. Float arrays that are used as weights
    (of convolutions, products, recurrent layers, normalizations, embeddings, biases and scales) are
    trainable; all others are not. Normalizations keep the means and variances of the file, and dropout is
    the identity, in training too. Reading needs nothing but NumPy.

    Args:
        filepath: The file. Large arrays may be in other files in its folder.

    Returns:
        A functional model.

    Raises:
        ModelFileError: For a file that is damaged, breaks a rule or needs operators that are not supported,
            all of which are named.
        FileNotFoundError: If the file does not exist.
    """
    path = os.fspath(filepath)
    data = bytes_of(path)
    with explained(path):
        return _model(OnnxSource(data, path), current_budget().work_for(len(data), WORK))


def _model(source: OnnxSource, work: int) -> Any:
    graph = source.graph()
    with work_limit(work):
        names: set[str] = set()
        inputs = [
            Input(batch_shape=tuple(x["shape"]), dtype=x["dtype"], name=_unique(x["name"], "_input", names))
            for x in graph["inputs"]
        ]
        layer = OnnxGraph(graph, name=_unique("onnx_graph", "_layer", names))
        layer.assign(source.weights)
        outputs = layer(inputs[0] if len(inputs) == 1 else inputs)
        # `run`, losses and targets know outputs by their names.
        outputs = [
            _named(x, out["name"], names)
            for x, out in zip(tree.flatten(outputs), graph["outputs"], strict=True)
        ]
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source.name)[:100]
    functional = exported_class("keras.src.models.functional", "Functional")
    return functional(*(x[0] if len(x) == 1 else x for x in (inputs, outputs)), name=name or None)


def _unique(name: str, ending: str, names: set[str]) -> str:
    """A unique name for a layer: the one of the file if possible."""
    name = name.replace("/", "_")
    while name in names:
        name += ending
    names.add(name)
    return name


def _named(x: Tree, name: str, names: set[str]) -> Any:
    return Identity(name=_unique(name, "_output", names), dtype=x.dtype if is_float(x.dtype) else None)(x)
