"""modelscan: a saved model is scanned for unsafe code."""

from pathlib import Path

import keras
from modelscan.modelscan import ModelScan

safe = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
safe.save("safe.keras")
scan = ModelScan()
result = scan.scan("safe.keras")
assert result["summary"]["total_issues"] == 0, result
assert result["summary"]["scanned"]["total_scanned"] >= 0
assert Path("safe.keras").exists()
