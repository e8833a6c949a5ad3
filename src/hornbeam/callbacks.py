"""Callbacks: hooks that observe and steer training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

# Public name -> the module that defines it.
_NAMES = {
    "BackupAndRestore": "hornbeam.training.callbacks.backup",
    "CSVLogger": "hornbeam.training.callbacks.simple",
    "Callback": "hornbeam.training.callbacks.base",
    "CallbackList": "hornbeam.training.callbacks.callback_list",
    "Checkpoint": "hornbeam.training.callbacks.checkpoint",
    "Doctor": "hornbeam.diagnostics.doctor_callback",
    "EarlyStopping": "hornbeam.training.callbacks.monitor",
    "History": "hornbeam.training.callbacks.base",
    "LambdaCallback": "hornbeam.training.callbacks.simple",
    "LearningRateScheduler": "hornbeam.training.callbacks.simple",
    "LivePlot": "hornbeam.training.callbacks.live_plot",
    "MlflowTracker": "hornbeam.insight.trackers.mlflow",
    "ModelCheckpoint": "hornbeam.training.callbacks.monitor",
    "OrbaxCheckpoint": "hornbeam.training.callbacks.orbax",
    "ProgbarLogger": "hornbeam.training.callbacks.progbar",
    "ReduceLROnPlateau": "hornbeam.training.callbacks.monitor",
    "RemoteMonitor": "hornbeam.training.callbacks.remote",
    "RunRecorder": "hornbeam.insight.runs.recorder",
    "SwapEMAWeights": "hornbeam.training.callbacks.average",
    "TensorBoard": "hornbeam.training.callbacks.tensorboard",
    "TerminateOnNaN": "hornbeam.training.callbacks.simple",
    "Tracker": "hornbeam.insight.trackers.tracker",
    "WandbTracker": "hornbeam.insight.trackers.wandb",
}

if TYPE_CHECKING:
    from hornbeam.diagnostics.doctor_callback import Doctor as Doctor
    from hornbeam.insight.runs.recorder import RunRecorder as RunRecorder
    from hornbeam.insight.trackers.mlflow import MlflowTracker as MlflowTracker
    from hornbeam.insight.trackers.tracker import Tracker as Tracker
    from hornbeam.insight.trackers.wandb import WandbTracker as WandbTracker
    from hornbeam.training.callbacks.average import SwapEMAWeights as SwapEMAWeights
    from hornbeam.training.callbacks.backup import BackupAndRestore as BackupAndRestore
    from hornbeam.training.callbacks.base import Callback as Callback
    from hornbeam.training.callbacks.base import History as History
    from hornbeam.training.callbacks.callback_list import CallbackList as CallbackList
    from hornbeam.training.callbacks.checkpoint import Checkpoint as Checkpoint
    from hornbeam.training.callbacks.live_plot import LivePlot as LivePlot
    from hornbeam.training.callbacks.monitor import EarlyStopping as EarlyStopping
    from hornbeam.training.callbacks.monitor import ModelCheckpoint as ModelCheckpoint
    from hornbeam.training.callbacks.monitor import ReduceLROnPlateau as ReduceLROnPlateau
    from hornbeam.training.callbacks.orbax import OrbaxCheckpoint as OrbaxCheckpoint
    from hornbeam.training.callbacks.progbar import ProgbarLogger as ProgbarLogger
    from hornbeam.training.callbacks.remote import RemoteMonitor as RemoteMonitor
    from hornbeam.training.callbacks.simple import CSVLogger as CSVLogger
    from hornbeam.training.callbacks.simple import LambdaCallback as LambdaCallback
    from hornbeam.training.callbacks.simple import LearningRateScheduler as LearningRateScheduler
    from hornbeam.training.callbacks.simple import TerminateOnNaN as TerminateOnNaN
    from hornbeam.training.callbacks.tensorboard import TensorBoard as TensorBoard

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _public = attach(__name__, _NAMES)
__all__ = list(_NAMES)
