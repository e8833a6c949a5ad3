"""Quantization of a model: layer by layer, and for GPTQ and AWQ block by block on the model's own inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from hornbeam import tree
from hornbeam._internal.formatting import brief
from hornbeam._internal.warn import warn_user
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.layers import Layer
from hornbeam.layers.context import layer_call_hook
from hornbeam.layers.network import Network
from hornbeam.layers.products import ProductLayer
from hornbeam.layers.tracking import sublayers
from hornbeam.layers.weights import flatten_layers, own_weights
from hornbeam.quantizers.awq import LargestInputs
from hornbeam.quantizers.configs import AWQConfig, CalibratedConfig, GPTQConfig, QuantizationConfig
from hornbeam.quantizers.gptq import Hessian
from hornbeam.quantizers.token_windows import token_windows

Filters: TypeAlias = str | Sequence[str] | Callable[[Layer], bool] | None

# Sequences that pass through a block together.
_BATCH = 8


def quantize_model(
    model: Network, mode: str, config: QuantizationConfig, filters: Filters, type_check: bool
) -> None:
    """Quantize the layers of a model that have the mode and pass the filters (see `Model.quantize`)."""
    if filters is not None and not callable(filters) and not isinstance(filters, (str, list, tuple)):
        raise ValueError(
            "filters must be a regular expression, a list of them, or a function of a layer, got "
            f"{brief(filters)}"
        )
    if isinstance(config, CalibratedConfig):
        _calibrate(model, config, filters)
        return
    floats = []
    for layer in flatten_layers(model, include_self=False):
        if sublayers(layer) or not _passes(layer, filters):
            continue
        try:
            layer.quantize(mode, config=config, type_check=type_check)
        except NotImplementedError:
            if any(len(weight.shape) > 1 for weight in own_weights(layer)):
                floats.append(layer)
    if floats:
        names = ", ".join(layer.describe() for layer in floats[:5])
        more = f" and {len(floats) - 5} more" if len(floats) > 5 else ""
        warn_user(f"quantize({mode!r}): {names}{more} have no such form and stay as they are")


def _passes(layer: Layer, filters: Filters) -> bool:
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)


# -- GPTQ and AWQ --------------------------------------------------------------------------------------------


def _calibrate(model: Network, config: CalibratedConfig, filters: Filters) -> None:
    assert isinstance(config, (GPTQConfig, AWQConfig))
    structure = config.quantization_layer_structure or model.get_quantization_layer_structure(config.mode)
    blocks = [] if structure is None else list(structure.get("sequential_blocks", []))
    if structure is None or not blocks:
        raise ValueError(
            f"{config.mode} quantizes block by block: pass {type(config).__name__}("
            "quantization_layer_structure={'pre_block_layers': [...], 'sequential_blocks': [...]}) with the "
            "layers of the model, or override model.get_quantization_layer_structure(mode)"
        )
    samples = token_windows(config)
    batches: list[Any] = [as_tensor(samples[i : i + _BATCH]) for i in range(0, len(samples), _BATCH)]
    for layer in structure.get("pre_block_layers", []):
        batches = [layer(batch) for batch in batches]
    for block in blocks:
        layers = [
            layer
            for layer in flatten_layers(block)
            if isinstance(layer, ProductLayer)
            and "_keras_module" in type(layer).__dict__
            and layer._is_matrix_product()
            and _passes(layer, filters)
        ]
        for layer, statistics in _statistics(block, layers, batches, config).items():
            _quantize_layer(layer, statistics, config)
        if block is not blocks[-1]:
            # The next block sees what the quantized one computes, as it will later.
            batches = [_first(block(batch)) for batch in batches]


def _statistics(
    block: Layer, layers: list[ProductLayer], batches: list[Any], config: CalibratedConfig
) -> dict[ProductLayer, Any]:
    """Run a block on all batches and collect what the mode needs to know of the inputs of its layers."""
    kind = Hessian if isinstance(config, GPTQConfig) else LargestInputs
    result = {layer: kind(layer._layouts(layer._main_variable.shape)[0].matrix[0]) for layer in layers}

    def observe(layer: Layer, run: Any) -> Any:
        if layer in result and isinstance(layer, ProductLayer):
            result[layer].add(layer._rows(_first([*run.args, *run.keywords.values()])))
        return run()

    with layer_call_hook(observe):
        for batch in batches:
            tree.map_structure(np.asarray, block(batch))
    return result


def _quantize_layer(layer: ProductLayer, statistics: Any, config: CalibratedConfig) -> None:
    layout = layer._layouts(layer._main_variable.shape)[0]
    matrix = np.asarray(layer._main_variable.value, "float32").reshape(layout.matrix).T
    rounded = statistics.rounded(matrix, config)
    layer.quantize(config.mode, config=config)
    layer.calibrate(*(as_tensor(part) for part in rounded if part is not None))


def _first(outputs: Any) -> Tensor:
    return as_tensor(tree.flatten(outputs)[0])
