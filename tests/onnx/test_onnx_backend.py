"""ONNX's own tests of backends: each model gives the numbers, or is refused by name."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.errors import GraphError, ModelFileError
from hornbeam.saving import load_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx.backend.test.loader import load_model_tests  # noqa: E402

# What a file may need and does not find here, by the sentence that refuses it.
REFUSED = (
    "operators that are not supported",
    "is not a tensor: sequences, maps",  # as inputs and outputs
    "complex numbers, small floats",
    "the graph has no inputs",
    "is not supported",
    "is of a kind that is not read",
)
# Random numbers of a dropout in training; results that ONNX Runtime too sees as we do.
OTHERS = re.compile("training_dropout|downsample_scales_(linear|cubic)_align_corners")


def cases(kind: str) -> list[Any]:
    if kind != "node":
        return [case for case in load_model_tests(kind=kind) if case.model_dir]
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():  # of the formulas that make the expected numbers
        warnings.simplefilter("ignore")
        return collect_testcases(None)


def data_of(case: Any) -> tuple[Any, list[tuple[list[Any], list[Any]]]]:
    """The model of a case, and pairs of inputs and outputs."""
    if case.data_sets is not None:
        return case.model, case.data_sets
    folder = Path(case.model_dir)

    def arrays(files: list[Path]) -> list[Any]:
        ordered = sorted(files, key=lambda path: int(re.findall(r"\d+", path.stem)[-1]))
        return [onnx.numpy_helper.to_array(onnx.load_tensor(path)) for path in ordered]

    sets = sorted(folder.glob("test_data_set_*"))
    pairs = [(arrays(list(s.glob("input_*.pb"))), arrays(list(s.glob("output_*.pb")))) for s in sets]
    return onnx.load(folder / "model.onnx"), pairs


def plain(values: Any) -> list[np.ndarray] | None:
    """Arrays of numbers, or None for sequences, optional values and text."""
    values = [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]
    arrays = [np.asarray(v) for v in values if not isinstance(v, (list, dict)) and v is not None]
    if len(arrays) < len(values) or any(x.dtype.kind not in "fiub" for x in arrays):
        return None
    return arrays


def differs(case: Any, folder: Path) -> str:
    """ "" if all outputs of a case are right, or why it is refused, else what is wrong."""
    model, sets = data_of(case)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    outputs = [x.name for x in model.graph.output]
    try:
        loaded = load_onnx(path)
        for inputs, expected in ((plain(x), plain(y)) for x, y in sets):
            if inputs is None or expected is None or not inputs:
                continue
            results = loaded(inputs[0] if len(inputs) == 1 else inputs)
            results = results if isinstance(results, list) else [results]
            for name, mine, theirs in zip(outputs, results, expected, strict=True):
                np.testing.assert_allclose(
                    np.asarray(mine, "float64"),
                    theirs.astype("float64"),
                    max(case.rtol, 1e-3),
                    # A unit in the last place of a result of 16 bits.
                    max(case.atol, 1e-3 if theirs.dtype.itemsize == 2 else 1e-5),
                    err_msg=name,
                )
    except (GraphError, ModelFileError) as error:
        if not any(reason in str(error) for reason in REFUSED):
            return f"{case.name}: {error}"
        return "refused"
    except Exception as error:
        return f"{case.name}: {type(error).__name__}: {error}"
    return ""


def check(every: list[Any], folder: Path) -> int:
    """Check that cases run or are refused by name, and count those that run."""
    results = [differs(case, folder) for case in every if not OTHERS.search(case.name)]
    wrong = [text for text in results if text not in ("", "refused")]
    assert not wrong, "\n".join(wrong)[:4000]
    return results.count("")


@pytest.mark.parametrize("kind", ["pytorch-operator", "pytorch-converted"])
def test_what_pytorch_wrote(kind: str, tmp_path: Path) -> None:
    every = cases(kind)
    assert check(every, tmp_path) == len(every)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "share"), [("node", 0.84), ("simple", 0.3)])
def test_all_cases(kind: str, share: float, tmp_path: Path) -> None:
    """Some have sequences or text as inputs, which no model here takes."""
    every = cases(kind)
    assert check(every, tmp_path) >= share * len(every)
