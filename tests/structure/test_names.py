"""The names of Keras 3.15.1 are here with their signatures, or are listed with a reason; all of ours have
docstrings.

`tests/compat/keras_names.json` holds the facts: namespace -> name -> signature ("" for what is no function or
class).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hornbeam

NAMES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "compat" / "keras_names.json").read_text()
)

_NO_EXTRA = "unknown keyword arguments are errors, not ignored"
# Signatures that differ from Keras's on purpose.
DIFFERENT = {
    "keras.KerasTensor": _NO_EXTRA,
    "keras.Variable": _NO_EXTRA,
    "keras.export.ExportArchive": "the argument has a name",
    "keras.models.load_model": "weights_only= gives arrays and builds nothing",
    "keras.mixed_precision.LossScaleOptimizer": _NO_EXTRA,
    "keras.optimizers.Adadelta": "the learning rate is 1.0, as in the paper",
    "keras.optimizers.LossScaleOptimizer": _NO_EXTRA,
    "keras.saving.deserialize_keras_object": _NO_EXTRA,
    "keras.saving.load_weights": _NO_EXTRA,
    "keras.saving.load_model": "weights_only= gives arrays and builds nothing",
    "keras.saving.save_weights": "one file; weights in several shards are not in this version",
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
    return {**getattr(outer, "MISSING", {}), **getattr(module, "MISSING", {})}


@pytest.mark.parametrize("namespace", NAMES)
def test_names_are_here_or_listed(namespace: str) -> None:
    module, missing = module_of(namespace), reasons(namespace)
    for name in NAMES[namespace]:
        if name in missing:
            assert len(missing[name]) > 10, f"{namespace}.{name}: the reason is too short"
            with pytest.raises(AttributeError):
                getattr(module, name)
        else:
            assert getattr(module, name) is not None, f"{namespace}.{name}"


@pytest.mark.parametrize("namespace", NAMES)
def test_what_is_listed_as_missing_is_a_name_of_keras(namespace: str) -> None:
    listed = getattr(module_of(namespace), "MISSING", {})
    assert set(listed) <= set(NAMES[namespace])


def test_a_missing_name_says_why() -> None:
    for text, get in [
        ("never run", lambda: hornbeam.config.enable_unsafe_deserialization),
        ("are complex", lambda: hornbeam.ops.eig),
        ("no code from a file is ever run", lambda: hornbeam.layers.TFSMLayer),
        ("Did you mean 'layers'", lambda: hornbeam.layerss),
    ]:
        with pytest.raises(AttributeError, match=f"(?i){text}"):
            get()


# -- signatures ----------------------------------------------------------------------------------------------


def keras_parameters(signature: str) -> Parameters:
    made = ast.parse(f"def f{signature.split(' -> ')[0]}: pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    args = made.args
    positional = [*args.posonlyargs, *args.args]
    defaults: list[Any] = [None] * (len(positional) - len(args.defaults)) + args.defaults
    found: Parameters = [(a.arg, "", d and ast.unparse(d)) for a, d in zip(positional, defaults, strict=True)]
    if args.vararg:
        found.append((args.vararg.arg, "*", None))
    found += [
        (a.arg, "keyword", d and ast.unparse(d))
        for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    if args.kwarg:
        found.append((args.kwarg.arg, "**", None))
    return [p for p in found if p[0] != "self"]


def our_parameters(target: Any) -> Parameters:
    kinds = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.KEYWORD_ONLY: "keyword",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    found = inspect.signature(target.__init__ if inspect.isclass(target) else target).parameters.values()
    return [
        (p.name, kinds.get(p.kind, ""), None if p.default is p.empty else repr(p.default))
        for p in found
        if p.name != "self"
    ]


def without_shared_options(parameters: Parameters) -> Parameters:
    """An optimizer's own parameters: those that all optimizers share are keywords of `Optimizer`."""
    shared = {name for name, _, _ in our_parameters(hornbeam.optimizers.Optimizer)} - {"learning_rate"}
    own = {name for name, _, _ in parameters} - shared
    return [p for p in parameters if p[0] in own or p[1] == "**"]


@pytest.mark.parametrize("namespace", [n for n in NAMES if not n.startswith("keras.ops.")])
def test_signatures_are_keras_s(namespace: str) -> None:
    module, missing = module_of(namespace), reasons(namespace)
    differ = {}
    for name, signature in NAMES[namespace].items():
        if not signature or name in missing:
            continue
        theirs, ours = keras_parameters(signature), our_parameters(getattr(module, name))
        if namespace == "keras.optimizers":
            theirs, ours = without_shared_options(theirs), without_shared_options(ours)
        if theirs != ours:
            differ[f"{namespace}.{name}"] = (theirs, ours)
    expected = {name for name in DIFFERENT if name.rsplit(".", 1)[0] == namespace}
    assert set(differ) == expected, {k: v for k, v in differ.items() if k not in expected}


def test_optimizers_take_the_shared_options() -> None:
    for name, signature in NAMES["keras.optimizers"].items():
        target = getattr(hornbeam.optimizers, name, None)
        if (
            inspect.isclass(target)
            and issubclass(target, hornbeam.optimizers.Optimizer)
            and "use_ema" in signature
        ):
            made = target(
                **({"learning_rate": 0.1} if name == "Optimizer" else {}),
                clipnorm=1.0, use_ema=True, ema_momentum=0.9, name="mine",
            )  # fmt: skip
            assert (made.clipnorm, made.use_ema, made.name) == (1.0, True, "mine")


# -- our own names -------------------------------------------------------------------------------------------


def public_modules() -> list[str]:
    return ["hornbeam", *(f"hornbeam.{name}" for name in hornbeam._MODULES), "hornbeam.optimizers.schedules"]


@pytest.mark.parametrize("name", public_modules())
def test_all_resolves(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", ())
    assert len(set(exported)) == len(exported)
    for public in exported:
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", public_modules())
def test_public_names_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module)
    for public in getattr(module, "__all__", ()):
        target = getattr(module, public)
        if not (inspect.isclass(target) or inspect.isfunction(target)):
            continue
        assert _own_doc(target), f"{name}.{public} has no docstring"
        if inspect.isclass(target):
            for method, value in vars(target).items():
                # Hooks (on_...) are described where Callback says when they are called.
                shown = inspect.isfunction(value) and not method.startswith(("_", "on_"))
                assert not shown or inspect.getdoc(getattr(target, method)), f"{name}.{public}.{method}"


def _own_doc(target: Any) -> str | None:
    """The docstring, not one inherited from a base class."""
    return target.__dict__.get("__doc__") if inspect.isclass(target) else target.__doc__
