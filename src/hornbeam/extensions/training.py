"""For extensions: compiled steps, and batches."""

from hornbeam.training.array_data import ArrayData as ArrayData
from hornbeam.training.packing import Batch as Batch
from hornbeam.training.packing import Signature as Signature
from hornbeam.training.signals import uninterrupted as uninterrupted
from hornbeam.training.step import Predictor as Predictor
from hornbeam.training.step import Step as Step
