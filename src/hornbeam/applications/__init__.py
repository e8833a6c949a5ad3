"""Architectures of image classifiers, with Keras's names, layers and weights: `keras.applications`.

>>> model = hornbeam.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=10)
>>> model.count_params()
2270794
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from hornbeam.applications import convnext as convnext
    from hornbeam.applications import densenet as densenet
    from hornbeam.applications import efficientnet as efficientnet
    from hornbeam.applications import efficientnet_v2 as efficientnet_v2
    from hornbeam.applications import imagenet_utils as imagenet_utils
    from hornbeam.applications import inception_resnet_v2 as inception_resnet_v2
    from hornbeam.applications import inception_v3 as inception_v3
    from hornbeam.applications import mobilenet as mobilenet
    from hornbeam.applications import mobilenet_v2 as mobilenet_v2
    from hornbeam.applications import mobilenet_v3 as mobilenet_v3
    from hornbeam.applications import nasnet as nasnet
    from hornbeam.applications import resnet as resnet
    from hornbeam.applications import resnet50 as resnet50
    from hornbeam.applications import resnet_v2 as resnet_v2
    from hornbeam.applications import vgg16 as vgg16
    from hornbeam.applications import vgg19 as vgg19
    from hornbeam.applications import xception as xception
    from hornbeam.applications.convnext import ConvNeXtBase as ConvNeXtBase
    from hornbeam.applications.convnext import ConvNeXtLarge as ConvNeXtLarge
    from hornbeam.applications.convnext import ConvNeXtSmall as ConvNeXtSmall
    from hornbeam.applications.convnext import ConvNeXtTiny as ConvNeXtTiny
    from hornbeam.applications.convnext import ConvNeXtXLarge as ConvNeXtXLarge
    from hornbeam.applications.densenet import DenseNet121 as DenseNet121
    from hornbeam.applications.densenet import DenseNet169 as DenseNet169
    from hornbeam.applications.densenet import DenseNet201 as DenseNet201
    from hornbeam.applications.efficientnet import EfficientNetB0 as EfficientNetB0
    from hornbeam.applications.efficientnet import EfficientNetB1 as EfficientNetB1
    from hornbeam.applications.efficientnet import EfficientNetB2 as EfficientNetB2
    from hornbeam.applications.efficientnet import EfficientNetB3 as EfficientNetB3
    from hornbeam.applications.efficientnet import EfficientNetB4 as EfficientNetB4
    from hornbeam.applications.efficientnet import EfficientNetB5 as EfficientNetB5
    from hornbeam.applications.efficientnet import EfficientNetB6 as EfficientNetB6
    from hornbeam.applications.efficientnet import EfficientNetB7 as EfficientNetB7
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2B0 as EfficientNetV2B0
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2B1 as EfficientNetV2B1
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2B2 as EfficientNetV2B2
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2B3 as EfficientNetV2B3
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2L as EfficientNetV2L
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2M as EfficientNetV2M
    from hornbeam.applications.efficientnet_v2 import EfficientNetV2S as EfficientNetV2S
    from hornbeam.applications.inception_resnet_v2 import InceptionResNetV2 as InceptionResNetV2
    from hornbeam.applications.inception_v3 import InceptionV3 as InceptionV3
    from hornbeam.applications.mobilenet import MobileNet as MobileNet
    from hornbeam.applications.mobilenet_v2 import MobileNetV2 as MobileNetV2
    from hornbeam.applications.mobilenet_v3 import MobileNetV3Large as MobileNetV3Large
    from hornbeam.applications.mobilenet_v3 import MobileNetV3Small as MobileNetV3Small
    from hornbeam.applications.nasnet import NASNetLarge as NASNetLarge
    from hornbeam.applications.nasnet import NASNetMobile as NASNetMobile
    from hornbeam.applications.resnet import ResNet50 as ResNet50
    from hornbeam.applications.resnet import ResNet101 as ResNet101
    from hornbeam.applications.resnet import ResNet152 as ResNet152
    from hornbeam.applications.resnet_v2 import ResNet50V2 as ResNet50V2
    from hornbeam.applications.resnet_v2 import ResNet101V2 as ResNet101V2
    from hornbeam.applications.resnet_v2 import ResNet152V2 as ResNet152V2
    from hornbeam.applications.vgg16 import VGG16 as VGG16
    from hornbeam.applications.vgg19 import VGG19 as VGG19
    from hornbeam.applications.xception import Xception as Xception

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _LOCATIONS, _MODULES)
