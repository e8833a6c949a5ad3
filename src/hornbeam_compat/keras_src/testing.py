"""`keras.src.testing`: the base class of tests that packages take from Keras's sources."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import KerasTensor, Tensor, saving, utils
from hornbeam.utils import standardize_dtype
from hornbeam_compat.keras_src.layer_checks import run_layer_test

# Keras's test cases extend those of absl: parameters of tests come from there.
_library: Any = importlib.import_module(
    "absl.testing.parameterized" if importlib.util.find_spec("absl") is not None else "unittest"
)
_Base: Any = _library.TestCase


def _array(x: Any) -> np.ndarray:
    return np.asarray(x)


def _as_json(config: Any) -> str:
    """Return JSON in which tuples differ from lists."""

    def mark(value: Any) -> Any:
        if isinstance(value, tuple):
            return {"tuple": [mark(part) for part in value]}
        if isinstance(value, list):
            return [mark(part) for part in value]
        return {key: mark(part) for key, part in value.items()} if isinstance(value, Mapping) else value

    return json.dumps(mark(config), sort_keys=True, indent=2)


class TestCase(_Base):  # type: ignore[misc]
    """Test case of absl with checks of tensors, of layers and of configurations.

    Args:
        methodName: Name of the test method.
    """

    maxDiff = None
    run_layer_test = run_layer_test

    def setUp(self) -> None:
        """Begin each test with automatic names as in a new process."""
        super().setUp()
        utils.clear_session()

    def get_temp_dir(self) -> str:
        """Return a new folder, which is removed after the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def convert_to_numpy(self, x: Any) -> np.ndarray:
        """Return a tensor, a variable or a list of numbers as an array.

        Args:
            x: Tensor.
        """
        return _array(x)

    def assertAllClose(
        self, actual: Any, desired: Any, atol: float = 1e-6, rtol: float = 1e-6,
        tpu_atol: float | None = None, tpu_rtol: float | None = None, msg: str | None = None,
    ) -> None:  # fmt: skip
        """Check that two tensors are close.

        Args:
            actual: Tensor.
            desired: Tensor.
            atol: Absolute tolerance.
            rtol: Relative tolerance.
            tpu_atol: Ignored.
            tpu_rtol: Ignored.
            msg: Message of the error.
        """
        np.testing.assert_allclose(_array(actual), _array(desired), atol=atol, rtol=rtol, err_msg=msg or "")

    def assertNotAllClose(
        self, x1: Any, x2: Any, atol: float = 1e-6, rtol: float = 1e-6, msg: str | None = None
    ) -> None:
        """Check that two tensors differ somewhere.

        Args:
            x1: Tensor.
            x2: Tensor.
            atol: Absolute tolerance.
            rtol: Relative tolerance.
            msg: Message of the error.
        """
        try:
            self.assertAllClose(x1, x2, atol=atol, rtol=rtol)
        except AssertionError:
            return
        self.fail(f"all values are close: {x1}. {msg or ''}")

    def assertAlmostEqual(
        self, actual: Any, desired: Any, decimal: int = 3, tpu_decimal: int | None = None,
        msg: str | None = None,
    ) -> None:  # fmt: skip
        """Check that two tensors agree to a number of decimals.

        Args:
            actual: Tensor.
            desired: Tensor.
            decimal: Number of decimals.
            tpu_decimal: Ignored.
            msg: Message of the error.
        """
        np.testing.assert_almost_equal(_array(actual), _array(desired), decimal=decimal, err_msg=msg or "")

    def assertAllEqual(self, actual: Any, desired: Any, msg: str | None = None) -> None:
        """Check that two tensors are equal.

        Args:
            actual: Tensor.
            desired: Tensor.
            msg: Message of the error.
        """
        np.testing.assert_array_equal(_array(actual), _array(desired), err_msg=msg or "")

    def assertLen(self, iterable: Any, expected_len: int, msg: str | None = None) -> None:
        """Check the length of a list.

        Args:
            iterable: List.
            expected_len: Its length.
            msg: Message of the error.
        """
        assert len(iterable) == expected_len, msg

    def assertDType(self, x: Any, dtype: Any, msg: str | None = None) -> None:
        """Check the dtype of a tensor, or that of a Python number.

        Args:
            x: Tensor.
            dtype: Its dtype.
            msg: Message of the error.
        """
        assert standardize_dtype(getattr(x, "dtype", type(x))) == standardize_dtype(dtype), msg

    def assertSparse(self, x: Any, sparse: bool = True) -> None:
        """Check whether a tensor is sparse.

        Args:
            x: Tensor.
            sparse: Whether it is.
        """
        assert bool(getattr(x, "sparse", False)) == sparse

    def assertRagged(self, x: Any, ragged: bool = True) -> None:
        """Check whether a tensor is ragged.

        Args:
            x: Tensor.
            ragged: Whether it is.
        """
        is_ragged = (
            getattr(x, "ragged", False) if isinstance(x, (KerasTensor, Tensor)) else hasattr(x, "row_splits")
        )
        assert bool(is_ragged) == ragged

    def assertFileExists(self, path: str | Path) -> None:
        """Check that a file exists.

        Args:
            path: Its path.
        """
        assert Path(path).is_file(), f"there is no file {path}"

    def run_class_serialization_test(
        self, instance: Any, custom_objects: Mapping[str, type] | None = None
    ) -> Any:
        """Check that an object equals itself after `from_config`, and after JSON; return the copy.

        The copy has the same configuration and the same attributes.

        Args:
            instance: Object with `get_config`.
            custom_objects: Classes by name that are not registered.
        """
        config = instance.get_config()
        serialized = saving.serialize_keras_object(instance)
        with saving.custom_object_scope(dict(custom_objects or {})):
            copies = [
                type(instance).from_config(config),
                saving.deserialize_keras_object(json.loads(json.dumps(serialized))),
            ]
        for copy in copies:
            assert _as_json(config) == _as_json(copy.get_config())
            differing = set(dir(instance)) ^ set(dir(copy))
            assert differing <= {"__annotations__"}, f"attributes differ: {differing}"
        return copies[-1]


def named_product(*args: Sequence[Mapping[str, Any]], **kwargs: Iterable[Any]) -> list[dict[str, Any]]:
    """Return all combinations of parameters, each with a name, for `parameterized.named_parameters`.

    Args:
        *args: Sequences of dicts of parameters, each with a "testcase_name".
        **kwargs: Values of a parameter, which name themselves.
    """

    def name(value: Any) -> str:
        return str(getattr(value, "__name__", value)).lower()

    named = [[{"testcase_name": name(value), key: value} for value in kwargs[key]] for key in kwargs]
    factors: list[Sequence[Mapping[str, Any]]] = [*args, *named]
    # The first factor varies fastest.
    choices = [choice[::-1] for choice in itertools.product(*factors[::-1])]
    return [
        {
            **{key: value for part in choice for key, value in part.items()},
            "testcase_name": "_".join(part["testcase_name"] for part in choice),
        }
        for choice in choices
    ]


def get_test_data(
    train_samples: int, test_samples: int, input_shape: tuple[int, ...], num_classes: int,
    random_seed: int | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Return `(x, y)` for training and for tests: points around a random centre for each class.

    Args:
        train_samples: Number of samples for training.
        test_samples: Number of samples for tests.
        input_shape: Shape of a sample.
        num_classes: Number of classes; each has the same share of both parts.
        random_seed: Seed of NumPy's random numbers.
    """
    rng = np.random.default_rng(random_seed)
    centres = 2 * num_classes * rng.random((num_classes, *input_shape))

    def part(size: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.permutation(np.arange(size) % num_classes)
        return (centres[y] + rng.normal(size=(size, *input_shape))).astype("float32"), y

    return part(train_samples), part(test_samples)


def uses_gpu() -> bool:
    """Return False, as `tf.test.is_gpu_available`: tests are computed on the processor."""
    return False


uses_tpu = jax_uses_gpu = jax_uses_tpu = uses_gpu
tensorflow_uses_gpu = tensorflow_uses_tpu = torch_uses_gpu = uses_gpu
