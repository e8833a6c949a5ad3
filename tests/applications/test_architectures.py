"""Architectures beside Keras's, by what record.py found there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hornbeam as hb
from hornbeam.layers.context import shapes_only
from tests.helpers.architectures import CASES, describe

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
# Less than a second each; the others are in the long run.
QUICK = (
    "MobileNet", "MobileNetV3Small", "ResNet50", "VGG16", "Xception", "MobileNetV2, 10 classes",
    "MobileNet, thin", "MobileNetV3Small, minimalistic",
)  # fmt: skip


def cases() -> list[object]:
    def marks(key: str) -> list[pytest.MarkDecorator]:
        return [] if key in QUICK else [pytest.mark.slow]

    return [pytest.param(key, marks=marks(key)) for key in CASES]


@pytest.mark.parametrize("key", cases())
def test_the_same_network_as_keras_s(key: str) -> None:
    name, options = CASES[key]
    hb.utils.clear_session()
    with shapes_only():
        result = describe(getattr(hb.applications, name)(weights=None, **options))
    assert result == EXPECTED[key]


def test_all_architectures_are_recorded() -> None:
    assert set(EXPECTED) == set(CASES)
    functions = {name for name in hb.applications.__all__ if name[0].isupper()}
    assert functions == {name for name, _ in CASES.values()}
