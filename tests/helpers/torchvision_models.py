"""Architectures that torchvision has too: their names there, and the arrays of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.applications import pytorch
from hornbeam.saving.model_parts import weight_names

# Name here -> function of torchvision, and the side of its images.
MODELS = {
    "VGG16": ("vgg16", 224), "VGG19": ("vgg19", 224), "ResNet50": ("resnet50", 224),
    "ResNet101": ("resnet101", 224), "ResNet152": ("resnet152", 224), "DenseNet121": ("densenet121", 224),
    "DenseNet169": ("densenet169", 224), "DenseNet201": ("densenet201", 224),
    "MobileNetV2": ("mobilenet_v2", 224), "MobileNetV3Small": ("mobilenet_v3_small", 224),
    "MobileNetV3Large": ("mobilenet_v3_large", 224), "EfficientNetB0": ("efficientnet_b0", 224),
    "EfficientNetB1": ("efficientnet_b1", 240), "EfficientNetB2": ("efficientnet_b2", 260),
    "EfficientNetB3": ("efficientnet_b3", 300), "EfficientNetB4": ("efficientnet_b4", 380),
    "EfficientNetB5": ("efficientnet_b5", 456), "EfficientNetB6": ("efficientnet_b6", 528),
    "EfficientNetB7": ("efficientnet_b7", 600), "EfficientNetV2S": ("efficientnet_v2_s", 384),
    "EfficientNetV2M": ("efficientnet_v2_m", 480), "EfficientNetV2L": ("efficientnet_v2_l", 480),
    "ConvNeXtTiny": ("convnext_tiny", 224), "ConvNeXtSmall": ("convnext_small", 224),
    "ConvNeXtBase": ("convnext_base", 224), "ConvNeXtLarge": ("convnext_large", 224),
    "InceptionV3": ("inception_v3", 299),
}  # fmt: skip


def is_unused(name: str) -> bool:
    """True for an array of torchvision's that is not for inference."""
    return name.startswith("AuxLogits.") or name.endswith(".num_batches_tracked")


def checksum(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """Checksum of names and shapes, in any order."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def randomized(function: str) -> Any:
    """A model of torchvision with random weights and statistics."""
    import torch
    import torchvision

    torch.manual_seed(0)
    options = {"transform_input": True, "init_weights": False} if function == "inception_v3" else {}
    model = getattr(torchvision.models, function)(**options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
        elif hasattr(module, "layer_scale"):
            torch.nn.init.uniform_(module.layer_scale, 0.2, 0.4)
    return model


def normalization(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations that torchvision documents for a model's images; inception_v3 converts its own."""
    if name == "EfficientNetV2L":
        return np.full(3, 0.5), np.full(3, 0.5)
    return np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def shapes_of(model: hb.Model, version: pytorch.PyTorchVersion) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays that a file of PyTorch needs for a model."""
    return {name: shape for name, _, shape in _written(model, version)}


def arrays_of(model: hb.Model, version: pytorch.PyTorchVersion) -> dict[str, np.ndarray]:
    """The weights of a model that was built as PyTorch's version, as PyTorch would write them."""
    arrays = {}
    for name, variable, shape in _written(model, version):
        array = variable.numpy()
        if array.ndim == 4:
            array = array.transpose((2, 3, 0, 1) if shape[1] == 1 < shape[0] else (3, 2, 0, 1))
        arrays[name] = (array.T if array.ndim == 2 else array).reshape(shape)
    return arrays


def _written(model: hb.Model, version: pytorch.PyTorchVersion) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Yield names, variables and shapes in PyTorch."""
    kernels = {id(layer.kernel) for layer in model.layers if isinstance(layer, layers.DepthwiseConv2D)}
    for weight, variable in weight_names(model):
        name, shape = pytorch._module(weight, version), tuple(variable.shape)
        if weight.startswith(("conv_2/", "logits/")) and len(shape) == 4:
            shape = (shape[3], shape[2])  # of MobileNetV3, whose classifier here has convolutions
        elif len(shape) == 4:
            rows, columns, first, second = shape
            shape = (
                (first, second, rows, columns) if id(variable) in kernels else (second, first, rows, columns)
            )
        elif len(shape) == 2:
            shape = shape[::-1]
        yield name, variable, (*shape, 1, 1) if name.endswith("layer_scale") else shape
