"""Trainings that cannot be certified, and those that only their program makes again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from hornbeam._internal.origin import is_own
from hornbeam.certificate.state import STEERING
from hornbeam.data import Dataset
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.pipeline.purity import is_pure
from hornbeam.data.pipeline.py_dataset import PyDataset
from hornbeam.data.pipeline.stages import Stage
from hornbeam.engines import current_engine
from hornbeam.errors import CertificateError
from hornbeam.layers.library_layer import LibraryLayer
from hornbeam.layers.weights import flatten_layers
from hornbeam.saving.building import has_weights
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.average import SwapEMAWeights
from hornbeam.training.callbacks.base import Callback
from hornbeam.training.callbacks.simple import LambdaCallback, LearningRateScheduler
from hornbeam.training.run import TrainingRun
from hornbeam.training.sources import Data
from hornbeam.training.sparse_rows import SparseRows

# Names of methods that change weights or the optimizer's state.
_ASSIGNING = frozenset({
    "assign", "assign_add", "assign_sub", "load_own_variables", "load_weights", "set_weights",
})  # fmt: skip


def check_certifiable(run: TrainingRun) -> None:
    """Raise CertificateError, with the reason, for a training that no one could make again to the bit."""
    for reason in _refusals(run):
        raise CertificateError(f"this training cannot be certified: {reason}")


def _refusals(run: TrainingRun) -> Iterator[str]:
    engine = current_engine()
    if engine.name != "native":
        yield (
            f'the engine "{engine.name}" is of another library, whose sums depend on the machine. Use '
            'fit(engine="native")'
        )
    if engine.process[1] > 1 or engine.mesh is not None:
        yield "it runs in several processes or on several devices, whose sums depend on their number"
    if os.environ.get("HORNBEAM_AUTOTUNE"):
        yield "HORNBEAM_AUTOTUNE chooses algorithms by measured time, which changes last bits: unset it"
    if not has_weights(run.model):
        yield "the model is not built: begin it with an Input, or call it on a batch of data"
    for layer in flatten_layers(run.model, include_self=True):
        if isinstance(layer, LibraryLayer):
            yield f"the layer {layer.name!r} runs functions of another library"
    for name, data in (("the training data", run.data), ("validation_data", run.validation)):
        if data is not None:
            yield from _data_refusals(name, data)
    for callback in run.callbacks.callbacks:
        names = assigned_names(callback)
        if names:
            yield (
                f"the callback {type(callback).__name__} calls {names[0]}(), which changes weights between "
                "steps: put the change into a train_step or a layer"
            )


def _data_refusals(name: str, data: Data) -> Iterator[str]:
    if isinstance(data, ArrayData):
        if any(isinstance(leaf, SparseRows) for leaf in data.table.leaves):
            yield f"{name} are sparse arrays, which have no hash yet: pass dense ones"
    elif data.once:
        yield (
            f"{name} are a generator, which cannot be read a second time, and may depend on time or network: "
            "use arrays, a hornbeam.data.Dataset or a PyDataset"
        )
    elif not isinstance(data.source, (Dataset, PyDataset)):
        yield (
            f"{name} are a {type(data.source).__name__} of another library, whose order is not known: use "
            "arrays, a hornbeam.data.Dataset or a PyDataset"
        )


def _hooks_of(callback: Callback) -> Iterator[Any]:
    """Yield the functions of a user's callback, those that a LambdaCallback was created with included."""
    if not is_own(type(callback)):
        for kind in type(callback).__mro__:
            if not is_own(kind):
                yield from vars(kind).values()
    yield from (value for value in vars(callback).values() if not is_own(type(value)))


def assigned_names(callback: Callback) -> list[str]:
    """List the names in a user's callback of methods that change weights."""
    names: set[str] = set()
    for hook in _hooks_of(callback):
        function = hook.__func__ if isinstance(hook, MethodType) else hook
        if isinstance(function, FunctionType) and not is_own(function):
            for code in _codes(function.__code__):
                names.update(_ASSIGNING & set(code.co_names))
    return sorted(names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def program_reasons(run: TrainingRun, is_described: bool) -> list[str]:
    """List the reasons why the training can only be made again with its program.

    is_described: the model has a config from which it is rebuilt.
    """
    reasons = [] if is_described else ["the model has parts without a config"]
    own = [layer for layer in flatten_layers(run.model, include_self=True) if not is_own(type(layer))]
    if own:
        reasons.append(f"the class {type(own[0]).__name__} is of the program")
    for name, data in (("the training data", run.data), ("the validation data", run.validation)):
        if data is None:
            continue
        if type(data) is not ArrayData:
            source = getattr(data, "source", None) or data.cursor.source
            reasons.append(f"{name} are a {type(source).__name__}")
        elif data.table.treedef.parts[:2] != (0, 1):
            reasons.append(f"{name} are not one array of inputs and one of targets")
    for callback in run.callbacks.callbacks:
        if not is_own(type(callback)) or isinstance(
            callback, (LambdaCallback, LearningRateScheduler, SwapEMAWeights)
        ):
            reasons.append(f"the callback {type(callback).__name__} may steer the training")
        elif type(callback) in STEERING and arguments_of(callback) is None:
            reasons.append(f"the arguments of the callback {type(callback).__name__} are not plain values")
    return reasons


def arguments_of(callback: Callback) -> dict[str, Any] | None:
    """Return the arguments of one of our callbacks; None if they are not numbers and texts."""
    code = type(callback).__init__.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    values = {name: getattr(callback, name, ...) for name in names}
    plain = all(value is None or isinstance(value, (bool, int, float, str)) for value in values.values())
    return values if plain else None


def impure_functions(data: Data | None) -> list[Callable[..., Any]]:
    """List the user's functions in a pipeline whose results may depend on more than their arguments."""
    source = getattr(data, "source", None) or getattr(getattr(data, "cursor", None), "source", None)
    if isinstance(source, PyDataset):
        return [] if is_own(type(source)) else [type(source).__getitem__]
    pending: list[Any] = [stage_of(source)] if isinstance(source, Dataset) else []
    functions: list[Callable[..., Any]] = []
    while pending:
        for value in vars(pending.pop()).values():
            if isinstance(value, Stage):
                pending.append(value)
            elif isinstance(value, (list, tuple)):
                pending.extend(item for item in value if isinstance(item, Stage))
            elif isinstance(value, FunctionType) and not is_own(value) and not is_pure(value):
                functions.append(value)
    return functions
