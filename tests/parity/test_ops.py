"""Every operation beside Keras's: values, dtypes for inputs of all dtypes, gradients, symbolic shapes."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.both import floats_in, total
from tests.helpers.parity.cases_ops import EAGER, GROUPS, expressions, values
from tests.helpers.parity.comparison import Comparison, NothingToCompare, dtype_of, fresh, leaves
from tests.helpers.parity.reasons import WITHOUT_CASE

VALUES = values()
DTYPES = ("float16", "bfloat16", "int8", "int32", "uint8", "bool")


def evaluate(text: str, side: ModuleType, names: dict[str, Any]) -> Any:
    # One namespace: the lambdas in expressions read it as their globals.
    return eval(text, {**names, "ops": side.ops, "np": np})


def floats_of(text: str) -> dict[str, np.ndarray]:
    """The float arrays that an expression names."""
    names = set(re.findall(r"\w+", text))
    return {name: value for name, value in VALUES.items() if name in names and floats_in(value)}


@pytest.mark.parametrize("group", GROUPS)
def test_ops(compare: Comparison, group: str) -> None:
    texts = expressions(GROUPS[group])
    expected = run_keras(texts)
    for text in texts:
        other = expected[text]
        if isinstance(other, Exception):
            raise AssertionError(f"{text} fails there") from other
        compare.check(text, lambda text=text, other=other: check_value(compare, text, *other))
        compare.check(f"{text} dtypes", lambda text=text: check_dtypes(text))


@pytest.mark.parametrize("group", GROUPS)
def test_ops_on_symbols(compare: Comparison, group: str) -> None:
    for text in expressions(GROUPS[group]):
        compare.check(f"{text} symbols", lambda text=text: check_symbols(text))


def run_keras(texts: list[str]) -> dict[str, Any]:
    """Value and gradient of each expression, out of one compiled function."""
    failed: dict[str, Any] = {}

    def both(text: str, arrays: dict[str, Any]) -> Any:
        def scalar(floats: dict[str, Any]) -> Any:
            made = evaluate(text, keras, {**arrays, **floats})
            flat = [jnp.asarray(y) for y in leaves(made) if not isinstance(y, (str, bool))]
            return jnp.float32(total(jnp, flat, [])), made if isinstance(made, (str, bool)) else flat

        floats = {name: arrays[name] for name in floats_of(text)}
        (_, made), slopes = jax.value_and_grad(scalar, has_aux=True)(floats)
        return made, slopes

    def everything(arrays: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for text in texts:
            try:
                made, slopes = both(text, arrays)
            except Exception as error:
                failed[text] = error
                continue
            if isinstance(made, (str, bool)):
                failed[text] = (made, {})
            else:
                found[text] = (made, slopes)
        return found

    return {**jax.jit(everything)(VALUES), **failed}


def check_value(compare: Comparison, text: str, other: Any, slopes: dict[str, Any]) -> None:
    from tests.helpers.parity.comparison import assert_close
    from tests.helpers.parity.tolerances import TOLERANCES

    floats = floats_of(text)

    def scalar(given: dict[str, Any]) -> Any:
        made = evaluate(text, hornbeam, {**VALUES, **given})
        if isinstance(made, (str, bool)):
            return hornbeam.ops.zeros(()), made
        flat = [hornbeam.ops.convert_to_tensor(y) for y in leaves(made)]
        return hornbeam.ops.cast(total(hornbeam.ops, flat, []), "float32"), flat

    if not floats:
        made, mine = scalar({})[1], {}
    else:
        (_, made), mine = hornbeam.value_and_grad(scalar, has_aux=True)(floats)
    if isinstance(other, (str, bool)):
        assert made == other
        return
    half = next((d for d in ("float16", "bfloat16") if any(dtype_of(y) == d for y in leaves(made))), "ops")
    assert_close(made, other, *TOLERANCES[half])
    for name, slope in slopes.items():
        try:
            assert_close(mine[name], slope, *TOLERANCES[half if half != "ops" else "ops gradients"])
        except AssertionError as error:
            raise AssertionError(f"gradient by {name}: {error}") from None


def check_dtypes(text: str) -> None:
    """The dtype of the result for `x` of each dtype that Keras takes."""
    if not re.search(r"\bx\b", text):
        raise NothingToCompare(f"{text} has no x")
    compared, wrong = 0, []
    for dtype in DTYPES:
        x = jax.ShapeDtypeStruct(VALUES["x"].shape, jnp.dtype(dtype))
        try:
            found = jax.eval_shape(lambda x: evaluate(text, keras, {**VALUES, "x": x}), x)
            theirs = [dtype_of(y) for y in leaves(found) if hasattr(y, "dtype")]
        except Exception:  # a dtype that Keras does not take
            continue
        try:
            made = evaluate(text, hornbeam, {**VALUES, "x": hornbeam.ops.cast(VALUES["x"], dtype)})
            ours = [dtype_of(y) for y in leaves(made) if isinstance(y, hornbeam.Tensor)]
            if not ours:  # plain numbers, which JAX's tracing makes arrays of
                continue
        except Exception as error:
            ours = [f"{type(error).__name__}: {str(error)[:80]}"]
        compared += 1
        if ours != theirs:
            wrong.append(f"x of {dtype}: {ours} here, {theirs} there")
    if not compared:
        raise NothingToCompare(f"{text} gives no tensor there for x of {', '.join(DTYPES)}")
    assert not wrong, "; ".join(wrong)


def check_symbols(text: str) -> None:
    """Shapes and dtypes of the result for a symbolic `x` or `t` of unknown first size."""
    names = [name for name in ("x", "t", "img", "seq", "wave") if re.search(rf"\b{name}\b", text)]
    if not names:
        raise NothingToCompare(f"{text} takes none of them")

    # Beside arrays of a known batch, theirs.
    others = [n for n in VALUES if n not in names and re.search(rf"\b{n}\b", text)]

    def specs(side: ModuleType) -> Any:
        fresh()
        shapes = {n: VALUES[n].shape if others else (None, *VALUES[n].shape[1:]) for n in names}
        given = {n: side.KerasTensor(shape, "float32") for n, shape in shapes.items()}
        made = leaves(evaluate(text, side, {**VALUES, **given}))
        return [(tuple(y.shape), dtype_of(y)) for y in made if isinstance(y, side.KerasTensor)]

    try:
        theirs = specs(keras)
    except Exception as error:  # an operation that Keras has for values only
        raise NothingToCompare(f"{text} takes no symbols there") from error
    if not theirs:
        raise NothingToCompare(f"{text} gives no symbols there")
    ours = specs(hornbeam)
    assert ours == theirs, f"{ours} here, {theirs} there"


@pytest.mark.parametrize("text", expressions(EAGER))
def test_ops_of_shapes_that_depend_on_values(compare: Comparison, text: str) -> None:
    found = [
        [np.asarray(y) for y in leaves(evaluate(text, side, VALUES)) if y is not None]
        for side in (hornbeam, keras)
    ]
    compare.close("value", *found, "ops")


def test_every_public_operation_has_an_expression() -> None:
    text = "\n".join([*GROUPS.values(), EAGER])
    named = {name.rsplit(".", 1)[-1] for name in re.findall(r"\bops\.([\w.]+)", text)}
    for module in ("ops", "ops.image", "ops.linalg", "ops.math", "ops.nn", "ops.numpy"):
        known = hornbeam
        for part in module.split("."):
            known = getattr(known, part)
        public = getattr(known, "__all__", None) or [n for n in vars(known) if not n.startswith("_")]
        without = [
            name
            for name in public
            if name not in named
            and callable(getattr(known, name))
            and not isinstance(getattr(known, name), type)
            and name not in WITHOUT_CASE["ops"]
        ]
        assert without == [], module
