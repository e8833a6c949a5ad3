"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_AUGMENTATION = (
    "random augmentation of images is not in this version: augment in NumPy, or in a Layer of your own"
)
_SOUND = "spectrograms are not in this version: use hornbeam.ops.stft in a Layer"
_FOREIGN = "layers that hold another framework's code are not there: export the weights and rebuild the layer"
_CONV_LSTM = (
    "convolutional LSTMs are not in this version: write a cell with hornbeam.ops.conv and run it with RNN"
)

_MISSING_BY_REASON = {
    _AUGMENTATION: (
        "AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp "
        "Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast "
        "RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale "
        "RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation "
        "RandomSharpness RandomShear RandomTranslation RandomZoom Solarization"
    ),
    _SOUND: "MelSpectrogram STFTSpectrogram",
    _FOREIGN: "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    _CONV_LSTM: "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "bounding boxes are not in this version": "MaxNumBoundingBoxes",
}

MISSING: dict[str, str] = {name: why for why, names in _MISSING_BY_REASON.items() for name in names.split()}
