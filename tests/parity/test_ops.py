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
from hornbeam.ir.types import DTYPES as DTYPES_OF_TENSORS
from tests.helpers.parity.both import floats_in, total
from tests.helpers.parity.cases_ops import EAGER, GROUPS, expressions, values
from tests.helpers.parity.comparison import Comparison, NothingToCompare, dtype_of, fresh, leaves
from tests.helpers.parity.reasons import WITHOUT_CASE

pytestmark = pytest.mark.sampled

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
            result = evaluate(text, keras, {**arrays, **floats})
            flat = [jnp.asarray(y) for y in leaves(result) if not isinstance(y, (str, bool))]
            return jnp.float32(total(jnp, flat, [])), result if isinstance(result, (str, bool)) else flat

        floats = {name: arrays[name] for name in floats_of(text)}
        (_, result), gradients = jax.value_and_grad(scalar, has_aux=True)(floats)
        return result, gradients

    def everything(arrays: dict[str, Any]) -> dict[str, Any]:
        results = {}
        for text in texts:
            try:
                result, gradients = both(text, arrays)
            except Exception as error:
                failed[text] = error
                continue
            if isinstance(result, (str, bool)):
                failed[text] = (result, {})
            else:
                results[text] = (result, gradients)
        return results

    return {**jax.jit(everything)(VALUES), **failed}


def check_value(compare: Comparison, text: str, other: Any, gradients: dict[str, Any]) -> None:
    from tests.helpers.parity.comparison import assert_close
    from tests.helpers.parity.tolerances import TOLERANCES

    floats = floats_of(text)

    def scalar(inputs: dict[str, Any]) -> Any:
        result = evaluate(text, hornbeam, {**VALUES, **inputs})
        if isinstance(result, (str, bool)):
            return hornbeam.ops.zeros(()), result
        flat = [hornbeam.ops.convert_to_tensor(y) for y in leaves(result)]
        return hornbeam.ops.cast(total(hornbeam.ops, flat, []), "float32"), flat

    if not floats:
        result, mine = scalar({})[1], {}
    else:
        (_, result), mine = hornbeam.value_and_grad(scalar, has_aux=True)(floats)
    if isinstance(other, (str, bool)):
        assert result == other
        return
    half = next((d for d in ("float16", "bfloat16") if any(dtype_of(y) == d for y in leaves(result))), "ops")
    assert_close(result, other, *TOLERANCES[half])
    for name, gradient in gradients.items():
        try:
            assert_close(mine[name], gradient, *TOLERANCES[half if half != "ops" else "ops gradients"])
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
            actual = jax.eval_shape(lambda x: evaluate(text, keras, {**VALUES, "x": x}), x)
            theirs = [dtype_of(y) for y in leaves(actual) if hasattr(y, "dtype")]
        except Exception:  # a dtype that Keras does not take
            continue
        try:
            result = evaluate(text, hornbeam, {**VALUES, "x": hornbeam.ops.cast(VALUES["x"], dtype)})
            ours = [dtype_of(y) for y in leaves(result) if isinstance(y, hornbeam.Tensor)]
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
        inputs = {n: side.KerasTensor(shape, "float32") for n, shape in shapes.items()}
        results = leaves(evaluate(text, side, {**VALUES, **inputs}))
        return [(tuple(y.shape), dtype_of(y)) for y in results if isinstance(y, side.KerasTensor)]

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
    results = [
        [np.asarray(y) for y in leaves(evaluate(text, side, VALUES)) if y is not None]
        for side in (hornbeam, keras)
    ]
    compare.close("value", *results, "ops")


def test_promotion_of_all_pairs_of_dtypes() -> None:
    """Without those of 64 bits, which JAX does not have by default."""
    dtypes = [d for d in DTYPES_OF_TENSORS if not d.endswith("64")] + [int, float]
    pairs = [(a, b) for a in dtypes for b in dtypes]
    ours = [hornbeam.backend.result_type(a, b) for a, b in pairs]
    assert ours == [keras.backend.result_type(a, b) for a, b in pairs]


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
