"""Quantization of a trained model to int8, with its cost in accuracy.

`calibrate` converts convolutions and dense layers with scales from sample data; `model.quantize(mode)` needs
no data, and has Keras's modes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

_NAMES = {"Calibration": "calibration", "calibrate": "calibration"}

if TYPE_CHECKING:
    from hornbeam.quantization.calibration import Calibration as Calibration
    from hornbeam.quantization.calibration import calibrate as calibrate
else:
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
