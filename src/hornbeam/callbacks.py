"""`hornbeam.callbacks`: what watches and steers training."""

from __future__ import annotations

from hornbeam.training import callbacks as _callbacks
from hornbeam.training.callbacks import MISSING as MISSING
from hornbeam.training.callbacks import BackupAndRestore as BackupAndRestore
from hornbeam.training.callbacks import Callback as Callback
from hornbeam.training.callbacks import CallbackList as CallbackList
from hornbeam.training.callbacks import Checkpoint as Checkpoint
from hornbeam.training.callbacks import CSVLogger as CSVLogger
from hornbeam.training.callbacks import Doctor as Doctor
from hornbeam.training.callbacks import EarlyStopping as EarlyStopping
from hornbeam.training.callbacks import History as History
from hornbeam.training.callbacks import LambdaCallback as LambdaCallback
from hornbeam.training.callbacks import LearningRateScheduler as LearningRateScheduler
from hornbeam.training.callbacks import ModelCheckpoint as ModelCheckpoint
from hornbeam.training.callbacks import ProgbarLogger as ProgbarLogger
from hornbeam.training.callbacks import ReduceLROnPlateau as ReduceLROnPlateau
from hornbeam.training.callbacks import RemoteMonitor as RemoteMonitor
from hornbeam.training.callbacks import RunRecorder as RunRecorder
from hornbeam.training.callbacks import SwapEMAWeights as SwapEMAWeights
from hornbeam.training.callbacks import TensorBoard as TensorBoard
from hornbeam.training.callbacks import TerminateOnNaN as TerminateOnNaN

__all__ = list(_callbacks.__all__)


def __getattr__(name: str) -> object:
    return getattr(_callbacks, name)
