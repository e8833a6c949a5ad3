"""Layers that augment images in training: geometry, color, histograms, mixtures, and whole policies.

They act in training only, unless documented otherwise. Each image gets its own draws, in compiled code too,
from a random state that belongs to the layer: the same seed gives the same images on any engine.

Boxes follow the images in any format. (Keras 3.15.1 interprets the boxes of RandomRotation and
RandomPerspective as "xyxy", swaps the axes of RandomCrop's, approximates RandomShear's, rounds those of
Resizing when it crops or pads, and concatenates MixUp's labels along the wrong axis; its RandomCrop does
nothing in inference.)
"""

from __future__ import annotations

from hornbeam.layers.augmentation.boxes import MaxNumBoundingBoxes
from hornbeam.layers.augmentation.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomSaturation,
)
from hornbeam.layers.augmentation.filters import RandomErasing, RandomGaussianBlur, RandomSharpness
from hornbeam.layers.augmentation.geometry import (
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from hornbeam.layers.augmentation.histogram import (
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
    RandomPosterization,
    Solarization,
)
from hornbeam.layers.augmentation.mixing import CutMix, MixUp
from hornbeam.layers.augmentation.policies import AugMix, Pipeline, RandAugment
from hornbeam.layers.augmentation.sizes import CenterCrop, RandomCrop, Resizing
from hornbeam.layers.augmentation.warping import RandomElasticTransform, RandomPerspective

__all__ = [
    "AugMix", "AutoContrast", "CenterCrop", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix",
    "Equalization", "MaxNumBoundingBoxes", "MixUp", "Pipeline", "RandAugment", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform",
    "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
    "RandomShear", "RandomTranslation", "RandomZoom", "Resizing", "Solarization",
]  # fmt: skip
