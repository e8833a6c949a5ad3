"""Facts of a training that a certificate states: data, program, settings, versions."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import __version__, _native, tree
from hornbeam._internal.origin import FOLDERS
from hornbeam._internal.typing import Tree
from hornbeam.certificate.hashing import hash_arrays, plain
from hornbeam.certificate.refusals import arguments_of, impure_functions
from hornbeam.certificate.state import STEERING
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.layers.weights import flatten_layers
from hornbeam.random import chosen_seed
from hornbeam.training.array_data import ArrayData
from hornbeam.training.data_leakage import unsealed
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.packing import make_batch
from hornbeam.training.run import TrainingRun
from hornbeam.training.step import Step

_PARTS = ("x", "y", "sample_weight")
_MOST_FILES = 1000
# Settings of `fit` that decide what is computed; the others are about what is shown.
_SETTINGS = (
    "batch_size", "class_weight", "epochs", "initial_epoch", "shuffle", "steps", "validation_batch_size",
    "validation_freq", "validation_split", "validation_split_mode", "validation_steps",
)  # fmt: skip


def settings_of(settings: FitSettings) -> dict[str, Any]:
    """Return the settings of `fit` that decide what is computed, as JSON without floats."""
    values = {name: plain(getattr(settings, name)) for name in _SETTINGS}
    weights = settings.class_weight
    values["class_weight"] = (
        None if weights is None else [[int(k), repr(float(v))] for k, v in weights.items()]
    )
    return values


def parameters_of(run: TrainingRun, model: str) -> dict[str, Any]:
    """Return what the user chose: model, settings of `fit`, seeds, callbacks that steer."""
    steering = [callback for callback in run.callbacks.callbacks if type(callback) in STEERING]
    return {
        "model": model,
        "fit": settings_of(run.settings),
        "seed": chosen_seed(),
        "start": run.start,
        "callbacks": [[type(each).__name__, plain(arguments_of(each) or {})] for each in steering],
        "validation": _kind_of_validation(run),
    }


def _kind_of_validation(run: TrainingRun) -> str | None:
    if run.validation is None:
        return None
    return "split" if run.settings.validation_split and isinstance(run.validation, ArrayData) else "data"


def config_text(model: Any) -> str:
    """Return a model's config with its settings of `compile` as text, "" if it has none."""
    try:
        return json.dumps(registry.serialize(model), sort_keys=True)
    except TypeError:
        return ""


def inner_facts(run: TrainingRun) -> dict[str, Any]:
    """Return what decides bits besides the user's choices."""
    return {
        "engine": "native",
        "floatx": floatx(),
        "graph": graph_of(run),
        "kernels": kernels_for(run.model),
    }


def kernels_for(model: Any) -> str:
    """Return the kind of this computer's kernels: two kinds give other last bits."""
    features = _native.cpu_features()
    kind = "split" if features["isa"] == "portable" else "fused"
    dtypes = [getattr(layer, "compute_dtype", "") for layer in flatten_layers(model)]
    pairs = features["bfloat16"] and any("bfloat16" in str(dtype) for dtype in dtypes)
    return f"{kind} multiply-adds" + (", pairs of bfloat16" if pairs else "")


def graph_of(run: TrainingRun) -> str:
    """Return the hash of the traced step for the first batch, "" for steps that are not traced."""
    signature = run.data.signatures(run.settings.steps)[0]
    step = run.trainer.compiled_step("train", signature)
    return step.traced.graph.fingerprint if isinstance(step, Step) else ""


def versions() -> dict[str, str]:
    """Return the versions of what computed."""
    return {
        "hornbeam": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }


def caveats_of(run: TrainingRun) -> list[str]:
    """List what limits the certificate, in sentences for its reader."""
    sentences = []
    for function in (*impure_functions(run.data), *impure_functions(run.validation)):
        try:
            source = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
        except (OSError, TypeError):  # typed into an interpreter
            source = "unknown"
        sentences.append(
            f"the function {function.__qualname__} of the pipeline may depend on more than its arguments "
            f"(SHA-256 of its source: {source})"
        )
    return sentences


# -- data ----------------------------------------------------------------------------------------------------


def data_facts(name: str, data: Any) -> list[dict[str, Any]]:
    """Return the hash of each array of data in memory, with its dtype and shape; none of streams."""
    if not isinstance(data, ArrayData):
        return []
    table, facts = data.table, []
    for part, indices in zip(_PARTS, table.treedef.parts, strict=True):
        leaves = [] if indices is None else _leaves(indices)
        for number, index in enumerate(leaves):
            label = part if len(leaves) == 1 else f"{part}/{number}"
            facts.append(array_fact(f"{name}/{label}", table.leaves[index]))
    return facts


def _leaves(indices: Any) -> list[int]:
    return [index for index in tree.flatten(indices) if index is not None]


def array_fact(name: str, array: np.ndarray) -> dict[str, Any]:
    """Return the hash, dtype and shape of an array."""
    return {
        "name": name,
        "digest": {"hornbeamArrays1": hash_arrays([array])},
        "annotations": {"dtype": array.dtype.name, "shape": list(array.shape)},
    }


def evaluated_facts(name: str, x: Tree, y: Tree) -> list[dict[str, Any]]:
    """Return the hashes of the data of an evaluation, of a sealed set those of its samples."""
    x, y, _, _ = unsealed(x, y, None, fitting=False)
    return data_facts(name, ArrayData(make_batch(x, y, None, None), 32))


# -- program -------------------------------------------------------------------------------------------------


def program_files() -> list[dict[str, Any]]:
    """Return the hashes of the source files that were imported from the folder of the program."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is None:  # an interpreter, a notebook
        return []
    folder = os.path.dirname(os.path.abspath(main)) + os.sep
    imported = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = {os.path.abspath(main), *(os.path.abspath(file) for file in imported if isinstance(file, str))}
    installed = {"site-packages", "dist-packages"}
    inside = sorted(
        Path(path)
        for path in paths
        if path.startswith(folder) and path.endswith(".py") and not path.startswith(FOLDERS)
    )
    return [
        {
            "name": f"program/{path.relative_to(folder).as_posix()}",
            "digest": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        }
        for path in inside[:_MOST_FILES]
        if path.is_file() and not installed & set(path.parts)
    ]
