"""Checkpoints of Orbax: folders with one checkpoint a step, as JAX's programs and Keras write them.

A checkpoint holds the variables as nested dicts ("pytree"), the config of the model, and vocabularies.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hornbeam._internal.extras import install_command
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.core.variable import Variable
from hornbeam.errors import ModelFileError
from hornbeam.layers.preprocessing.host import STRAY_BYTES
from hornbeam.saving.building import build_model, check_built, check_names, parse_config
from hornbeam.saving.model_parts import assets_of, load_assets, saved_parts
from hornbeam.saving.state_tree import leaves, state_parts

if TYPE_CHECKING:
    from hornbeam.layers.network import Network

T = TypeVar("T")

STATE, CONFIG, TEXTS = "pytree", "model_config", "assets"
_WEIGHTS = ("trainable_variables", "non_trainable_variables")


def library() -> Any:
    """Import Orbax's API of checkpoints. Raises ImportError, with the command that installs it."""
    try:
        import orbax.checkpoint
    except ImportError as error:
        raise ImportError(f"checkpoints of Orbax need: {install_command('orbax')}") from error
    return orbax.checkpoint.v1


def is_orbax(path: str) -> bool:
    """Return whether a folder is a checkpoint of Orbax, or holds numbered ones."""
    return os.path.isdir(path) and (_is_step(Path(path)) or bool(_steps(path)))


def _is_step(folder: Path) -> bool:
    return any(folder.joinpath(name).exists() for name in ("orbax.checkpoint", STATE, "_CHECKPOINT_METADATA"))


def _steps(path: str) -> list[Path]:
    folders = [folder for folder in Path(path).iterdir() if folder.name.isdigit() and folder.is_dir()]
    return sorted((folder for folder in folders if _is_step(folder)), key=lambda folder: int(folder.name))


def _newest(path: str) -> Path:
    """Return the folder of the newest checkpoint in a folder, or the folder itself if it is one."""
    steps = _steps(path)
    return steps[-1] if steps else Path(path)


# -- writing ---------------------------------------------------------------------------------------


def contents(model: Network, state: Mapping[str, Any], weights_only: bool) -> dict[str, Any]:
    """Return what a checkpoint of a model with a state holds: the state, the config and vocabularies."""
    if weights_only:
        return {STATE: {name: state[name] for name in _WEIGHTS}}
    result: dict[str, Any] = {STATE: state, CONFIG: {"config": json.dumps(registry.serialize(model))}}
    texts: dict[str, Any] = {}
    for path, text in assets_of(saved_parts(model)).items():
        *parents, name = path.split("/")
        position = texts
        for parent in parents:
            position = position.setdefault(parent, {})
        position[name] = np.frombuffer(text.encode("utf-8", STRAY_BYTES), np.uint8)
    return {**result, TEXTS: texts} if texts else result


# -- reading ---------------------------------------------------------------------------------------


def load_orbax(path: str, custom_objects: Mapping[str, Any] | None, compile: bool) -> Network:
    """Load the model of the newest checkpoint in a folder.

    Raises:
        ModelFileError: If it holds weights alone, or cannot be read.
    """
    result = _read(path, (STATE, CONFIG, TEXTS))
    if CONFIG not in result:
        raise ModelFileError(f"{path!r} has weights and no model: build the model, then model.load_weights()")
    text = str(result[CONFIG]["config"]).encode()
    config = parse_config(text)
    if not compile:
        config.pop("compile_config", None)
    check_names(path, config, custom_objects)
    size = sum(array.nbytes for array in _arrays(result[STATE]).values())
    model = build_model(path, config, custom_objects, len(text), size)
    check_built(path, model)
    _assign(model, result[STATE], path)
    load_assets(model, {name: _text(array) for name, array in _arrays(result.get(TEXTS, {})).items()})
    return model


def read_orbax_weights(model: Network, path: str) -> None:
    """Load the weights, and an optimizer's state that fits, from the newest checkpoint in a folder.

    Raises:
        ModelFileError: If it does not fit the model, or cannot be read.
    """
    _assign(model, _read(path, (STATE,))[STATE], path)


def _read(path: str, names: tuple[str, ...]) -> dict[str, Any]:
    ocp, folder = library(), _newest(path)
    try:
        present = [name for name in names if folder.joinpath(name).exists()]
        with warnings.catch_warnings():  # of devices, on which nothing is put here
            warnings.simplefilter("ignore")
            return dict(ocp.load_checkpointables(str(folder.absolute()), dict.fromkeys(present)))
    except Exception as error:  # Orbax raises many types for damaged files
        raise ModelFileError(f"{str(folder)!r} is not a readable checkpoint of Orbax: {error}") from error


def _text(array: np.ndarray) -> str:
    return np.asarray(array, np.uint8).tobytes().decode("utf-8", STRAY_BYTES)


def _arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of nested dicts by path."""
    return {path: np.asarray(value) for path, value in leaves(state)}


def _root(paths: Iterable[str]) -> str:
    """Return the name that all paths of weights begin with, that of a Sequential, or "".

    It depends on how the model was made, and on how many were made before.
    """
    parts = [path.split("/") for path in paths]
    names = {part[0] for part in parts}
    return names.pop() if len(names) == 1 and all(len(part) > 2 for part in parts) else ""


def _without_root(values: dict[str, T], root: str) -> dict[str, T]:
    """Return values by path, without the name of a Sequential and that of a single optimizer."""
    names = {path.partition("/")[2] for path in values}
    if "iteration" in names and len(names) == len(values):  # as in "adam/sequential_dense_kernel_momentum"
        prefix, values = f"{root}_", {path.partition("/")[2]: value for path, value in values.items()}
    else:
        prefix = f"{root}/"
    return {path.removeprefix(prefix) if root else path: value for path, value in values.items()}


def _assign(model: Network, state: Mapping[str, Any], folder: str) -> None:
    """Assign the values of a checkpoint. Nothing changes unless all weights fit."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    pairs: list[tuple[Variable, np.ndarray]] = []
    problems: list[str] = []
    root = _root(variable.path for variable in model.weights)
    stored_root = _root(path for name in _WEIGHTS for path in _arrays(state.get(name, {})))
    for name, variables in state_parts(model):
        stored = _without_root(_arrays(state.get(name, {})), stored_root)
        fitting, missing = [], []
        for path, variable in _without_root({v.path: v for v in variables}, root).items():
            array = stored.get(path)
            if array is None or array.shape != variable.shape:
                shape = "missing" if array is None else f"of shape {array.shape}"
                missing.append(f"{variable.path}: {shape} in the checkpoint, {variable.shape} in the model")
            else:
                fitting.append((variable, array))
        if name in _WEIGHTS:
            problems += missing
        elif missing:
            if name == "optimizer_variables" and name in state:
                warn_user(
                    f"the optimizer's state in {folder!r} does not fit: it starts from its initial state"
                )
            continue
        pairs += fitting
    if problems:
        raise ModelFileError(
            f"the checkpoint does not fit the model ({len(problems)} problems):\n  "
            + "\n  ".join(problems[:20])
        )
    for variable, array in pairs:
        variable.assign(array)
