"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_STRINGS = "tensors hold numbers: turn strings into whole numbers in NumPy first"
_AUGMENTATION = "random augmentation of images is not in this version: augment in NumPy, or with hornbeam.ops in a Layer"
_SOUND = "spectrograms are not in this version: use hornbeam.ops.stft in a Layer"
_FOREIGN = "layers that hold another framework's code are not there: export the weights and rebuild the layer"

MISSING: dict[str, str] = {
    **dict.fromkeys(("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "HashedCrossing"), _STRINGS),
    **dict.fromkeys(
        (
            "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization", "MixUp",
            "Pipeline", "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
            "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip",
            "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
            "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
            "RandomTranslation", "RandomZoom", "Solarization",
        ),
        _AUGMENTATION,
    ),
    "MaxNumBoundingBoxes": "bounding boxes are not in this version",
    **dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), _SOUND),
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _FOREIGN),
    **dict.fromkeys(
        ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        "convolutional LSTMs are not in this version: write the cell with hornbeam.ops.conv and run it with RNN",
    ),
}  # fmt: skip
