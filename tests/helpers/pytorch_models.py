"""Architectures that torchvision and timm have too: their names there, and the arrays of their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.applications import pytorch
from hornbeam.saving.model_parts import weight_names

# Key -> architecture here, library, its function, and the side of images.
MODELS = {
    "VGG16": ("VGG16", "torchvision", "vgg16", 224),
    "VGG19": ("VGG19", "torchvision", "vgg19", 224),
    "ResNet50": ("ResNet50", "torchvision", "resnet50", 224),
    "ResNet101": ("ResNet101", "torchvision", "resnet101", 224),
    "ResNet152": ("ResNet152", "torchvision", "resnet152", 224),
    "DenseNet121": ("DenseNet121", "torchvision", "densenet121", 224),
    "DenseNet169": ("DenseNet169", "torchvision", "densenet169", 224),
    "DenseNet201": ("DenseNet201", "torchvision", "densenet201", 224),
    "MobileNetV2": ("MobileNetV2", "torchvision", "mobilenet_v2", 224),
    "MobileNetV3Small": ("MobileNetV3Small", "torchvision", "mobilenet_v3_small", 224),
    "MobileNetV3Large": ("MobileNetV3Large", "torchvision", "mobilenet_v3_large", 224),
    "EfficientNetB0": ("EfficientNetB0", "torchvision", "efficientnet_b0", 224),
    "EfficientNetB1": ("EfficientNetB1", "torchvision", "efficientnet_b1", 240),
    "EfficientNetB2": ("EfficientNetB2", "torchvision", "efficientnet_b2", 260),
    "EfficientNetB3": ("EfficientNetB3", "torchvision", "efficientnet_b3", 300),
    "EfficientNetB4": ("EfficientNetB4", "torchvision", "efficientnet_b4", 380),
    "EfficientNetB5": ("EfficientNetB5", "torchvision", "efficientnet_b5", 456),
    "EfficientNetB6": ("EfficientNetB6", "torchvision", "efficientnet_b6", 528),
    "EfficientNetB7": ("EfficientNetB7", "torchvision", "efficientnet_b7", 600),
    "EfficientNetV2S": ("EfficientNetV2S", "torchvision", "efficientnet_v2_s", 384),
    "EfficientNetV2M": ("EfficientNetV2M", "torchvision", "efficientnet_v2_m", 480),
    "EfficientNetV2L": ("EfficientNetV2L", "torchvision", "efficientnet_v2_l", 480),
    "ConvNeXtTiny": ("ConvNeXtTiny", "torchvision", "convnext_tiny", 224),
    "ConvNeXtSmall": ("ConvNeXtSmall", "torchvision", "convnext_small", 224),
    "ConvNeXtBase": ("ConvNeXtBase", "torchvision", "convnext_base", 224),
    "ConvNeXtLarge": ("ConvNeXtLarge", "torchvision", "convnext_large", 224),
    "InceptionV3": ("InceptionV3", "torchvision", "inception_v3", 299),
    "ConvNeXtTiny of timm": ("ConvNeXtTiny", "timm", "convnext_tiny", 224),
    "ConvNeXtXLarge of timm": ("ConvNeXtXLarge", "timm", "convnext_xlarge", 224),
    "MobileNetV2 of timm": ("MobileNetV2", "timm", "mobilenetv2_100", 224),
    "VGG16 of timm": ("VGG16", "timm", "vgg16", 224),
    "VGG19 of timm": ("VGG19", "timm", "vgg19", 224),
    "InceptionResNetV2 of timm": ("InceptionResNetV2", "timm", "inception_resnet_v2", 299),
    "Xception of timm": ("Xception", "timm", "legacy_xception", 299),
    "InceptionV3 of timm": ("InceptionV3", "timm", "inception_v3", 299),
    "ResNet50 of timm": ("ResNet50", "timm", "resnet50", 224),
    "DenseNet121 of timm": ("DenseNet121", "timm", "densenet121", 224),
}


def create(library: str, function: str) -> Any:
    """A model of torchvision or timm, without trained weights."""
    if library == "timm":
        import timm

        return timm.create_model(function)
    import torchvision

    options = {"transform_input": True, "init_weights": False} if function == "inception_v3" else {}
    return getattr(torchvision.models, function)(**options)


def is_unused(name: str) -> bool:
    """True for an array of torchvision's that is not for inference."""
    return name.startswith("AuxLogits.") or name.endswith(".num_batches_tracked")


def checksum(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """Checksum of names and shapes, in any order."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def randomized(library: str, function: str) -> Any:
    """A model with random weights and statistics."""
    import torch

    torch.manual_seed(0)
    model = create(library, function).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
    for name, parameter in model.named_parameters():
        if name.endswith((".layer_scale", ".gamma")):
            torch.nn.init.uniform_(parameter, 0.2, 0.4)
    return model


def normalization(library: str, function: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations that a library documents; torchvision's inception_v3 converts images itself."""
    if library == "timm":
        import timm

        config = timm.create_model(function).default_cfg
        return np.array(config["mean"]), np.array(config["std"])
    if function == "efficientnet_v2_l":
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
    depthwise = {id(layer.kernel) for layer in model.layers if isinstance(layer, layers.DepthwiseConv2D)}
    weights = weight_names(model)
    names = pytorch.modules_of([weight for weight, _ in weights], version)
    for weight, variable in weights:
        shape = tuple(variable.shape)
        if weight.startswith(("conv_2/", "logits/")) and len(shape) == 4:
            shape = (shape[3], shape[2])  # of MobileNetV3, whose classifier here has convolutions
        elif len(shape) == 4:
            rows, columns, *ends = shape
            first_last = id(variable) in depthwise or weight.endswith("/depthwise_kernel")
            shape = (*(ends if first_last else ends[::-1]), rows, columns)
        elif len(shape) == 2:
            shape = shape[::-1]
            if names[weight].startswith("pre_logits."):  # of timm's VGG, a convolution over the image
                side = 7 if names[weight].startswith("pre_logits.fc1.") else 1
                shape = (shape[0], shape[1] // side**2, side, side)
        scale = names[weight].endswith("layer_scale")
        yield names[weight], variable, (*shape, 1, 1) if scale else shape
