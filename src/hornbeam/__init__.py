"""Hornbeam: deep learning that reads like Keras, over interchangeable engines.

Names are re-exported explicitly and imported when they are first used, so that `import hornbeam` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal import entry_points, tracebacks
from hornbeam._internal.lazy_imports import attach

# Public name -> the module it lives in. Sub-modules are listed below.
_NAMES = {
    "DTypePolicy": "dtype_policies",
    "FloatDTypePolicy": "dtype_policies",
    "Function": "models.functional",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "layers",
    "KerasTensor": "core.symbolic",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "core.operation",
    "Optimizer": "optimizers",
    "Quantizer": "quantizers",
    "Regularizer": "regularizers",
    "RematScope": "core.scopes",
    "Sequential": "models",
    "StatelessScope": "core.scopes",
    "SymbolicScope": "core.scopes",
    "Tensor": "core.tensor",
    "Variable": "core.variable",
    "checkpoint": "core.grad",
    "compare_engines": "diagnostics.engine_comparison",
    "device": "core.scopes",
    "from_dlpack": "interop",
    "grad": "core.grad",
    "gradients": "core.grad",
    "install_as_keras": "hornbeam_compat.installation",
    "jit": "core.jit",
    "load_ipython_extension": "hornbeam_compat.notebooks",
    "lr_find": "diagnostics.lr_finder",
    "name_scope": "core.scopes",
    "remat": "core.grad",
    "stop_gradient": "core.grad",
    "uninstall_as_keras": "hornbeam_compat.installation",
    "unload_ipython_extension": "hornbeam_compat.notebooks",
    "value_and_grad": "core.grad",
    "version": "_internal.version",
    "vjp": "core.grad",
    "__version__": "_native",
}

_MODULES = (
    "activations", "applications", "backend", "callbacks", "config", "constraints", "data", "datasets",
    "distillation", "distribution", "dtype_policies", "engines", "errors", "evaluation", "export", "hub",
    "initializers", "insight", "interop", "layers", "legacy", "losses", "metrics", "mixed_precision",
    "mlflow", "models", "ops", "optimizers", "preprocessing", "quantization", "quantizers", "random",
    "regularizers", "runtime", "saving", "transfer", "tree", "tuning", "utils", "visualization", "wrappers",
)  # fmt: skip

# Names of Keras's that are not here, and why.
_MISSING: dict[str, str] = {
    "src": "Keras's own sources, which `hornbeam run` has for packages: use the public names.",
}

if TYPE_CHECKING:
    from hornbeam import activations as activations
    from hornbeam import applications as applications
    from hornbeam import backend as backend
    from hornbeam import callbacks as callbacks
    from hornbeam import config as config
    from hornbeam import constraints as constraints
    from hornbeam import data as data
    from hornbeam import datasets as datasets
    from hornbeam import distillation as distillation
    from hornbeam import distribution as distribution
    from hornbeam import dtype_policies as dtype_policies
    from hornbeam import engines as engines
    from hornbeam import errors as errors
    from hornbeam import evaluation as evaluation
    from hornbeam import export as export
    from hornbeam import hub as hub
    from hornbeam import initializers as initializers
    from hornbeam import insight as insight
    from hornbeam import interop as interop
    from hornbeam import layers as layers
    from hornbeam import legacy as legacy
    from hornbeam import losses as losses
    from hornbeam import metrics as metrics
    from hornbeam import mixed_precision as mixed_precision
    from hornbeam import mlflow as mlflow
    from hornbeam import models as models
    from hornbeam import ops as ops
    from hornbeam import optimizers as optimizers
    from hornbeam import preprocessing as preprocessing
    from hornbeam import quantization as quantization
    from hornbeam import quantizers as quantizers
    from hornbeam import random as random
    from hornbeam import regularizers as regularizers
    from hornbeam import runtime as runtime
    from hornbeam import saving as saving
    from hornbeam import transfer as transfer
    from hornbeam import tree as tree
    from hornbeam import tuning as tuning
    from hornbeam import utils as utils
    from hornbeam import visualization as visualization
    from hornbeam import wrappers as wrappers
    from hornbeam._internal.version import version as version
    from hornbeam._native import __version__ as __version__
    from hornbeam.core.grad import checkpoint as checkpoint
    from hornbeam.core.grad import grad as grad
    from hornbeam.core.grad import gradients as gradients
    from hornbeam.core.grad import remat as remat
    from hornbeam.core.grad import stop_gradient as stop_gradient
    from hornbeam.core.grad import value_and_grad as value_and_grad
    from hornbeam.core.grad import vjp as vjp
    from hornbeam.core.jit import jit as jit
    from hornbeam.core.operation import Operation as Operation
    from hornbeam.core.scopes import RematScope as RematScope
    from hornbeam.core.scopes import StatelessScope as StatelessScope
    from hornbeam.core.scopes import SymbolicScope as SymbolicScope
    from hornbeam.core.scopes import device as device
    from hornbeam.core.scopes import name_scope as name_scope
    from hornbeam.core.symbolic import KerasTensor as KerasTensor
    from hornbeam.core.tensor import Tensor as Tensor
    from hornbeam.core.variable import Variable as Variable
    from hornbeam.diagnostics.engine_comparison import compare_engines as compare_engines
    from hornbeam.diagnostics.lr_finder import lr_find as lr_find
    from hornbeam.dtype_policies import DTypePolicy as DTypePolicy
    from hornbeam.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from hornbeam.initializers import Initializer as Initializer
    from hornbeam.interop import from_dlpack as from_dlpack
    from hornbeam.layers import Input as Input
    from hornbeam.layers import InputSpec as InputSpec
    from hornbeam.layers import Layer as Layer
    from hornbeam.losses import Loss as Loss
    from hornbeam.metrics import Metric as Metric
    from hornbeam.models import Model as Model
    from hornbeam.models import Sequential as Sequential
    from hornbeam.models.functional import Function as Function
    from hornbeam.optimizers import Optimizer as Optimizer
    from hornbeam.quantizers import Quantizer as Quantizer
    from hornbeam.regularizers import Regularizer as Regularizer
    from hornbeam_compat.installation import install_as_keras as install_as_keras
    from hornbeam_compat.installation import uninstall_as_keras as uninstall_as_keras
    from hornbeam_compat.notebooks import load_ipython_extension as load_ipython_extension
    from hornbeam_compat.notebooks import unload_ipython_extension as unload_ipython_extension

tracebacks.install()
# Methods of `Model` that layers above it carry out.
entry_points.enter(
    {
        "explain": "hornbeam.insight",
        "explain_training": "hornbeam.insight",
        "export": "hornbeam.export",
    }
)

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES, _MODULES, _MISSING)
