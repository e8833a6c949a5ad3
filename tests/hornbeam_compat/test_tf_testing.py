"""`tf.test.TestCase`: its checks, which packages' own tests use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hornbeam_compat.tensorflow.testing import TestCase as Case


class _Case(Case):
    def runTest(self) -> None:
        """Do nothing: the checks are called from outside."""


CASE = _Case()
ONE, TWO = np.array([1.0, 2.0]), np.array([1.0, 3.0])


def test_checks_that_hold() -> None:
    CASE.assertAllClose({"a": [ONE, TWO]}, {"a": [ONE + 1e-9, TWO]})
    CASE.assertAllEqual(np.array(["a"]), np.array([b"a"]))
    CASE.assertNotAllClose(ONE, TWO)
    CASE.assertNotAllEqual(ONE, TWO)
    CASE.assertAllInRange(ONE, 1, 2)
    CASE.assertShapeEqual(ONE, TWO)
    assert Path(CASE.get_temp_dir()).is_dir()


@pytest.mark.parametrize(
    "check",
    [
        lambda: CASE.assertAllClose({"a": ONE}, {"a": TWO}),
        lambda: CASE.assertAllClose({"a": ONE}, {"b": ONE}),
        lambda: CASE.assertAllClose(ONE, ONE[:1]),
        lambda: CASE.assertAllEqual(ONE, TWO),
        lambda: CASE.assertNotAllClose(ONE, ONE),
        lambda: CASE.assertNotAllEqual(ONE, ONE),
        lambda: CASE.assertAllInRange(ONE, 0, 1),
        lambda: CASE.assertShapeEqual(ONE, ONE[:1]),
    ],
)
def test_checks_that_fail(check: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        check()
