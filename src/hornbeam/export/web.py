"""A model as one HTML file: the frozen model, the engine in WebAssembly, and a form for its inputs."""

from __future__ import annotations

import base64
import gzip
import html
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam import _native, ops, web
from hornbeam._internal.input_statistics import TRAINING_INPUTS, from_config
from hornbeam._internal.typing import Tree
from hornbeam.core.grad import grad
from hornbeam.core.registry import exported_class
from hornbeam.export.frozen import FrozenArchive
from hornbeam.export.web_training import PageTraining
from hornbeam.models.call_graph import CallGraph
from hornbeam.saving.files import replace_file
from hornbeam.web.kinds import input_kind

if TYPE_CHECKING:
    from hornbeam.export.frozen_training import FrozenTraining
    from hornbeam.layers import Layer
    from hornbeam.models import Model

# Layers beyond these are more than a page can show while one draws.
_MAX_LAYERS = 40
_MAX_VALUES = 500_000
# They change no value, or only where values are.
_UNSHOWN = ("InputLayer", "Dropout", "SpatialDropout2D", "Flatten", "Reshape", "GaussianNoise")


def export_web(
    model: Model,
    filepath: str | os.PathLike[str],
    input_signature: Tree = None,
    labels: Sequence[str] | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    title: str | None = None,
    training_data: Tree = None,
    validation_data: Tree = None,
    batch_size: int = 32,
    epochs: int = 10,
) -> Path:
    """Write a page in which a model answers: by drawing, an image, a text or sliders, as its inputs are.

    The page loads nothing: it works from a file and offline. Where the model is one of layers, it shows what
    they compute, and for an image the class activation map of the winning class (Grad-CAM, Selvaraju et al.
    2017) of the last layer of feature maps.

    Args:
        model: A built model.
        filepath: The file, which ends in ".html".
        input_signature: Structure of InputSpecs; by default the model's inputs.
        labels: Names of the classes of an output of class scores.
        preprocessing: As for `export_frozen`.
        title: Title of the page; by default the model's name.
        training_data: `(x, y)` or `(x, y, sample_weight)`, to train the model in the page; it must be
            compiled. The data become part of the page.
        validation_data: Data of the same kind, on which the page evaluates the model after each epoch.
        batch_size: Samples of a step of training, which the reader may change.
        epochs: Number of epochs, likewise.

    Returns:
        The file.

    Raises:
        ValueError: As for `export_frozen`, for another ending, for inputs that a page cannot make, and for a
            model and data that do not train.
        TypeError: For Python code that needs an unknown size as a number.
        NotImplementedError: For operations that the native engine does not have.
    """
    target = Path(filepath)
    if target.suffix not in (".html", ".htm"):
        raise ValueError(f'export(format="web") writes an HTML file: {target.name!r} must end in ".html"')
    training = None
    if training_data is not None:
        if input_signature is not None:
            raise ValueError("input_signature follows from training_data: pass one of the two")
        training = PageTraining(model, training_data, validation_data, batch_size, epochs)
    elif validation_data is not None:
        raise ValueError("validation_data needs training_data")
    archive = FrozenArchive(model)
    archive.add_predict(input_signature)
    metadata = archive.metadata(labels, preprocessing)
    inputs = archive.signatures["predict"]["inputs"]
    if any(spec["dtype"] == "float16" for spec in inputs):
        raise ValueError(f"{model.describe()} takes float16, which JavaScript lacks: cast it in the model")
    metadata["kinds"] = {spec["name"]: _kind(spec, metadata) for spec in inputs}
    if input_signature is None:
        views = _Views(archive, None if training is None else training.frozen)
        views.add_all()
    data = None
    if training is not None:
        metadata["training"] = training.add_to(archive)
        data = training.data()
    page = _page(title or model.name, archive.to_bytes(metadata), data)
    with replace_file(target) as file:
        file.write(page)
    return target


def _kind(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    shape = [None if isinstance(size, str) else size for size in spec["shape"]]
    trained = from_config(metadata.get(TRAINING_INPUTS))
    about = metadata.get("preprocessing", {}).get(spec["name"], {})
    return input_kind(spec["dtype"], shape, about, trained.get(spec["name"]))


def _page(title: str, model: bytes, data: bytes | None) -> bytes:
    def base64_of(data: bytes) -> str:
        return base64.b64encode(data).decode()

    def text(*names: str) -> str:
        return "\n".join(web.read(name).decode() for name in names)

    parts = {
        "title": html.escape(title),
        "icon": base64_of(web.read("icon.svg")),
        "styles": text("page.css", "layers.css", *(["training.css"] if data else [])),
        "version": _native.__version__,
        "engine": base64_of(web.read("engine.wasm.gz")),
        "model": base64_of(gzip.compress(model, mtime=0)),
        "widgets": text(*web.WIDGETS),
        "data": base64_of(data or b""),
        "program": text("engine.js", *(web.TRAINING if data else ()), "export.js"),
    }
    # In one pass: a part may contain the name of another in braces.
    return re.sub(r"\{(\w+)\}", lambda name: parts[name[1]], text("export.html")).encode()


# -- what the page shows besides predictions -----------------------------------------------------------------


class _Views:
    """Signatures of what a page shows. In a page that trains, they take the weights from the state."""

    def __init__(self, archive: FrozenArchive, training: FrozenTraining | None) -> None:
        self._archive, self._model, self._training = archive, archive.model, training
        self._layers = _layers_in_order(archive.model)

    def add_all(self) -> None:
        if self._training is not None:
            predict = self._archive.signatures["predict"]
            model = self._model
            results = [spec["name"] for spec in predict["outputs"]]
            self._add("stateless_predict", lambda x: model(x, training=False), results)
        self._add_layers()
        self._add_class_activation()

    def _add_layers(self) -> None:
        """Add the signature "layers", what each layer computes, if there are few enough."""
        shown = [layer for layer in self._layers if type(layer).__name__ not in _UNSHOWN]
        shapes = [layer.output.shape[1:] for layer in shown]
        if not shown or any(None in shape for shape in shapes) or len(shown) > _MAX_LAYERS:
            return
        if sum(map(math.prod, shapes)) > _MAX_VALUES:
            return
        activations = _part(self._model.inputs, [layer.output for layer in shown])
        self._add("layers", lambda x: activations(x, training=False), [layer.name for layer in shown])

    def _add_class_activation(self) -> None:
        """Add the signature "grad_cam" for a classifier of images.

        With A the feature maps of the last such layer and y the score of the winning class, the map is
        relu(sum_k w_k A_k), w_k the mean of dy/dA_k over the pixels, scaled to a maximum of 1.
        """
        model = self._model
        maps = [layer.output for layer in self._layers if len(layer.output.shape) == 4]
        if not maps or not len(model.inputs) == len(model.outputs) == 1:
            return
        if len(model.outputs[0].shape) != 2 or 1 in maps[-1].shape[1:3]:
            return
        try:
            head = _part(maps[-1], model.outputs)
        except ValueError:  # a path leads around the layer
            return
        body = _part(model.inputs, maps[-1])

        def score(features: Any) -> Any:
            winner = ops.max(head(features, training=False), axis=-1)
            # The logarithm has the same direction, and does not vanish where a softmax is certain. Logits may
            # be negative.
            return ops.sum(ops.where(winner > 0, ops.log(ops.maximum(winner, 1e-30)), winner))

        def grad_cam(x: Any) -> Any:
            features = body(x, training=False)
            weights = ops.mean(grad(score)(features), axis=(1, 2), keepdims=True)
            heat = ops.relu(ops.sum(weights * features, axis=-1))
            return heat / ops.maximum(ops.max(heat, axis=(1, 2), keepdims=True), 1e-30)

        self._add("grad_cam", grad_cam, ["grad_cam"])

    def _add(self, signature: str, function: Any, results: list[str]) -> None:
        specs = self._model.inputs
        names = [spec["name"] for spec in self._archive.signatures["predict"]["inputs"]]

        def call(*xs: Any) -> Any:
            return function(xs[0] if len(xs) == 1 else list(xs))

        if self._training is not None:
            self._training.add_inference(self._archive, signature, call, names, results)
        else:
            self._archive.add(signature, call, specs, names, results)


def _part(inputs: Any, outputs: Any) -> Any:
    """Return the layers between symbolic tensors as a model with the same weights."""
    # Models export themselves by this package, so that it cannot import their classes.
    return exported_class("keras.models", "Model")(inputs, outputs)


def _layers_in_order(model: Model) -> list[Layer]:
    """List layers that are called once and have one output, of a model that is a graph of layers."""
    if getattr(model, "_symbolic_inputs", None) is None:
        return []
    calls = CallGraph(model.inputs, model.outputs, model.name).calls
    # Layers that are models have an output in a graph of their own.
    results = {id(call.result) for call in calls}
    return [layer for layer in model.layers if id(getattr(layer, "output", None)) in results]
