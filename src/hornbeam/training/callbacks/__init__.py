"""Callbacks of the training loop. `hornbeam.callbacks` is the public place."""

from hornbeam.training.callbacks.average import SwapEMAWeights
from hornbeam.training.callbacks.backup import BackupAndRestore
from hornbeam.training.callbacks.base import Callback, History
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.callbacks.checkpoint import Checkpoint
from hornbeam.training.callbacks.monitor import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from hornbeam.training.callbacks.progbar import ProgbarLogger
from hornbeam.training.callbacks.remote import RemoteMonitor
from hornbeam.training.callbacks.simple import (
    CSVLogger,
    LambdaCallback,
    LearningRateScheduler,
    TerminateOnNaN,
)
from hornbeam.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
