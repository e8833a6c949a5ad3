"""The names of Keras 3.15.1 are here with their signatures, or are listed with a reason; all of ours have
docstrings.

`tests/hornbeam_compat/keras_names.json` holds the facts: namespace -> name -> signature
("" for what is no function or class).
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

import hornbeam
from tests.helpers.keras_signatures import (
    DIFFERENT,
    NAMES,
    keras_parameters,
    module_of,
    our_parameters,
    reasons,
    without_shared_options,
)
from tests.helpers.public_names import submodules


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
    listed = getattr(module_of(namespace), "_MISSING", {})
    assert set(listed) <= set(NAMES[namespace])


def test_a_missing_name_says_why() -> None:
    for text, get in [
        ("never run", lambda: hornbeam.config.enable_unsafe_deserialization),
        ("Did you mean 'layers'", lambda: hornbeam.layerss),
    ]:
        with pytest.raises(AttributeError, match=f"(?i){text}"):
            get()


# -- signatures ----------------------------------------------------------------------------------------------


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
            result = target(
                **({"learning_rate": 0.1} if name == "Optimizer" else {}),
                clipnorm=1.0, use_ema=True, ema_momentum=0.9, name="mine",
            )  # fmt: skip
            assert (result.clipnorm, result.use_ema, result.name) == (1.0, True, "mine")


# -- our own names -------------------------------------------------------------------------------------------


def public_modules() -> list[str]:
    return ["hornbeam", *submodules(), "hornbeam.optimizers.schedules"]


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
