"""Write docs/onnx_operators.md: the ONNX operators that files may have.

python tools/onnx_operators.py --write
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import hornbeam.onnx.operators  # noqa: F401  (fills the table)
from hornbeam.onnx.operators.vocabulary import OPERATORS, OnnxOperator

PAGE = Path(__file__).parents[1] / "docs" / "onnx_operators.md"
HEAD = """# ONNX operators

What `load_model("model.onnx")` reads, of operator sets 1 to 28: {count} operators, and `Constant`.
An operator or an attribute that is not read is an error that names it; `hornbeam inspect
model.onnx` lists the nodes that a file has of them. Gradients pass through operators of floats as
through layers, also through loops and branches; results that are integers, truth values or strings
have none.

Inputs in "trained" are weights if the file holds them as floats: counted from 0, they are
`trainable_variables` of the model. Written by `python tools/onnx_operators.py --write`.
"""
DOMAINS = {
    "": "ONNX",
    "ai.onnx.ml": "Machine learning (`ai.onnx.ml`)",
    "com.microsoft": "ONNX Runtime's tools (`com.microsoft`)",
}


def trained(operator: OnnxOperator) -> str:
    """Return the positions of weights, as text."""
    if isinstance(operator.weights, range):
        return f"from {operator.weights.start}" if operator.weights.start else "all"
    return ", ".join(map(str, operator.weights))


def page() -> str:
    """Return the page."""
    lines = [HEAD.format(count=len(OPERATORS))]
    for domain, title in DOMAINS.items():
        lines += [f"## {title}\n", "| operator | what it does | trained |", "|---|---|---|"]
        names = {key.rpartition("::")[2]: key for key in OPERATORS if key.rpartition("::")[0] == domain}
        for name, key in sorted(names.items()):
            operator = OPERATORS[key]
            summary = (
                (inspect.getdoc(operator.compute) or "").split("\n\n")[0].replace("\n", " ").removesuffix(".")
            )
            lines.append(f"| `{name}` | {summary} | {trained(operator)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page())
