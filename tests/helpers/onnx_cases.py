"""One small ONNX model for each operator and each way in which versions of it differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Case(NamedTuple):
    """A model, and what to give it."""

    label: str
    model: Any
    feeds: dict[str, np.ndarray]


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def ints(*values: Any) -> np.ndarray:
    return np.array(values, "int64")


def one(
    op: str,
    *inputs: Any,
    opset: int = 21,
    fixed: tuple[int, ...] = (),
    outputs: int = 1,
    label: str = "",
    **attributes: Any,
) -> Case:
    """A model of one node. inputs: arrays, or None for one that is left out; `fixed` ones are in the file."""
    inputs = tuple(x if x is None else np.asarray(x) for x in inputs)
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    result = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, result, **attributes)
    free = [i for i, x in enumerate(inputs) if x is not None and i not in fixed]
    values = [
        helper.make_tensor_value_info(
            names[i], helper.np_dtype_to_tensor_dtype(inputs[i].dtype), inputs[i].shape
        )
        for i in free
    ]
    arrays = [numpy_helper.from_array(inputs[i], names[i]) for i in fixed if inputs[i] is not None]
    wanted = [helper.make_empty_tensor_value_info(name) for name in result]
    nodes, feeds = [node], {names[i]: inputs[i] for i in free}
    if not free:  # a model has an input
        values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
        nodes, feeds = [node, helper.make_node("Identity", ["x"], ["y"])], {"x": floats(2)}
        wanted.append(helper.make_empty_tensor_value_info("y"))
    return finished(
        label or f"{op}-{opset}" + "".join(f"-{k}={v}" for k, v in attributes.items() if np.size(v) < 9),
        nodes,
        values,
        wanted,
        arrays,
        opset,
        feeds,
    )


def finished(label: str, nodes: Any, inputs: Any, outputs: Any, arrays: Any, opset: int, feeds: Any) -> Case:
    """A case out of the parts of a model; the types of its outputs are inferred."""
    import onnx

    for value in outputs:
        if not value.HasField("type"):
            value.type.tensor_type.elem_type = TensorProto.UNDEFINED
    graph = helper.make_graph(nodes, "case", inputs, outputs, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model)
    for value in inferred.graph.output:
        if not value.type.tensor_type.HasField("shape"):  # of operators that are functions
            value.type.CopyFrom(inputs[0].type)
    return Case(label, inferred, feeds)


X = floats(2, 3, 4)
IMAGE = floats(2, 3, 8, 7)
SIGNS = np.array([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 30.0, -30.0], "float32")
SMALL = np.linspace(-0.9, 0.9, 12, dtype="float32").reshape(3, 4)
WHOLE = np.array([[-7, 5, 3], [9, -4, 6]], "int64")
DIVISORS = np.array([[2, -2, 3], [-4, 3, 5]], "int64")
BOOLS = np.array([[True, False], [True, True]])
OTHER = np.array([[False, False], [True, False]])


def elementwise() -> list[Case]:
    results = [
        one(op, SIGNS)
        for op in [
            "Abs",
            "Neg",
            "Ceil",
            "Floor",
            "Round",
            "Relu",
            "Sigmoid",
            "Tanh",
            "Sign",
            "Sin",
            "Cos",
            "Softplus",
            "Softsign",
            "Erf",
            "HardSwish",
            "Identity",
            "IsNaN",
            "IsInf",
            "HardSigmoid",
            "Elu",
            "Selu",
            "LeakyRelu",
            "ThresholdedRelu",
            "Shrink",
        ]
    ]
    results += [
        one(op, SMALL)
        for op in [
            "Acos",
            "Asin",
            "Atan",
            "Atanh",
            "Asinh",
            "Sinh",
            "Cosh",
            "Tan",
            "Exp",
            "Mish",
            "Celu",
            "Gelu",
        ]
    ]
    results += [one(op, np.abs(SMALL) + 1.5) for op in ["Sqrt", "Log", "Reciprocal", "Acosh"]]
    results += [one("Not", BOOLS), *(one(op, BOOLS, OTHER) for op in ("And", "Or", "Xor"))]
    results += [
        one(op, X, floats(3, 1, seed=1)) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")
    ]
    results += [
        one(op, WHOLE, DIVISORS)
        for op in (
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Mod",
            "Equal",
            "Less",
            "Greater",
            "LessOrEqual",
            "GreaterOrEqual",
            "BitwiseAnd",
            "BitwiseOr",
            "BitwiseXor",
        )
    ]
    results += [
        one("BitwiseNot", WHOLE),
        one("Mod", WHOLE, DIVISORS, fmod=1),
        one("Mod", X, floats(2, 3, 4, seed=1), fmod=1),
        one("Sum", X, X, X),
        one("Max", X, floats(4, seed=2), np.float32(0.1)),
        one("Pow", np.abs(X), floats(4, seed=1)),
        one("Pow", X, ints(2), label="Pow-whole"),
        one("BitShift", np.array([1, 9], "uint32"), np.array([3, 1], "uint32"), direction="LEFT"),
        one("BitShift", np.array([1, 9], "uint8"), np.array([3, 1], "uint8"), direction="RIGHT"),
        one("Where", np.array([[True], [False], [True]]), X, floats(4, seed=1)),
        one("LeakyRelu", X, alpha=0.3),
        one("Elu", X, alpha=0.7),
        one("Celu", X, alpha=0.6),
        one("Selu", X, alpha=1.2, gamma=0.8),
        one("HardSigmoid", X, alpha=0.4, beta=0.3),
        one("ThresholdedRelu", X, alpha=0.3),
        one("Shrink", X, bias=0.2, lambd=0.4),
        one("Gelu", X, approximate="tanh"),
        one("PRelu", IMAGE, floats(3, 1, 1, seed=1), fixed=(1,)),
        one("Clip", X, opset=6 + 1, min=-0.5, max=0.5),
        one("Clip", X, opset=10, max=0.5),
        one("Clip", X, np.float32(-0.5), np.float32(0.5), opset=12),
        one("Clip", X, None, np.float32(0.1), opset=13),
        one("Clip", WHOLE, np.int64(-3), np.int64(4)),
        one("IsInf", np.array([np.inf, -np.inf, 1.0], "float32"), detect_negative=0),
        one("Cast", X, to=TensorProto.INT32),
        one("Cast", WHOLE, to=TensorProto.FLOAT),
        one("Cast", X, to=TensorProto.BOOL),
        one("CastLike", X, WHOLE),
        one("Dropout", X, opset=10),
        one("Dropout", X, opset=12),
        one("Dropout", X, np.float32(0.4), np.array(False), opset=13, fixed=(1, 2), outputs=2),
        one("Softmax", X, opset=12),
        one("Softmax", X, opset=12, axis=2),
        one("Softmax", X),
        one("Softmax", X, axis=1),
        one("LogSoftmax", X, opset=12),
        one("LogSoftmax", X, axis=0),
        one("Hardmax", X),
        one("Hardmax", X, opset=11, axis=1),
        one("CumSum", X, np.array(1, "int64"), fixed=(1,)),
        one("CumSum", X, np.array(-1, "int64"), fixed=(1,), exclusive=1, reverse=1),
        one("QuantizeLinear", X, np.float32(0.1), np.uint8(100), fixed=(1, 2)),
        one(
            "QuantizeLinear",
            IMAGE,
            np.array([0.1, 0.02, 0.3], "float32"),
            np.array([0, -3, 4], "int8"),
            fixed=(1, 2),
            axis=1,
        ),
        one(
            "DequantizeLinear",
            np.arange(24, dtype="uint8").reshape(2, 3, 4),
            np.float32(0.1),
            np.uint8(100),
            fixed=(1, 2),
        ),
        one(
            "DequantizeLinear",
            np.arange(24, dtype="int8").reshape(2, 3, 4),
            np.array([0.1, 0.02, 0.3], "float32"),
            np.array([0, -3, 4], "int8"),
            fixed=(1, 2),
            axis=1,
        ),
    ]
    return results


def reducing() -> list[Case]:
    results = []
    for op in ["Sum", "Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp", "LogSum"]:
        x = np.abs(X) + 0.1
        old = 11 if op == "Sum" else 17
        results += [
            one(f"Reduce{op}", x, opset=old, axes=[1]),
            one(f"Reduce{op}", x, opset=old, axes=[0, -1], keepdims=0),
            one(f"Reduce{op}", x),
            one(f"Reduce{op}", x, ints(0, 2), fixed=(1,), keepdims=0),
            one(f"Reduce{op}", x, opset=old),
        ]
    results += [
        one("ReduceSum", X, ints(), fixed=(1,), noop_with_empty_axes=1, label="ReduceSum-noop"),
        one("ReduceSum", WHOLE, ints(1), fixed=(1,), label="ReduceSum-whole"),
        one("ReduceMax", WHOLE, ints(1), fixed=(1,), label="ReduceMax-whole"),
        one("ArgMax", X, axis=2),
        one("ArgMin", X, axis=1, keepdims=0),
        one("ArgMax", np.array([[1, 3, 3], [2, 2, 1]], "float32"), axis=1, select_last_index=1),
        one("TopK", X, ints(2), fixed=(1,), outputs=2),
        one("TopK", X, ints(3), fixed=(1,), outputs=2, axis=1, largest=0),
        one("TopK", X, opset=9, k=2, outputs=2),
        one("LpNormalization", X, axis=1),
        one("LpNormalization", X, p=1),
    ]
    return results


def shaping() -> list[Case]:
    pads = ints(0, 0, 1, 2, 0, 0, 3, 1)
    return [
        one("Reshape", X, ints(0, -1), fixed=(1,)),
        one("Reshape", X, ints(4, 0, 2), fixed=(1,), label="Reshape-keep"),
        one("Transpose", X),
        one("Transpose", X, perm=[1, 0, 2]),
        one("Flatten", X),
        one("Flatten", X, axis=-1),
        one("Flatten", X, axis=0),
        one("Squeeze", floats(1, 3, 1, 2), opset=11, axes=[0, 2]),
        one("Squeeze", floats(1, 3, 1, 2)),
        one("Squeeze", floats(1, 3, 1, 2), ints(-2), fixed=(1,)),
        one("Unsqueeze", X, opset=11, axes=[0, 4]),
        one("Unsqueeze", X, ints(-1, 1), fixed=(1,)),
        one("Concat", X, floats(2, 1, 4, seed=1), axis=1),
        one("Concat", X, X, axis=-1),
        one("Split", X, opset=11, axis=2, split=[1, 3], outputs=2),
        one("Split", X, ints(1, 2), fixed=(1,), axis=1, outputs=2),
        one("Split", X, opset=13, axis=2, outputs=2),
        one("Split", floats(2, 7), num_outputs=3, axis=1, outputs=3),
        one("Slice", X, opset=9, starts=[1, 0], ends=[3, -1], axes=[1, 2]),
        one("Slice", X, ints(0, 1), ints(9, 99), fixed=(1, 2)),
        one(
            "Slice", X, ints(-1), ints(-9999), ints(2), ints(-1), fixed=(1, 2, 3, 4), label="Slice-backwards"
        ),
        one("Slice", X, ints(3), ints(0), ints(-1), ints(-2), fixed=(1, 2, 3, 4), label="Slice-backwards-2"),
        one("Slice", X, ints(-3), ints(-1), ints(-1), fixed=(1, 2, 3), label="Slice-behind"),
        one("Expand", floats(3, 1), ints(2, 1, 4), fixed=(1,)),
        one("Expand", X, ints(1), fixed=(1,), label="Expand-less"),
        one("Tile", X, ints(1, 2, 3), fixed=(1,)),
        one("Pad", IMAGE, opset=10, pads=[0, 0, 1, 2, 0, 0, 3, 1], value=1.5),
        one("Pad", IMAGE, pads, fixed=(1,)),
        one("Pad", IMAGE, pads, np.float32(2.0), fixed=(1, 2), label="Pad-value"),
        one("Pad", IMAGE, pads, fixed=(1,), mode="reflect"),
        one("Pad", IMAGE, pads, fixed=(1,), mode="edge"),
        one("Pad", IMAGE, pads, fixed=(1,), mode="wrap"),
        one("Pad", IMAGE, ints(-1, 2), None, ints(3), fixed=(1, 3), label="Pad-axes"),
        one("DepthToSpace", floats(1, 8, 2, 3), blocksize=2),
        one("DepthToSpace", floats(1, 8, 2, 3), blocksize=2, mode="CRD"),
        one("SpaceToDepth", floats(1, 2, 4, 6), blocksize=2),
        one("Trilu", X),
        one("Trilu", X, np.array(1, "int64"), fixed=(1,), upper=0),
        one("Shape", X),
        one("Shape", X, start=1),
        one("Size", X),
        one("ConstantOfShape", ints(2, 3), fixed=(0,)),
        one("ConstantOfShape", ints(2, 3), fixed=(0,), value=numpy_helper.from_array(np.array([7], "int32"))),
        one("Range", np.array(1, "int64"), np.array(9, "int64"), np.array(3, "int64"), fixed=(0, 1, 2)),
        one(
            "Range", np.float32(0.5), np.float32(-1), np.float32(-0.25), fixed=(0, 1, 2), label="Range-floats"
        ),
        one("EyeLike", floats(3, 4), k=1),
        one("OneHot", ints(0, 2, -1, 9), np.array(3, "int64"), np.array([0.5, 2], "float32"), fixed=(1,)),
        one("OneHot", ints([0, 1], [2, 0]), np.array(3, "int64"), ints(0, 1), fixed=(1,), axis=1),
        one("Gather", X, ints(0, -1), axis=1),
        one("Gather", X, ints([0, 1], [1, 0])),
        one("Gather", X, np.array(1, "int64"), axis=2, label="Gather-scalar"),
        one("GatherElements", X, ints([[0, 1, -1], [2, 0, 1]]), axis=2),
        one("GatherElements", X, ints([[0, 1, 0, 1]]), axis=0),
        one("GatherND", X, ints([0, 1], [1, -1])),
        one("GatherND", X, ints([[0], [1]], [[2], [0]]), batch_dims=1),
        one("ScatterElements", X, ints([[0, 1]]), floats(1, 1, 2, seed=3), axis=2),
        one("ScatterElements", X, ints([[0, 0]], [[1, 1]]), floats(2, 1, 2, seed=3), axis=1, reduction="add"),
        one("ScatterElements", X, ints([[0, 0]], [[1, 1]]), floats(2, 1, 2, seed=3), axis=1, reduction="max"),
        one("Scatter", X, ints([[0, 1]]), floats(1, 1, 2, seed=3), opset=10, axis=2),
        one("ScatterND", X, ints([0, 1], [1, -1]), floats(2, 4, seed=3)),
        one("ScatterND", X, ints([0, 1], [0, 1]), floats(2, 4, seed=3), reduction="mul"),
    ]


def resizing() -> list[Case]:
    none = np.zeros(0, "float32")
    results = [
        one("Upsample", IMAGE, opset=7, scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"),
        one("Upsample", IMAGE, np.array([1, 1, 2, 1.5], "float32"), opset=9, fixed=(1,), mode="linear"),
        one("Resize", IMAGE, np.array([1, 1, 2, 1.5], "float32"), opset=10, fixed=(1,), mode="nearest"),
        one("Resize", IMAGE, none, none, ints(2, 3, 5, 9), fixed=(1, 2, 3), mode="linear", opset=11),
        one("Resize", IMAGE, None, None, ints(11, 5), fixed=(3,), axes=[2, 3], mode="nearest"),
        one(
            "Resize",
            IMAGE,
            None,
            None,
            ints(11, 5),
            fixed=(3,),
            axes=[2, 3],
            mode="linear",
            keep_aspect_ratio_policy="not_larger",
        ),
    ]
    for mode in ("nearest", "linear", "cubic"):
        for coordinates in (
            "half_pixel",
            "align_corners",
            "asymmetric",
            "pytorch_half_pixel",
            "half_pixel_symmetric",
        ):
            for scales in ([1, 1, 2, 3], [1, 1, 0.5, 1.3]):
                options = {"mode": mode, "coordinate_transformation_mode": coordinates}
                label = f"Resize-{mode}-{coordinates}-{scales[2]}"
                results.append(
                    one(
                        "Resize", IMAGE, None, np.array(scales, "float32"), fixed=(2,), label=label, **options
                    )
                )
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        options = {
            "nearest_mode": rounding,
            "coordinate_transformation_mode": "half_pixel",
            "label": f"Resize-{rounding}",
        }
        results.append(
            one("Resize", IMAGE, None, np.array([1, 1, 1.5, 0.6], "float32"), fixed=(2,), **options)
        )
    return results


def windows() -> list[Case]:
    w, b = floats(6, 3, 3, 3, seed=1), floats(6, seed=2)
    pool = {"kernel_shape": [3, 2], "strides": [2, 2]}
    results = [
        one("Conv", IMAGE, w, b, fixed=(1, 2)),
        one("Conv", IMAGE, w, fixed=(1,), pads=[1, 0, 2, 1], strides=[2, 1]),
        one("Conv", IMAGE, w, fixed=(1,), auto_pad="SAME_UPPER", strides=[2, 2]),
        one("Conv", IMAGE, w, fixed=(1,), auto_pad="SAME_LOWER", strides=[2, 2]),
        one("Conv", IMAGE, w, fixed=(1,), dilations=[2, 2], pads=[2, 2, 2, 2]),
        one("Conv", IMAGE, floats(6, 1, 3, 3), b, fixed=(1, 2), group=3),
        one("Conv", floats(2, 4, 9), floats(6, 2, 3), b, fixed=(1, 2), group=2),
        one("Conv", floats(1, 2, 4, 5, 4), floats(3, 2, 2, 2, 2), fixed=(1,)),
        one("ConvTranspose", IMAGE, floats(3, 4, 3, 3), floats(4), fixed=(1, 2)),
        one(
            "ConvTranspose",
            IMAGE,
            floats(3, 4, 3, 3),
            fixed=(1,),
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            output_padding=[1, 1],
        ),
        one("ConvTranspose", floats(2, 4, 5, 5), floats(4, 3, 2, 2), fixed=(1,), group=2, strides=[2, 2]),
        one("ConvTranspose", IMAGE, floats(3, 4, 3, 3), fixed=(1,), strides=[2, 2], dilations=[2, 1]),
        one("ConvTranspose", IMAGE, floats(3, 4, 3, 3), fixed=(1,), strides=[2, 2], auto_pad="SAME_UPPER"),
        one("ConvTranspose", IMAGE, floats(3, 4, 3, 3), fixed=(1,), strides=[2, 2], output_shape=[16, 14]),
        one("ConvTranspose", floats(2, 4, 5), floats(4, 3, 4), fixed=(1,), strides=[3]),
        one("MaxPool", IMAGE, **pool),
        one("MaxPool", IMAGE, pads=[1, 0, 1, 1], **pool),
        one("MaxPool", IMAGE, ceil_mode=1, **pool),
        one("MaxPool", IMAGE, dilations=[2, 2], **pool),
        one("MaxPool", IMAGE, auto_pad="SAME_UPPER", **pool),
        one("MaxPool", X, kernel_shape=[2]),
        one("AveragePool", IMAGE, **pool),
        one("AveragePool", IMAGE, pads=[1, 0, 1, 1], **pool),
        one("AveragePool", IMAGE, pads=[1, 0, 1, 1], count_include_pad=1, **pool),
        one("AveragePool", IMAGE, ceil_mode=1, **pool),
        one("AveragePool", IMAGE, ceil_mode=1, pads=[1, 1, 1, 1], count_include_pad=1, **pool),
        one("AveragePool", IMAGE, dilations=[2, 2], pads=[1, 0, 1, 1], **pool),
        one("AveragePool", IMAGE, auto_pad="SAME_LOWER", **pool),
        one("GlobalAveragePool", IMAGE),
        one("GlobalMaxPool", IMAGE),
        one("GlobalAveragePool", X),
        one("LRN", IMAGE, size=3),
        one("LRN", IMAGE, size=5, alpha=0.1, beta=0.5, bias=2.0),
        one("InstanceNormalization", IMAGE, floats(3), floats(3, seed=1), fixed=(1, 2)),
        one("InstanceNormalization", X, floats(3), floats(3, seed=1), fixed=(1, 2), epsilon=0.1),
        one("LayerNormalization", X, floats(4), floats(4, seed=1), fixed=(1, 2)),
        one("LayerNormalization", X, floats(3, 4), fixed=(1,), axis=1, epsilon=0.1),
        one(
            "GroupNormalization", floats(2, 4, 3, 3), floats(4), floats(4, seed=1), fixed=(1, 2), num_groups=2
        ),
        one("MeanVarianceNormalization", IMAGE),
    ]
    variance = np.abs(floats(3, seed=4)) + 0.5
    for x in (IMAGE, X, floats(5, 3)):
        for opset in (8, 14):
            vectors = (floats(3), floats(3, seed=1), floats(3, seed=2), variance)
            results.append(
                one("BatchNormalization", x, *vectors, fixed=(1, 2, 3, 4), opset=opset, epsilon=0.01)
            )
    return results


def products() -> list[Case]:
    a, b = floats(3, 4), floats(4, 5, seed=1)
    return [
        one("MatMul", a, b, fixed=(1,)),
        one("MatMul", X, b),
        one("MatMul", floats(2, 1, 3, 4), floats(5, 4, 2, seed=1)),
        one("MatMul", floats(4), b),
        one("MatMul", X, floats(4)),
        one("Gemm", a, b),
        one("Gemm", a, b, floats(5, seed=2), fixed=(1, 2)),
        one("Gemm", a.T.copy(), b.T.copy(), floats(3, 1), transA=1, transB=1, alpha=0.5, beta=2.0),
        one("Einsum", X, floats(2, 4, 5), equation="bij,bjk->bik"),
        one("Einsum", X, equation="bij->bji"),
        one("Einsum", X, X, equation="bij, bij -> b"),
        one("Einsum", X, floats(4, 5), equation="...j,jk->...k"),
    ]


def recurrent() -> list[Case]:
    results = []
    steps, batch, size, units = 5, 3, 2, 4
    x = floats(steps, batch, size)
    for op, gates, states in (("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)):
        for direction in ("forward", "reverse", "bidirectional"):
            d = 1 + (direction == "bidirectional")
            w, r = floats(d, gates * units, size, seed=1), floats(d, gates * units, units, seed=2)
            b, h = (
                floats(d, 2 * gates * units, seed=3),
                [floats(d, batch, units, seed=4 + i) for i in range(states)],
            )
            options: dict[str, Any] = {"direction": direction, "hidden_size": units, "outputs": 1 + states}
            results.append(one(op, x, w, r, b, fixed=(1, 2, 3), **options))
            lengths = np.array([5, 2, 3], "int32")
            results.append(
                one(
                    op,
                    x,
                    w,
                    r,
                    b,
                    lengths,
                    *h,
                    fixed=(1, 2, 3, 4),
                    label=f"{op}-{direction}-lengths",
                    **options,
                )
            )
            results.append(
                one(op, x, w, r, None, None, *h, fixed=(1, 2), label=f"{op}-{direction}-first", **options)
            )
            if op == "GRU":
                results.append(one(op, x, w, r, b, fixed=(1, 2, 3), linear_before_reset=1, **options))
    w, r = floats(1, 4, 2, seed=1), floats(1, 4, 4, seed=2)
    results.append(one("RNN", x, w, r, fixed=(1, 2), hidden_size=4, activations=["Relu"], outputs=2))
    return results


def cases() -> list[Case]:
    """All of them, with labels that differ."""
    seen: dict[str, int] = {}
    results = []
    for case in [*elementwise(), *reducing(), *shaping(), *resizing(), *windows(), *products(), *recurrent()]:
        number = seen[case.label] = seen.get(case.label, 0) + 1
        results.append(case._replace(label=f"{case.label}#{number}") if number > 1 else case)
    return results
