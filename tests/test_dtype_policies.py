"""Policies that a machine is slower with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from hornbeam import dtype_policies
from hornbeam.engines import current_engine


@pytest.fixture(autouse=True)
def _nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dtype_policies, "_warned", set())
    yield
    dtype_policies.set_dtype_policy(None)


def test_a_policy_that_is_only_slower_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(current_engine()), "multiplies", lambda self, dtype: dtype == "float32")
    with pytest.warns(UserWarning, match="no instruction that multiplies bfloat16"):
        dtype_policies.set_dtype_policy("mixed_bfloat16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dtype_policies.set_dtype_policy("mixed_bfloat16")
        dtype_policies.set_dtype_policy("float32")
    with pytest.warns(UserWarning, match="float16"):
        dtype_policies.get("mixed_float16")


def test_a_policy_that_the_machine_has_an_instruction_for_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(current_engine()), "multiplies", lambda self, dtype: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dtype_policies.set_dtype_policy("mixed_bfloat16")
