"""The page of ONNX operators lists those of the table."""

from __future__ import annotations

from tools import onnx_operators


def test_the_page_is_of_today() -> None:
    page = onnx_operators.page()
    assert "| `Conv` | Convolve (cross-correlation), in groups | 1, 2 |" in page
    assert onnx_operators.PAGE.read_text(encoding="utf-8") == page, (
        "run: python tools/onnx_operators.py --write"
    )
