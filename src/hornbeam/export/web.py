"""A model as one HTML file: the frozen model, the engine in WebAssembly, and a form for its inputs."""

from __future__ import annotations

import base64
import gzip
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hornbeam import _native, ops, web
from hornbeam.core.grad import grad
from hornbeam.core.registry import exported_class
from hornbeam.export.frozen import FrozenArchive
from hornbeam.saving.files import replace_file
from hornbeam.web.kinds import input_kind

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
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

    Returns:
        The file.

    Raises:
        ValueError: As for `export_frozen`, for another ending, and for inputs that a page cannot make.
        TypeError: For Python code that needs an unknown size as a number.
        NotImplementedError: For operations that the native engine does not have.
    """
    target = Path(filepath)
    if target.suffix not in (".html", ".htm"):
        raise ValueError(f'export(format="web") writes an HTML file: {target.name!r} must end in ".html"')
    archive = FrozenArchive(model)
    archive.add_predict(input_signature)
    metadata = archive.metadata(labels, preprocessing)
    inputs = archive.signatures["predict"]["inputs"]
    if any(spec["dtype"] == "float16" for spec in inputs):
        raise ValueError(f"{model.describe()} takes float16, which JavaScript lacks: cast it in the model")
    metadata["kinds"] = {spec["name"]: _kind(spec, metadata) for spec in inputs}
    if input_signature is None:
        _add_layers(archive)
        _add_class_activation(archive)
    page = _page(title or model.name, archive.to_bytes(metadata))
    with replace_file(target) as file:
        file.write(page)
    return target


def _kind(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    shape = [None if isinstance(size, str) else size for size in spec["shape"]]
    return input_kind(spec["dtype"], shape, metadata.get("preprocessing", {}).get(spec["name"], {}))


def _page(title: str, model: bytes) -> bytes:
    def packed(data: bytes) -> str:
        return base64.b64encode(gzip.compress(data, mtime=0)).decode()

    def text(*names: str) -> str:
        return "\n".join(web.read(name).decode() for name in names)

    parts = {
        "title": html.escape(title),
        "icon": base64.b64encode(web.read("icon.svg")).decode(),
        "styles": text("page.css", "layers.css"),
        "version": _native.__version__,
        "engine": packed(web.read("engine.wasm")),
        "model": packed(model),
        "widgets": text(*web.WIDGETS),
        "program": text("engine.js", "export.js"),
    }
    page = text("export.html")
    for name, part in parts.items():
        page = page.replace(f"{{{name}}}", part)
    return page.encode()


# -- what the page shows besides predictions -----------------------------------------------------------------


def _add_layers(archive: FrozenArchive) -> None:
    """Add the signature "layers", what each layer computes, if the model is a graph of few enough layers."""
    shown = [layer for layer in _layers_in_order(archive.model) if type(layer).__name__ not in _UNSHOWN]
    shapes = [layer.output.shape[1:] for layer in shown]
    if not shown or any(None in shape for shape in shapes) or len(shown) > _MAX_LAYERS:
        return
    if sum(_count(shape) for shape in shapes) > _MAX_VALUES:
        return
    _add(archive, "layers", _part(archive.model, archive.model.inputs, [layer.output for layer in shown]),
         [layer.name for layer in shown])  # fmt: skip


def _add_class_activation(archive: FrozenArchive) -> None:
    """Add the signature "grad_cam" for a classifier of images.

    With A the feature maps of the last such layer and y the score of the winning class, the map is
    relu(sum_k w_k A_k), w_k the mean of dy/dA_k over the pixels, scaled to a maximum of 1.
    """
    model = archive.model
    maps = [layer for layer in _layers_in_order(model) if len(layer.output.shape) == 4]
    one_end = len(model.inputs) == len(model.outputs) == 1 if maps else False
    if not one_end or len(model.outputs[0].shape) != 2 or 1 in maps[-1].output.shape[1:3]:
        return
    try:
        head = _part(model, maps[-1].output, model.outputs)
    except ValueError:  # a path leads around the layer
        return
    body = _part(model, model.inputs, maps[-1].output)

    def score(features: Any) -> Any:
        # The logarithm has the same direction, and does not vanish where a softmax is certain.
        return ops.sum(ops.log(ops.max(head(features, training=False), axis=-1) + 1e-30))

    def grad_cam(x: Any) -> Any:
        features = body(x, training=False)
        weights = ops.mean(grad(score)(features), axis=(1, 2), keepdims=True)
        heat = ops.relu(ops.sum(weights * features, axis=-1))
        return heat / ops.maximum(ops.max(heat, axis=(1, 2), keepdims=True), 1e-30)

    _add(archive, "grad_cam", grad_cam, ["grad_cam"])


def _add(archive: FrozenArchive, signature: str, function: Any, names: list[str]) -> None:
    specs = archive.model.inputs
    inputs = [spec["name"] for spec in archive.signatures["predict"]["inputs"]]

    def call(*xs: Any) -> Any:
        return function(xs[0] if len(xs) == 1 else list(xs))

    archive.add(signature, call, specs, inputs, names)


def _part(model: Model, inputs: Any, outputs: Any) -> Any:
    """Return the layers between symbolic tensors as a model with the same weights."""
    # Models export themselves by this package, so that it cannot import their classes.
    return exported_class("keras.models", "Model")(inputs, outputs)


def _layers_in_order(model: Model) -> list[Layer]:
    """List the layers of a graph of layers that have one output, of its own inputs; none for other models."""
    if getattr(model, "_symbolic_inputs", None) is None:
        return []
    return [layer for layer in model.layers if _is_inside(model, layer)]


def _is_inside(model: Model, layer: Layer) -> bool:
    try:
        _part(model, model.inputs, layer.output)
    except (
        AttributeError,
        ValueError,
    ):  # called twice, not at all, or a model whose output is of its own graph
        return False
    return hasattr(layer.output, "shape")


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
