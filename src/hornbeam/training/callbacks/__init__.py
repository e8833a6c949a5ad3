"""Callbacks: what watches and steers training."""

from hornbeam.training.callbacks.base import Callback, CallbackList, History
from hornbeam.training.callbacks.monitor import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from hornbeam.training.callbacks.progbar import ProgbarLogger
from hornbeam.training.callbacks.simple import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)

__all__ = [
    "MISSING",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

# Keras's other callbacks, and why they are not here yet.
MISSING = {
    "BackupAndRestore": "needs checkpoints of optimizer, random state and position in the data",
    "OrbaxCheckpoint": "writes a format of JAX's Orbax library, which Hornbeam does not depend on",
    "RemoteMonitor": "sends metrics over the network",
    "SwapEMAWeights": "needs weight averages that optimizers can swap in",
    "TensorBoard": "needs a writer for TensorBoard's event files",
}


def __getattr__(name: str) -> object:
    if name in MISSING:
        raise AttributeError(f"hornbeam.callbacks.{name} is not there yet: it {MISSING[name]}")
    raise AttributeError(f"module 'hornbeam.callbacks' has no attribute {name!r}")
