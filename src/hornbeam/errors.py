"""Errors and warnings of Hornbeam, in one place to catch and to filter them.

Each also is one of Python's own: a `ShapeError` is a `ValueError`, as Keras raises for the same mistake, so
that code written for Keras catches it. The module imports nothing.

Wrong arguments raise Python's `ValueError` and `TypeError`; the classes below are for cases that a program
may want to tell apart. Warnings can be silenced one kind at a time, by `warnings.filterwarnings`.

Example:
    >>> try:
    ...     hornbeam.ops.matmul(hornbeam.ops.ones((2, 3)), hornbeam.ops.ones((4, 5)))
    ... except hornbeam.errors.ShapeError:
    ...     print("shapes do not fit")
    shapes do not fit
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing

__all__ = [
    "AllocationError", "ArgumentTypeError", "BestOfWarning", "BranchError", "CalibrationError",
    "CertificateError", "ConcretizationError", "CorruptFileError", "DerivativeError", "DownloadError",
    "GraphError", "HornbeamTypeError", "IntervalWarning", "LeakWarning", "LegacyFormatWarning",
    "LikelyMistakeWarning", "MissingFileError", "MissingModuleError", "MissingNameError",
    "MissingPrimitiveError", "ModelFileError", "NonFiniteWeightsWarning", "NotRemovableError", "RunError",
    "SealedError", "ShapeError", "TestSetWarning", "UnknownObjectError", "UnknownOutputError",
    "UnsafeArchiveError", "ValueNeededError", "VerifyError", "WorkLimitError",
]  # fmt: skip

# -- tensors and graphs --------------------------------------------------------------------------------------


class ShapeError(ValueError):
    """Shapes do not fit an operation. The message has the expected and the received ones."""


class BranchError(ShapeError):
    """The branches of a condition that is traced return different shapes or dtypes."""


class HornbeamTypeError(TypeError, ValueError):
    """A value has a dtype that the operation does not accept: a `ValueError` too, as Keras raises both."""


class ArgumentTypeError(TypeError, ValueError):
    """An argument is of the wrong type: a `ValueError` too, as Keras raises both."""


class ConcretizationError(TypeError):
    """Error for a value that is read while a function is traced: only its shape and dtype are known."""


class DerivativeError(TypeError):
    """A gradient flows through an operation that has no derivative."""


class VerifyError(AssertionError):
    """A graph breaks a rule of the IR: a bug of Hornbeam, not of its user."""


class WorkLimitError(RuntimeError):
    """Building a graph takes more operations than the open limit allows."""


class MissingPrimitiveError(NotImplementedError):
    """A graph contains an operation that the engine does not implement."""


# -- names ---------------------------------------------------------------------------------------------------


class UnknownObjectError(TypeError, ValueError):
    """Error for a name in a config or an argument that is neither of the library nor registered.

    A `TypeError` and a `ValueError`: Keras raises the first for configs, the second for arguments.
    """


class UnknownOutputError(KeyError, ValueError):
    """An argument names an output that the model lacks: a `KeyError`, as in Keras, and a `ValueError`."""

    __str__ = Exception.__str__  # that of KeyError shows the message in quotes


class MissingModuleError(ModuleNotFoundError):
    """A script imports a part of Keras or TensorFlow that Hornbeam does not have.

    It has no `name`, by which `from module import name` would replace the message by a general one.
    """


class MissingNameError(AttributeError):
    """A script uses a name of Keras or TensorFlow that Hornbeam does not have."""


# -- files ---------------------------------------------------------------------------------------------------


class MissingFileError(FileNotFoundError, ValueError):
    """A model's file does not exist: a `ValueError` too, as in Keras."""


class ModelFileError(ValueError):
    """A file cannot be loaded safely as a model. The message names the rule that it breaks."""


class CertificateError(ValueError):
    """A training cannot be certified, or a file is no certificate. The message has the reason."""


class LegacyFormatWarning(UserWarning):
    """A model or its weights are saved to an HDF5 file of Keras 2, which has less than a `.keras` file."""


class NonFiniteWeightsWarning(UserWarning):
    """Weights in a file that was loaded are NaN or infinite."""


class AllocationError(ValueError):
    """Error for a model from a file that would need more memory than its weights account for."""


class GraphError(ValueError):
    """Error for an ONNX graph that breaks a rule, or needs a feature that is not supported."""


class ValueNeededError(GraphError):
    """Error for an ONNX graph whose shapes depend on values of its inputs, where types alone are known."""


class DownloadError(OSError):
    """Failure to download a file."""


class CorruptFileError(ValueError):
    """A file that differs from its checksum, or cannot be read as what it should be."""


class UnsafeArchiveError(ValueError):
    """Archive with entries outside of its folder, or other than files and folders."""


class RunError(ValueError):
    """A folder is not a run, or a file in it cannot be read. The message names the file."""


# -- data and evaluation -------------------------------------------------------------------------------------


class SealedError(TypeError):
    """Attempt to train, tune or validate on a sealed test set, or to access its arrays."""


class CalibrationError(ValueError):
    """Calibration data from which the coverage cannot be promised: too few samples, or trained on."""


class NotRemovableError(ValueError):
    """The model needs the layer; the message is the reason."""


class LikelyMistakeWarning(UserWarning):
    """Training that runs, but probably does not learn what it should; the message has the remedy."""


class TestSetWarning(UserWarning):
    """The test data given to `evaluate` have served as validation data before."""

    __test__ = False


class LeakWarning(UserWarning):
    """Held-out data were in training: their score is too optimistic."""


class IntervalWarning(UserWarning):
    """An interval or a test is known to hold less often than it states on such data."""


class BestOfWarning(UserWarning):
    """The best of several runs was selected, which depends more on chance than on the method."""


explain_missing(__name__)
