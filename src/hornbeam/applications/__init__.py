"""Architectures of image classifiers, with Keras's names, layers and weights: `keras.applications`.

>>> model = hornbeam.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10)
>>> model.count_params()
2270794
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach

# Module -> its architectures.
_ARCHITECTURES = {
    "convnext": "ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge",
    "densenet": "DenseNet121 DenseNet169 DenseNet201",
    "efficientnet": (
        "EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 "
        "EfficientNetB6 EfficientNetB7"
    ),
    "efficientnet_v2": (
        "EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L EfficientNetV2M "
        "EfficientNetV2S"
    ),
    "inception_resnet_v2": "InceptionResNetV2",
    "inception_v3": "InceptionV3",
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3Large MobileNetV3Small",
    "nasnet": "NASNetLarge NASNetMobile",
    "resnet": "ResNet50 ResNet101 ResNet152",
    "resnet_v2": "ResNet50V2 ResNet101V2 ResNet152V2",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "xception": "Xception",
}
_LOCATIONS = {name: module for module, names in _ARCHITECTURES.items() for name in names.split()}
_MODULES = (*_ARCHITECTURES, "imagenet_utils", "resnet50")

__getattr__, __dir__, __all__ = attach(__name__, _LOCATIONS, _MODULES)
