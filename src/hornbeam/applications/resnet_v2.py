"""ResNet's second version, with normalization before convolutions.

He et al. 2016, https://arxiv.org/abs/1603.05027.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.applications import imagenet_utils
from hornbeam.applications.imagenet_utils import decode_predictions as decode_predictions
from hornbeam.applications.resnet import resnet
from hornbeam.core.typing import Images

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

ResNet50V2 = resnet(
    "ResNet50V2", (3, 4, 6, 3), ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"), True
)
ResNet101V2 = resnet(
    "ResNet101V2",
    (3, 4, 23, 3),
    ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    True,
)
ResNet152V2 = resnet(
    "ResNet152V2",
    (3, 8, 36, 3),
    ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
    True,
)


def preprocess_input(x: Images, data_format: str | None = None) -> Images:
    """Preprocess images for ResNetV2: mode "tf" of `imagenet_utils.preprocess_input`.

    Args:
        x: Image or batch of images with values from 0 to 255, RGB.
        data_format: "channels_last" or "channels_first"; the configured one if None.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")


explain_missing(__name__)
