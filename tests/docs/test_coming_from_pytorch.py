"""The page for those who come from PyTorch shows one program in both: the losses are the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam._internal import other_libraries
from tools import pages

PAGE = Path(__file__).parents[2] / "docs/coming_from_pytorch.md"


def test_pytorch_makes_the_same_losses() -> None:
    pytest.importorskip("torch")
    page = pages.Page(PAGE)
    page.run()
    np.testing.assert_allclose(page.names["losses"], page.names["with_pytorch"](), rtol=1e-4)


def test_errors_give_the_same_counterparts() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Side by side")[1]
    rows = [row.split(" | ")[0] for row in table.splitlines() if row.startswith("|")]
    modules = {name for row in rows for name in re.findall(r"`nn\.(\w+)", row)}
    assert len(modules) >= 4
    assert modules <= {*other_libraries.NAMES["hornbeam.layers"], *hb.layers.__all__}
    model_methods = {name for row in rows for name in re.findall(r"\bmodel\.(\w+)\(", row)}
    assert model_methods == {"train", "eval", "state_dict", "to"}
    assert model_methods <= other_libraries.MODELS.keys()
    tensor_methods = {name for row in rows for name in re.findall(r"\b(?:t|loss)\.(\w+)\(", row)}
    assert tensor_methods - {"numpy"} == {"backward", "detach"}
    assert tensor_methods - {"numpy"} <= other_libraries.TENSORS.keys()
    assert "no_grad" in other_libraries.NAMES["hornbeam"]
    assert "DataLoader" in other_libraries.NAMES["hornbeam.data"]
