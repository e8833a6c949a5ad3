"""The page for those who come from PyTorch shows one program in both: the losses are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools import pages

PAGE = Path(__file__).parents[2] / "docs/coming_from_pytorch.md"


def test_pytorch_makes_the_same_losses() -> None:
    pytest.importorskip("torch")
    page = pages.Page(PAGE)
    page.run()
    np.testing.assert_allclose(page.names["losses"], page.names["with_pytorch"](), rtol=1e-4)
