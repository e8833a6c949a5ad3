"""Names of Keras's layers that are not here, and why."""

from __future__ import annotations

_SOUND = "spectrograms are not in this version: use hornbeam.ops.stft in a Layer"
_FOREIGN = "layers that hold another framework's code are not there: export the weights and rebuild the layer"
_CONV_LSTM = (
    "convolutional LSTMs are not in this version: write a cell with hornbeam.ops.conv and run it with RNN"
)

_MISSING_BY_REASON = {
    _SOUND: "MelSpectrogram STFTSpectrogram",
    _FOREIGN: "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    _CONV_LSTM: "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
}

MISSING: dict[str, str] = {name: why for why, names in _MISSING_BY_REASON.items() for name in names.split()}
