"""The names and signatures of Keras, as recorded in tests/hornbeam_compat/keras_names.json, and ours."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import hornbeam

NAMES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "hornbeam_compat" / "keras_names.json").read_text()
)
_NO_EXTRA = "unknown keyword arguments are errors, not ignored"
# Signatures that differ from Keras's on purpose.
DIFFERENT = {
    "keras.KerasTensor": _NO_EXTRA,
    "keras.Optimizer": "learning_rate_multipliers, learning rates by layer, are ours",
    "keras.Variable": _NO_EXTRA,
    "keras.export.ExportArchive": "the argument has a name",
    "keras.models.load_model": "weights_only= gives arrays and builds nothing",
    "keras.optimizers.Adadelta": "the learning rate is 1.0, as in the paper",
    "keras.saving.deserialize_keras_object": _NO_EXTRA,
    "keras.saving.load_weights": _NO_EXTRA,
    "keras.saving.save_weights": _NO_EXTRA,
    "keras.saving.load_model": "weights_only= gives arrays and builds nothing",
    "keras.utils.deserialize_keras_object": _NO_EXTRA,
    "keras.utils.model_to_dot": _NO_EXTRA,
}
Parameters = list[tuple[str, str, str | None]]  # name, kind, default as source text


def module_of(namespace: str) -> ModuleType:
    return importlib.import_module(namespace.replace("keras", "hornbeam", 1))


def reasons(namespace: str) -> dict[str, str]:
    """Names that a namespace, or the one around it, says it does not have."""
    module = module_of(namespace)
    outer = module_of(namespace.rsplit(".", 1)[0]) if "." in namespace else module
    return {**getattr(outer, "_MISSING", {}), **getattr(module, "_MISSING", {})}


def keras_parameters(signature: str) -> Parameters:
    result = ast.parse(f"def f{signature.split(' -> ')[0]}: pass").body[0]
    assert isinstance(result, ast.FunctionDef)
    args = result.args
    positional = [*args.posonlyargs, *args.args]
    defaults: list[Any] = [None] * (len(positional) - len(args.defaults)) + args.defaults
    results: Parameters = [
        (a.arg, "", d and ast.unparse(d)) for a, d in zip(positional, defaults, strict=True)
    ]
    if args.vararg:
        results.append((args.vararg.arg, "*", None))
    results += [
        (a.arg, "keyword", d and ast.unparse(d))
        for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    if args.kwarg:
        results.append((args.kwarg.arg, "**", None))
    return [p for p in results if p[0] != "self"]


def our_parameters(target: Any) -> Parameters:
    kinds = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    result = inspect.signature(target.__init__ if inspect.isclass(target) else target).parameters.values()
    return [
        (p.name, kinds.get(p.kind, ""), None if p.default is p.empty else repr(p.default))
        for p in result
        if p.name != "self"
    ]


def without_shared_options(parameters: Parameters) -> Parameters:
    """An optimizer's own parameters: those that all optimizers share are keywords of `Optimizer`."""
    shared = {name for name, _, _ in our_parameters(hornbeam.optimizers.Optimizer)} - {"learning_rate"}
    own = {name for name, _, _ in parameters} - shared
    return [p for p in parameters if p[0] in own or p[1] == "**"]
