"""ONNX Runtime's own operators (com.microsoft), and the files of its quantizer and optimizer, beside it."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, models
from hornbeam.errors import ModelFileError
from hornbeam.onnx.operators.vocabulary import OPERATORS
from hornbeam.saving import load_onnx
from hornbeam.training.profiler import fresh_steps

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)


def floats(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.standard_normal(shape) * scale).astype("float32")


def bytes_(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype("uint8")


def signed(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype("int8")


def int32(*values: Any) -> np.ndarray:
    return np.array(values, "int32")


class Case(NamedTuple):
    """A node, its inputs (None for one that is left out), dtypes of its outputs, and a tolerance."""

    op: str
    inputs: list[Any]
    outputs: tuple[str, ...]
    fixed: tuple[int, ...]
    atol: float
    domain: str
    attributes: dict[str, Any]


CASES: dict[str, Case] = {}


def add(
    label: str,
    *inputs: Any,
    outputs: tuple[str, ...] = ("float32",),
    fixed: tuple[int, ...] = (),
    atol: float = 1e-4,
    domain: str = "com.microsoft",
    **attributes: Any,
) -> None:
    """Add a case; its label begins with the operator. `fixed` inputs are in the file."""
    arrays = [x if x is None else np.asarray(x) for x in inputs]
    CASES[label] = Case(label.split()[0], arrays, outputs, fixed, atol, domain, attributes)


def file_of(case: Case, path: Path) -> dict[str, np.ndarray]:
    """Write a model of one node, and return its inputs."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(case.inputs)]
    results = [f"y{i}" if dtype else "" for i, dtype in enumerate(case.outputs)]
    node = helper.make_node(case.op, names, results, domain=case.domain, **case.attributes)
    kind = helper.np_dtype_to_tensor_dtype
    feeds = {names[i]: x for i, x in enumerate(case.inputs) if x is not None and i not in case.fixed}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind(x.dtype), x.shape) for name, x in feeds.items()],
        [
            helper.make_tensor_value_info(name, kind(np.dtype(dtype)), None)
            for name, dtype in zip(results, case.outputs, strict=True)
            if dtype
        ],
        [numpy_helper.from_array(case.inputs[i], names[i]) for i in case.fixed],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)
    return feeds


def session(path: Path, **options: Any) -> Any:
    settings = runtime.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 4, 1
    for name, value in options.items():
        setattr(settings, name, value)
    return runtime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def outputs_of(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    model = load_onnx(path)
    inputs = [feeds[x.name] for x in model.inputs]
    outputs = model(inputs[0] if len(inputs) == 1 else inputs)
    return [np.asarray(y) for y in (outputs if isinstance(outputs, list) else [outputs])]


X, STEPS = floats(2, 3, 8, 7), floats(2, 5, 16)
for _activation, _parameters in (
    ("Relu", []), ("Sigmoid", []), ("LeakyRelu", [0.2]), ("Clip", [0.0, 1.0]), ("HardSigmoid", [0.2, 0.4]),
):  # fmt: skip
    add(
        f"FusedConv {_activation}", X, floats(4, 3, 3, 3), floats(4),
        activation=_activation, pads=[1, 1, 1, 1], activation_params=_parameters or None,
    )  # fmt: skip
for _activation in ("Affine", "ScaledTanh"):
    add(
        f"RNN {_activation}", floats(5, 2, 3), floats(1, 4, 3), floats(1, 4, 4, scale=0.2),
        outputs=("float32",) * 2, domain="", hidden_size=4, activations=[_activation],
        activation_alpha=[0.5], activation_beta=[2.0],
    )  # fmt: skip
add("FusedConv sum", X, floats(4, 3, 3, 3), floats(4), floats(2, 4, 6, 5), activation="Relu")
add("FusedMatMul transA", floats(2, 4, 6, 5), floats(2, 4, 6, 3), transA=1, alpha=0.5)
add("FusedMatMul transB", floats(2, 4, 5, 6), floats(2, 4, 3, 6), transB=1)
add("FusedMatMul transBatchA", floats(5, 2, 4, 6), floats(2, 4, 6, 3), transBatchA=1)
add("FusedMatMul transBatchB", floats(2, 4, 5, 6), floats(6, 2, 4, 3), transBatchB=1)
add("FusedMatMul both", floats(6, 2, 4, 5), floats(2, 4, 6, 3), transA=1, transBatchA=1)
add("TransposeMatMul", floats(6, 5), floats(6, 3), transA=1)
add(
    "FusedGemm LeakyRelu", floats(4, 5), floats(3, 5), floats(3),
    transB=1, alpha=0.5, beta=2.0, activation="LeakyRelu", activation_alpha=0.3,
)  # fmt: skip
for _metric in ("euclidean", "sqeuclidean"):
    add(f"CDist {_metric}", floats(4, 5), floats(3, 5), metric=_metric)
add("BiasGelu", floats(2, 3, 4), floats(4))
add("FastGelu", floats(2, 3, 4))
add("FastGelu bias", floats(2, 3, 4), floats(4))
add("Gelu", floats(2, 3))
add("QuickGelu", floats(2, 3), alpha=1.5)
GAMMA, BETA = floats(16), floats(16)
add("SkipLayerNormalization", STEPS, floats(2, 5, 16), GAMMA, BETA)
add(
    "SkipLayerNormalization bias", STEPS, floats(5, 16), GAMMA, BETA, floats(16),
    outputs=("float32", "", "", "float32"), epsilon=1e-3,
)  # fmt: skip
add(
    "SkipSimplifiedLayerNormalization", STEPS, floats(2, 5, 16), GAMMA, BETA,
    outputs=("float32", "", "", "float32"), epsilon=1e-5,
)  # fmt: skip
add("SimplifiedLayerNormalization", STEPS, GAMMA, outputs=("float32",) * 2, domain="", axis=-1, stash_type=1)
WORDS, KINDS = RNG.integers(0, 10, (2, 5)).astype("int32"), int32(*[[0, 0, 1, 1, 1]] * 2)
MASK = int32([1, 1, 1, 0, 0], [1, 1, 1, 1, 1])
TABLES = floats(10, 16), floats(8, 16), floats(2, 16)
add("EmbedLayerNormalization", WORDS, KINDS, *TABLES, GAMMA, BETA, MASK, outputs=("float32", "int32"))
add(
    "EmbedLayerNormalization less", WORDS, None, *TABLES[:2], None, GAMMA, BETA, None, int32([1, 2, 3, 4, 5]),
    outputs=("float32", "", "float32"), epsilon=1e-6,
)  # fmt: skip

PROJECTION = STEPS, floats(16, 48, scale=0.3), floats(48)
add("Attention", *PROJECTION, num_heads=4)
add("Attention causal mask", *PROJECTION, MASK, num_heads=4, unidirectional=1)
add("Attention lengths", *PROJECTION, int32(3, 5), num_heads=4)
add("Attention ends and starts", *PROJECTION, int32(3, 5, 0, 2), num_heads=4)
add("Attention square mask", *PROJECTION, np.tril(np.ones((2, 5, 5), "int32")), num_heads=4)
add(
    "Attention past", *PROJECTION, None, floats(2, 2, 4, 3, 4), outputs=("float32",) * 2, num_heads=4,
    unidirectional=1,
)  # fmt: skip
add("Attention bias", *PROJECTION, None, None, floats(1, 4, 5, 5), num_heads=4, scale=0.3)
add(
    "Attention sizes", STEPS, floats(16, 40, scale=0.3), floats(40), num_heads=4,
    qkv_hidden_sizes=[16, 16, 8],
)  # fmt: skip
add(
    "QAttention", bytes_(2, 5, 16), signed(16, 48), floats(48), np.float32(0.01), np.float32(0.02),
    int32(3, 5), np.uint8(120), np.int8(0), num_heads=4, atol=1e-3, fixed=(1, 2, 3, 4, 6, 7),
)  # fmt: skip
Q, K, V = floats(2, 5, 16), floats(2, 6, 16), floats(2, 6, 16)
add("MultiHeadAttention", Q, K, V, num_heads=4)
add(
    "MultiHeadAttention bias and mask", Q, K, V, floats(48), int32([1] * 6, [1, 1, 1, 0, 0, 0]),
    floats(2, 4, 5, 6), num_heads=4,
)  # fmt: skip
add("MultiHeadAttention of a cache", Q, floats(2, 4, 6, 4), floats(2, 4, 6, 4), floats(48), num_heads=4)
add(
    "MultiHeadAttention past", Q, STEPS, STEPS, None, None, None, floats(2, 4, 3, 4), floats(2, 4, 3, 4),
    outputs=("float32",) * 3, num_heads=4, unidirectional=1, scale=0.2,
)  # fmt: skip
ANGLES = floats(32, 4), floats(32, 4)
add("RotaryEmbedding", floats(2, 5, 32), np.tile(np.arange(5), (2, 1)), *ANGLES)
add("RotaryEmbedding from one on", floats(2, 4, 5, 8), np.array([3]), *ANGLES, interleaved=1)
add("RotaryEmbedding part", floats(2, 5, 64), np.array([3]), *ANGLES, num_heads=4, rotary_embedding_dim=8)


def add_grouped(
    label: str,
    steps: int,
    past: int | None,
    lengths: list[int],
    total: int,
    packed: bool = False,
    more: tuple[Any, ...] = (),
    **attributes: Any,
) -> None:
    """Add a case of attention with 4 heads of queries and 2 of keys, of 16 features each."""
    batch = len(lengths)
    widths = [128] if packed else [64, 32, 32]
    rows = [floats(batch, steps, width) for width in widths] + [None] * (3 - len(widths))
    caches = [None] * 2 if past is None else [floats(batch, 2, past, 16) for _ in range(2)]
    add(
        f"GroupQueryAttention {label}", *rows, *caches, int32(*lengths), np.int32(total),
        *(floats(32, 8), floats(32, 8)), *more, outputs=("float32",) * 3, fixed=(6,),
        num_heads=4, kv_num_heads=2, do_rotary=1, **attributes,
    )  # fmt: skip


add_grouped("prompt", 5, None, [4, 4], 5)
add_grouped("padded prompt", 5, None, [4, 2], 5, packed=True)
add_grouped("step", 1, 5, [5, 5], 6, more=(np.array([[5], [5]]),))
add_grouped("step in a buffer", 1, 12, [5, 3], 6, rotary_interleaved=1)
add_grouped("steps", 3, 4, [6], 7)
add_grouped("window", 6, None, [5, 5], 6, local_window_size=3, softcap=2.0)
add_grouped("window of a step", 1, 8, [8, 8], 9, local_window_size=3)
add_grouped("both ways", 5, None, [4, 3], 5, causal=0)
add_grouped("smooth", 5, None, [4, 4], 5, smooth_softmax=1)
add_grouped("sink and bias", 5, None, [4, 4], 5, more=(None, floats(1, 1, 5, 5), floats(4)))

LEVELS = np.float32(0.1), np.uint8(100)
TARGET = np.float32(0.2), np.uint8(128)
LEVEL: dict[str, Any] = {"outputs": ("uint8",), "atol": 1}  # may be rounded otherwise
add("QLinearAdd", bytes_(2, 3, 4), *LEVELS, bytes_(4), *TARGET, np.float32(0.3), np.uint8(128), **LEVEL)
add("QLinearMul", bytes_(2, 3, 4), *LEVELS, bytes_(2, 3, 4), *TARGET, np.float32(0.8), np.uint8(9), **LEVEL)
ONE: dict[str, Any] = {"fixed": (1, 2, 3, 4), **LEVEL}
PARTS = np.float32(1 / 256), np.uint8(0)
add("QLinearSigmoid", bytes_(2, 3), *LEVELS, *PARTS, **ONE)
add("QLinearLeakyRelu", bytes_(2, 3), *LEVELS, *TARGET, alpha=0.2, **ONE)
add(
    "QLinearSoftmax",
    bytes_(2, 3, 5),
    *LEVELS,
    np.float32(0.0031),
    np.uint8(0),
    axis=1,
    opset=13,
    **{**ONE, "atol": 0},
)
add("QLinearSoftmax flat", bytes_(2, 3, 5), *LEVELS, *PARTS, axis=1, opset=11, **ONE)
add("QLinearConcat", *TARGET, bytes_(2, 3), *LEVELS, bytes_(2, 4), *TARGET, axis=1, **LEVEL)
add("QLinearAveragePool", X.astype("uint8"), *LEVELS, *TARGET, kernel_shape=[3, 3], pads=[1] * 4, **LEVEL)
add(
    "QLinearAveragePool last",
    bytes_(2, 8, 8, 3),
    *LEVELS,
    *TARGET,
    kernel_shape=[3, 3],
    channels_last=1,
    **LEVEL,
)
add("QLinearGlobalAveragePool", bytes_(2, 3, 8, 8), *LEVELS, *TARGET, **LEVEL)
add(
    "QLinearConv last", bytes_(1, 5, 5, 3), *LEVELS, bytes_(4, 3, 3, 3), *TARGET, np.float32(2.0),
    np.uint8(128), channels_last=1, **{**LEVEL, "fixed": (3, 4, 5, 6, 7)},
)  # fmt: skip
add(
    "QLinearWhere", np.array([[True, False, True]]), bytes_(2, 3), *LEVELS, bytes_(2, 3), *TARGET, *TARGET,
    **{**LEVEL, "fixed": (2, 3, 5, 6, 7, 8)},
)  # fmt: skip
COLUMNS = np.float32([0.1, 0.2, 0.3])
add(
    "MatMulIntegerToFloat", bytes_(2, 4, 5), signed(5, 3), np.float32(0.1), COLUMNS, np.uint8(100),
    np.int8([1, 2, 3]), floats(3), atol=1e-3,
)  # fmt: skip
add("DynamicQuantizeMatMul", floats(4, 5), signed(5, 3), np.float32(0.02), np.int8(3), floats(3), atol=1e-3)
SUMS = RNG.integers(-100, 100, 3).astype("int32")
add("QGemm", bytes_(4, 5), *LEVELS, signed(5, 3), np.float32(0.02), np.int8(3), SUMS, *TARGET, **LEVEL)
add(
    "QGemm floats", bytes_(4, 5), *LEVELS, signed(3, 5), COLUMNS, np.zeros(3, "int8"), SUMS,
    transB=1, alpha=0.5, atol=1e-3,
)  # fmt: skip
for _bits in (2, 4, 8):
    _matrix = bytes_(6, 3, 2 * _bits), floats(18)
    _sizes = {"N": 6, "K": 40, "bits": _bits, "block_size": 16, "atol": 1e-3}
    add(f"MatMulNBits {_bits}", floats(3, 40), *_matrix, fixed=(1, 2), **_sizes)
    _zeros = bytes_(6 * -(-3 * _bits // 8))
    add(f"MatMulNBits {_bits} zeros", floats(3, 40), *_matrix, _zeros, fixed=(1, 2, 3), **_sizes)
add(
    "MatMulNBits bias", floats(3, 32), bytes_(6, 2, 8), floats(12), floats(12), None, floats(6),
    fixed=(1, 2, 3), atol=1e-3, N=6, K=32, bits=4, block_size=16,
)  # fmt: skip
add(
    "DynamicQuantizeLSTM", floats(4, 2, 5), signed(2, 5, 24), signed(2, 6, 24), floats(2, 48), *[None] * 4,
    np.linspace(0.01, 0.02, 48, dtype="float32").reshape(2, 24), np.zeros((2, 24), "int8"),
    np.full((2, 24), 0.01, "float32"),
    np.zeros((2, 24), "int8"), outputs=("float32",) * 3, fixed=(1, 2, 3, 8, 9, 10, 11), atol=1e-5,
    hidden_size=6, direction="bidirectional",
)  # fmt: skip
add("Inverse", floats(2, 4, 4) + 4 * np.eye(4, dtype="float32"))
add("Trilu", floats(3, 4), upper=0)
add("Pad", floats(2, 3), np.array([0, 1, 1, 0]), np.float32(3), fixed=(1,))
add("GatherND", floats(3, 4), np.array([[0, 1], [2, 3]]))
add("GridSample", X, floats(2, 4, 5, 2, scale=0.5), mode="bilinear")
BOXES = np.float32([[0.1, 0.2, 0.7, 0.9], [0, 0, 1.2, 1.1], [0.5, 0.6, 0.2, 0.3]])
for _mode, _size in (("bilinear", (3, 4)), ("nearest", (3, 4)), ("bilinear", (1, 1))):
    add(
        f"CropAndResize {_mode} {_size}", X, BOXES, int32(0, 1, 0), int32(*_size), fixed=(3,), mode=_mode,
        extrapolation_value=7.0,
    )  # fmt: skip
add("DequantizeLinear", bytes_(2, 3), COLUMNS[:2], np.uint8([3, 4]), axis=0)
add("QuantizeLinear", floats(2, 3), np.float32(0.1), np.uint16(300), outputs=("uint16",))


@pytest.mark.parametrize("label", CASES)
def test_operator(label: str, tmp_path: Path) -> None:
    case, path = CASES[label], tmp_path / "m.onnx"
    feeds = file_of(case, path)
    for mine, theirs in zip(outputs_of(path, feeds), session(path).run(None, feeds), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(
            mine.astype("float64"), theirs.astype("float64"), rtol=1e-4, atol=case.atol
        )


def images_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def normal(x: np.ndarray) -> np.ndarray:
    """GELU, by PyTorch's and ONNX's standard operator."""
    return (x * np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)).astype("float32")


def softmax(x: np.ndarray) -> np.ndarray:
    power = np.exp(x - x.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Attention of rows (batch, steps, heads, size)."""
    weights = softmax(np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1]))
    y = np.einsum("bhqk,bkhd->bqhd", weights, v)
    return y.reshape(*y.shape[:2], -1)


def of_formulas() -> dict[str, tuple[Case, np.ndarray]]:
    """Operators that ONNX Runtime has for other devices alone, and their definitions."""
    x, bias, skip, scores = floats(2, 3, 8), floats(8), floats(2, 3, 8), floats(2, 3, 4, 5)
    kernel, mask = floats(4, 3, 3, 3), floats(2, 1, 1, 5)
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 3), (2, 3))
    convolved = np.einsum("nchwij,ocij->nhwo", windows, kernel)
    packed, pairs = floats(2, 5, 4, 3, 4), floats(2, 6, 4, 2, 4)
    table = {
        "BiasSplitGelu": ([x, bias], {}, (x + bias)[..., :4] * normal((x + bias)[..., 4:])),
        "BiasAdd": ([x, bias, skip], {}, x + bias + skip),
        "BiasSoftmax": ([scores, mask], {"axis": 3, "is_inner_broadcast": 1}, softmax(scores + mask)),
        "NhwcConv": ([images_last(X), kernel], {}, convolved),
        "NhwcFusedConv": ([images_last(X), kernel], {"activation": "Relu"}, np.maximum(convolved, 0)),
        "NhwcMaxPool": ([images_last(X)], {"kernel_shape": [3, 3]}, images_last(windows.max((-2, -1)))),
        "MultiHeadAttention packed": (
            [packed], {"num_heads": 4}, attended(*(packed[:, :, :, i] for i in range(3))),
        ),
        "MultiHeadAttention of pairs": (
            [Q, pairs], {"num_heads": 4},
            attended(Q.reshape(2, 5, 4, 4), pairs[:, :, :, 0], pairs[:, :, :, 1]),
        ),
    }  # fmt: skip
    return {
        label: (Case(label.split()[0], inputs, (str(y.dtype),), (), 1e-4, "com.microsoft", attributes), y)
        for label, (inputs, attributes, y) in table.items()
    }


FORMULAS = of_formulas()


@pytest.mark.parametrize("label", FORMULAS)
def test_operators_of_other_devices(label: str, tmp_path: Path) -> None:
    case, expected = FORMULAS[label]
    feeds = file_of(case._replace(inputs=[np.asarray(x) for x in case.inputs]), tmp_path / "m.onnx")
    (y,) = outputs_of(tmp_path / "m.onnx", feeds)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_operators_with_known_operands(tmp_path: Path) -> None:
    """Range and Unique compute what depends on no data."""
    make, value = helper.make_node, helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            make("Range", ["a", "b"], ["r"], domain="com.microsoft"),
            make("Unique", ["u"], ["v", "i", "c"], domain="com.microsoft"),
            make("BitmaskDropout", ["x"], ["d", "m"], domain="com.microsoft"),
            make("Add", ["d", "r"], ["y"]),
            make("Add", ["d", "v"], ["z"]),
        ],
        "g",
        [value("x", 1, [3])],
        [value("y", 1, [3]), value("z", 1, [3]), value("i", 7, None), value("c", 7, None)],
        [
            numpy_helper.from_array(np.float32(x), name)
            for name, x in (("a", 1), ("b", 4), ("u", [3, 1, 3, 2, 1]))
        ],
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions), tmp_path / "m.onnx")
    y, z, index, counts = outputs_of(tmp_path / "m.onnx", {"x": np.zeros(3, "float32")})
    assert (y.tolist(), z.tolist()) == ([1, 2, 3], [3, 1, 2])
    assert (index.tolist(), counts.tolist()) == ([0, 1, 0, 2, 1], [2, 2, 1])


def test_the_domain_is_covered() -> None:
    mine = {name.split("::")[1] for name in OPERATORS if name.startswith("com.microsoft::")}
    tested = {case.op for case in [*CASES.values(), *(case for case, _ in FORMULAS.values())]}
    assert mine - tested == {
        "BitmaskDropout",
        "Range",
        "Tokenizer",
        "Unique",
    }  # test_onnx_strings.py has Tokenizer


# -- files of its tools --------------------------------------------------------------------------------------


def exported(kind: str, path: Path) -> Path:
    """A small net, in a file."""
    hornbeam.utils.set_random_seed(0)
    if kind == "images":
        x = layers.Input((16, 16, 3))
        h = layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu", padding="same")(x))
        h = layers.Add()([layers.Conv2D(8, 3, padding="same")(h), h])
        h = layers.GlobalAveragePooling2D()(layers.Activation("relu")(h))
    elif kind == "sequences":
        x = layers.Input((6, 4))
        h = layers.Flatten()(layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x))
    else:
        x = layers.Input((6, 16))
        h = layers.LayerNormalization()(layers.Add()([layers.MultiHeadAttention(2, 8)(x, x), x]))
        h = layers.Flatten()(layers.Dense(16)(layers.Dense(32, activation="gelu")(h)))
    model = models.Model(x, layers.Dense(5)(h))
    model.export(path, format="onnx", verbose=False)
    return path


class Batches:
    """Batches for the calibration of the quantizer."""

    def __init__(self, path: Path) -> None:
        (x,) = session(path).get_inputs()
        self._batches = iter([{x.name: floats(4, *x.shape[1:])} for _ in range(3)])

    def get_next(self) -> Any:
        return next(self._batches, None)


def quantized(kind: str, source: Path, path: Path) -> Path:
    """The file as ONNX Runtime's quantizer writes it."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    logging.getLogger().setLevel(logging.ERROR)
    if kind == "dynamic":
        quantization.quantize_dynamic(source, path)
    else:
        form = quantization.QuantFormat[kind]
        quantization.quantize_static(source, path, Batches(source), quant_format=form)
    return path


@pytest.mark.parametrize("net", ["images", "sequences", "steps"])
@pytest.mark.parametrize("kind", ["float", "dynamic", "QDQ", "QOperator"])
def test_files_of_its_quantizer_and_optimizer(net: str, kind: str, tmp_path: Path) -> None:
    """Results are those without further fusions, which round otherwise."""
    source = exported(net, tmp_path / "net.onnx")
    path = source if kind == "float" else quantized(kind, source, tmp_path / "quantized.onnx")
    levels, optimized = runtime.GraphOptimizationLevel, tmp_path / "optimized.onnx"
    session(
        path, graph_optimization_level=levels.ORT_ENABLE_EXTENDED, optimized_model_filepath=str(optimized)
    )
    for each in (path, optimized):
        expected = session(each, graph_optimization_level=levels.ORT_DISABLE_ALL)
        (x,) = expected.get_inputs()
        feeds = {x.name: floats(3, *x.shape[1:])}
        (y,) = expected.run(None, feeds)
        (mine,) = outputs_of(each, feeds)
        np.testing.assert_allclose(mine, y, atol=(1e-5 if kind == "float" else 0.04) * np.abs(y).max())


@pytest.mark.parametrize("kind", ["dynamic", "QDQ", "QOperator"])
def test_files_of_its_quantizer_run_in_int8(kind: str, tmp_path: Path) -> None:
    path = quantized(kind, exported("images", tmp_path / "net.onnx"), tmp_path / "quantized.onnx")
    model = load_onnx(path)
    with fresh_steps(model) as compiled:
        model.predict_on_batch(floats(16, 16, 16, 3))
        text = "".join(executable.text for executable in compiled.values())
    assert text.count(" quantized_") == 3
    assert not re.search(" (conv|dot_general) ", text)
    if kind != "dynamic":
        assert text.count("+scale") == 3
        assert text.count("+round") >= 2


def test_files_for_one_processor_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")
    values = [helper.make_tensor_value_info(name, 1, [1, 8, 4, 4]) for name in "xy"]
    kernel = numpy_helper.from_array(floats(8, 8, 3, 3), "w")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [kernel])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=r"for one kind of processor.*ORT_ENABLE_EXTENDED"):
        load_onnx(tmp_path / "m.onnx")
