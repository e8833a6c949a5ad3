"""Callbacks: what watches and steers training."""

from hornbeam.training.callbacks.average import SwapEMAWeights
from hornbeam.training.callbacks.backup import BackupAndRestore
from hornbeam.training.callbacks.base import Callback, CallbackList, History
from hornbeam.training.callbacks.checkpoint import Checkpoint
from hornbeam.training.callbacks.doctor import Doctor
from hornbeam.training.callbacks.monitor import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from hornbeam.training.callbacks.progbar import ProgbarLogger
from hornbeam.training.callbacks.recorder import RunRecorder
from hornbeam.training.callbacks.remote import RemoteMonitor
from hornbeam.training.callbacks.simple import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)
from hornbeam.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "MISSING",
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "Checkpoint",
    "Doctor",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "RunRecorder",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

# Keras's other callbacks, and why they are not here.
MISSING = {
    "OrbaxCheckpoint": "writes a format of JAX's Orbax library, which Hornbeam does not depend on",
}


def __getattr__(name: str) -> object:
    if name in MISSING:
        raise AttributeError(f"hornbeam.callbacks.{name} is not there: it {MISSING[name]}")
    raise AttributeError(f"module 'hornbeam.callbacks' has no attribute {name!r}")
