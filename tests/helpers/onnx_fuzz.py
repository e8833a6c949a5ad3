"""Random legal uses of ONNX's operators: attributes, shapes, dtypes and versions, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Use(NamedTuple):
    """A node; inputs are None where they are left out, and `fixed` ones are arrays of the file."""

    op: str
    inputs: list[Any]
    fixed: tuple[int, ...] = ()
    attributes: dict[str, Any] = {}  # noqa: RUF012
    outputs: int = 1
    opset: int = 21


class Draw:
    """Random choices of a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one_of(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, included."""
        return int(self.rng.integers(low, high + 1))

    def integers(self, count: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(count)]

    def number(self, low: float = 0.1, high: float = 2.0) -> float:
        return round(float(self.rng.uniform(low, high)), 3)

    def shape(self, low: int = 1, high: int = 4, most: int = 5) -> tuple[int, ...]:
        return tuple(self.integers(self.integer(low, high), 1, most))

    def floats(self, *shape: int, dtype: str = "float32") -> np.ndarray:
        return np.asarray(self.rng.standard_normal(shape)).astype(dtype)

    def whole(self, low: int, high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
        """Integers from `low` up to `high`, excluded."""
        return self.rng.integers(low, high, shape).astype(dtype)

    def broadcasting(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to another."""
        cut = shape[self.integer(0, len(shape)) :]
        return tuple(1 if self.chance(0.3) else n for n in cut)

    def some(self, **attributes: Any) -> dict[str, Any]:
        """Some of the attributes; the others are left at their defaults."""
        return {name: x for name, x in attributes.items() if self.chance(0.6)}


Recipe = Callable[[Draw], Use]
RECIPES: dict[str, Recipe] = {}


def recipe(names: str) -> Callable[[Callable[[Draw, str], Use]], Callable[[Draw, str], Use]]:
    """Register how operators, separated by spaces, are used."""

    def register(make: Callable[[Draw, str], Use]) -> Callable[[Draw, str], Use]:
        for name in names.split():
            RECIPES[name] = lambda draw, name=name: make(draw, name)
        return make

    return register


# -- elementwise ---------------------------------------------------------------------------------------------


def _domain(op: str, x: np.ndarray) -> np.ndarray:
    """Numbers for which a function is defined."""
    if op in ("Acos", "Asin", "Atanh"):
        return np.tanh(x)
    return np.abs(x) + 1.1 if op in ("Acosh", "Log", "Sqrt") else x


@recipe(
    "Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish IsInf "
    "IsNaN LeakyRelu Log Mish Reciprocal Round Selu Shrink Sigmoid Sin Sinh Softplus Softsign Sqrt Swish Tan "
    "Tanh ThresholdedRelu"
)
def function(draw: Draw, op: str) -> Use:
    attributes: dict[str, Any] = {
        **{
            name: {"alpha": draw.number()}
            for name in ["Celu", "Elu", "LeakyRelu", "Swish", "ThresholdedRelu"]
        },
        "HardSigmoid": {"alpha": draw.number(), "beta": draw.number()},
        "Selu": {"alpha": draw.number(), "gamma": draw.number()},
        "Shrink": {"lambd": draw.number(), "bias": draw.number()},
        "Gelu": {"approximate": draw.one_of("none", "tanh")},
        "IsInf": {"detect_negative": draw.integer(0, 1), "detect_positive": draw.integer(0, 1)},
    }
    opset = {"Gelu": 20, "HardSwish": 14, "Mish": 18, "Swish": 24}.get(op, draw.one_of(11, 13, 21))
    x = _domain(op, draw.floats(*draw.shape(0)) * 3).astype("float32")
    return Use(op, [x], attributes=draw.some(**attributes.get(op, {})), opset=opset)


@recipe("Abs BitwiseNot Cast Clip Identity Neg Not Relu Shape Sign Size")
def of_any_dtype(draw: Draw, op: str) -> Use:
    dtype = draw.one_of("float32", "float64", "int32", "int64", "int8", "float16")
    dtype = {"BitwiseNot": "int32", "Not": "bool"}.get(op, dtype)
    x, opset = (draw.floats(*draw.shape(0)) * 3).astype(dtype), draw.one_of(13, 15, 18, 21)
    if op == "Cast":
        to = draw.one_of(1, 2, 3, 6, 7, 9, 10, 11)
        return Use(op, [np.abs(x) if to == 2 else x], attributes={"to": to}, opset=opset)
    if op == "Shape" and opset >= 15:
        return Use(
            op, [x], attributes=draw.some(start=draw.integer(-5, 5), end=draw.integer(-5, 5)), opset=opset
        )
    if op == "Clip" and draw.chance(0.3):
        return Use(op, [x.astype("float32")], attributes=draw.some(min=-1.0, max=2.0), opset=7)
    bounds = [draw.one_of(np.asarray(v, x.dtype), None) for v in (-1, 2)] if op == "Clip" else []
    return Use(op, [x, *bounds], opset=18 if op == "BitwiseNot" else opset)


@recipe("Det EyeLike Flatten Hardmax LogSoftmax LpNormalization MeanVarianceNormalization Softmax")
def of_axes(draw: Draw, op: str) -> Use:
    shape, opset = draw.shape(1), draw.one_of(9, 11, 13, 21)
    rank = len(shape)
    if op == "Det":
        n = draw.integer(1, 4)
        return Use(op, [draw.floats(*draw.shape(0, 1), n, n)], opset=11)
    if op == "EyeLike":
        attributes = draw.some(k=draw.integer(-3, 3), dtype=draw.one_of(1, 7, 6))
        return Use(op, [draw.floats(*draw.integers(2, 1, 5))], attributes=attributes, opset=9)
    if op == "Flatten":
        axis = draw.integer(0 if opset < 11 else -rank, rank)
        return Use(op, [draw.floats(*shape)], attributes=draw.some(axis=axis), opset=opset)
    if op == "MeanVarianceNormalization":  # axes of size 1 vary by rounding alone
        axes = sorted({draw.integer(0, 3) for _ in range(2)})
        return Use(op, [draw.floats(2, 3, 4, 2)], attributes=draw.some(axes=axes), opset=opset)
    axis = draw.integer(0 if opset < 11 else -rank, rank - 1)
    attributes = draw.some(axis=axis, **({"p": draw.integer(1, 2)} if op == "LpNormalization" else {}))
    return Use(op, [draw.floats(*shape)], attributes=attributes, opset=opset)


@recipe(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor CastLike Div Equal Greater GreaterOrEqual Less "
    "LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)
def binary(draw: Draw, op: str) -> Use:
    shape = draw.shape(0)
    shapes = [shape, draw.broadcasting(shape)]
    if op != "PRelu" and draw.chance(0.3):
        shapes.reverse()
    dtype = draw.one_of("float32", "float64", "int32", "int64")
    if op in ("And", "Or", "Xor"):
        return Use(op, [draw.whole(0, 2, *s, dtype="bool") for s in shapes], opset=draw.one_of(7, 13))
    if op.startswith("Bitwise"):
        return Use(op, [draw.whole(0, 99, *s, dtype="int32") for s in shapes], opset=18)
    if op == "BitShift":
        dtype = draw.one_of("uint8", "uint32", "uint64")
        inputs = [draw.whole(0, 200, *shapes[0], dtype=dtype), draw.whole(0, 7, *shapes[1], dtype=dtype)]
        return Use(op, inputs, attributes={"direction": draw.one_of("LEFT", "RIGHT")}, opset=11)
    if op == "Where":
        values = [draw.floats(*s).astype(dtype) for s in (shape, draw.broadcasting(shape))]
        return Use(op, [draw.whole(0, 2, *draw.broadcasting(shape), dtype="bool"), *values], opset=16)
    if op in ("Max", "Min", "Mean", "Sum"):
        dtype = dtype if op in ("Max", "Min") else "float32"
        return Use(op, [(draw.floats(*s) * 9).astype(dtype) for s in shapes], opset=13)
    if op == "Pow":
        kind = draw.one_of("float32", "int64", "int32")
        base = np.abs(draw.floats(*shapes[0])) * 3 + 1
        return Use(op, [base.astype(dtype), draw.whole(0, 4, *shapes[1]).astype(kind)], opset=15)
    if op == "Mod":
        x, y = draw.whole(-9, 9, *shapes[0]).astype(dtype), (draw.whole(1, 5, *shapes[1])).astype(dtype)
        y = y * draw.one_of(1, -1)
        return Use(op, [x, y], attributes={"fmod": 1} if "float" in dtype or draw.chance() else {}, opset=13)
    if op == "CastLike":
        other = draw.one_of("float32", "int32", "int64", "float64")
        return Use(op, [draw.floats(*shape), draw.floats(2).astype(other)], opset=15)
    if op == "PRelu":
        return Use(op, [draw.floats(*s) for s in shapes], opset=draw.one_of(9, 16))
    x, y = (draw.floats(*shapes[0]) * 9).astype(dtype), (draw.floats(*shapes[1]) * 9).astype(dtype)
    if op == "Div" and "int" in dtype:
        y = np.where(y == 0, 3, y).astype(dtype)
    return Use(op, [x, y], opset=draw.one_of(9, 13, 16) if "Or" not in op else 16)


@recipe(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
)
def reduction(draw: Draw, op: str) -> Use:
    shape = draw.shape(1)
    x, opset, rank = np.abs(draw.floats(*shape)) + 0.1, draw.one_of(9, 11, 13, 18, 20), len(shape)
    count = draw.integer(0, rank)
    axes = [
        int(a) - (rank if opset >= 11 and draw.chance() else 0) for a in draw.rng.permutation(rank)[:count]
    ]
    attributes = draw.some(keepdims=draw.integer(0, 1))
    dtype = draw.one_of("float32", "int32") if op in ("ReduceSum", "ReduceMax", "ReduceMin") else "float32"
    x = (x * 5).astype(dtype)
    if opset < (13 if op == "ReduceSum" else 18):
        return Use(op, [x], attributes=attributes | ({"axes": axes} if axes else {}), opset=opset)
    attributes |= draw.some(noop_with_empty_axes=draw.integer(0, 1))
    inputs = [x, None if draw.chance(0.2) else np.array(axes, "int64")]
    return Use(op, inputs, (1,) if inputs[1] is not None else (), attributes, opset=opset)


@recipe("ArgMax ArgMin CumSum CumProd TopK OneHot")
def along_an_axis(draw: Draw, op: str) -> Use:
    shape = draw.shape(1)
    rank = len(shape)
    x = draw.one_of(draw.floats(*shape), draw.whole(-2, 3, *shape, dtype="int32"))
    axis = draw.integer(-rank, rank - 1)
    if op in ("ArgMax", "ArgMin"):
        attributes = draw.some(axis=axis, keepdims=draw.integer(0, 1), select_last_index=draw.integer(0, 1))
        return Use(op, [x], attributes=attributes, opset=13)
    if op in ("CumSum", "CumProd"):
        attributes = draw.some(exclusive=draw.integer(0, 1), reverse=draw.integer(0, 1))
        return Use(op, [x, np.array(axis, "int64")], (1,), attributes, opset=14 if op == "CumSum" else 26)
    if op == "TopK":
        values = draw.rng.permutation(int(np.prod(shape))).reshape(shape).astype("float32")
        count = np.array([draw.integer(1, shape[axis])], "int64")
        attributes = {"axis": axis, **draw.some(largest=draw.integer(0, 1)), "sorted": 1}
        return Use(op, [values, count], (1,), attributes, 2, 11)
    indices = draw.whole(-6, 6, *shape)
    pair = draw.one_of(np.float32([0, 1]), np.int64([3, -2]))
    depth = np.array(draw.integer(1, 6), "int64")
    return Use(op, [indices, depth, pair], (1, 2), draw.some(axis=draw.integer(-rank - 1, rank)), opset=11)


# -- windows -------------------------------------------------------------------------------------------------


def _windows(draw: Draw, rank: int, pads: bool = True, dilations: bool = True) -> dict[str, Any]:
    auto = draw.one_of("NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    attributes = draw.some(strides=draw.integers(rank, 1, 3))
    if dilations:
        attributes |= draw.some(dilations=draw.integers(rank, 1, 2))
    if auto != "NOTSET":
        return attributes | {"auto_pad": auto}
    return attributes | (draw.some(pads=draw.integers(2 * rank, 0, 1)) if pads else {})


@recipe("Conv ConvTranspose ConvInteger QLinearConv")
def convolution(draw: Draw, op: str) -> Use:
    rank, groups = draw.integer(1, 3) if op[:4] == "Conv" and op[:5] != "ConvI" else 2, draw.one_of(1, 1, 2)
    channels, filters = groups * draw.integer(1, 2), groups * draw.integer(1, 2)
    sizes, kernel = draw.integers(rank, 6, 9), draw.integers(rank, 1, 3)
    attributes = _windows(draw, rank) | ({"group": groups} if groups > 1 or draw.chance() else {})
    attributes |= draw.some(kernel_shape=kernel)
    x_shape, w_shape = (2, channels, *sizes), (filters, channels // groups, *kernel)
    if op == "ConvTranspose":
        if attributes.get("auto_pad", "").startswith("SAME"):
            attributes.pop("strides", None)  # ONNX Runtime makes less than strides times the size
        w_shape = (channels, filters // groups, *kernel)
        strides = attributes.get("strides", [1] * rank)
        if draw.chance(0.4):
            attributes["output_padding"] = [draw.integer(0, max(0, s - 1)) for s in strides]
        if draw.chance(0.2):
            dilations = attributes.get("dilations", [1] * rank)
            full = [
                (n - 1) * s + (k - 1) * d + 1
                for n, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)
            ]
            attributes["output_shape"] = [n - draw.integer(0, 1) for n in full]
            attributes.pop("output_padding", None)
            attributes.pop("pads", None)
    if op in ("Conv", "ConvTranspose"):
        inputs = [
            draw.floats(*x_shape),
            draw.floats(*w_shape),
            *([draw.floats(filters)] if draw.chance() else []),
        ]
        return Use(op, inputs, draw.one_of((), (1,)), attributes, opset=draw.one_of(11, 22))
    x, w = draw.whole(0, 256, *x_shape, dtype="uint8"), draw.whole(0, 256, *w_shape, dtype="uint8")
    if op == "ConvInteger":
        inputs = [x, w, np.uint8(draw.integer(0, 255)), np.uint8(draw.integer(0, 255))][: draw.integer(2, 4)]
        return Use(op, inputs, tuple(range(1, len(inputs))), attributes, opset=10)
    scales = np.float32(0.1), np.float32(0.2), np.float32(2.0)
    zeros = [np.uint8(draw.integer(100, 150)) for _ in range(3)]
    inputs = [x, scales[0], zeros[0], w, scales[1], zeros[1], scales[2], zeros[2]]
    return Use(op, inputs, tuple(range(1, 8)), attributes, opset=10)


@recipe("AveragePool LpPool MaxPool GlobalAveragePool GlobalLpPool GlobalMaxPool")
def pool(draw: Draw, op: str) -> Use:
    rank = draw.integer(1, 3)
    x = draw.floats(2, draw.integer(1, 3), *draw.integers(rank, 6, 9))
    if op.startswith("Global"):
        return Use(
            op, [x], attributes=draw.some(p=draw.integer(1, 3)) if op == "GlobalLpPool" else {}, opset=11
        )
    opset = draw.one_of(11, 22) if op == "MaxPool" else draw.one_of(19, 22)
    attributes = {"kernel_shape": draw.integers(rank, 2, 3)} | _windows(draw, rank)
    if attributes.get("auto_pad", "").startswith("SAME"):
        attributes.pop("dilations", None)  # ONNX Runtime leaves them out of account there
    attributes |= draw.some(ceil_mode=draw.integer(0, 1))
    outputs = 1
    if op == "AveragePool":
        attributes |= draw.some(count_include_pad=draw.integer(0, 1))
    if op == "LpPool":
        attributes |= draw.some(p=draw.integer(1, 3))
    if op == "MaxPool":
        if rank == 2 and draw.chance(0.2):
            x = draw.whole(-99, 99, *x.shape, dtype="int8")
            opset = 12
        elif draw.chance(0.4):
            outputs = 2
            attributes |= draw.some(storage_order=draw.integer(0, 1)) if rank > 1 else {}
    return Use(op, [x], attributes=attributes, outputs=outputs, opset=opset)


@recipe("BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization RMSNormalization")
def normalization(draw: Draw, op: str) -> Use:
    channels = 4
    x = draw.floats(2, channels, *draw.integers(draw.integer(1, 3), 2, 5))
    vectors = [draw.floats(channels) for _ in range(3)] + [np.abs(draw.floats(channels)) + 0.1]
    epsilon = draw.some(epsilon=draw.number(1e-4, 0.1))
    if op == "BatchNormalization":
        return Use(op, [x, *vectors], (1, 2, 3, 4), epsilon, opset=draw.one_of(9, 15))
    if op == "InstanceNormalization":
        return Use(op, [x, *vectors[:2]], (1, 2), epsilon, opset=6)
    if op == "GroupNormalization":
        return Use(op, [x, *vectors[:2]], (1, 2), epsilon | {"num_groups": draw.one_of(1, 2, 4)}, opset=21)
    if op == "LRN":
        attributes = draw.some(alpha=draw.number(), beta=draw.number(), bias=draw.number(1, 2))
        return Use(op, [x], attributes=attributes | {"size": draw.one_of(1, 3, 5)}, opset=13)
    axis = draw.integer(-x.ndim, x.ndim - 1)
    scale = draw.floats(*x.shape[axis:])
    if op == "RMSNormalization":
        return Use(op, [x, scale], (1,), epsilon | {"axis": axis}, opset=23)
    bias = [draw.floats(*x.shape[axis:])] if draw.chance() else []
    outputs = draw.one_of(1, 3)
    return Use(op, [x, scale, *bias], (1,), epsilon | {"axis": axis}, outputs, 17)


@recipe("Resize Upsample GridSample")
def sampling(draw: Draw, op: str) -> Use:
    rank = draw.integer(1, 2) if op != "GridSample" else 2
    x = draw.floats(1, 2, *draw.integers(rank, 3, 7))
    if op == "GridSample":
        attributes = draw.some(
            mode=draw.one_of("linear", "nearest", "cubic"), align_corners=draw.integer(0, 1),
            padding_mode=draw.one_of("zeros", "border", "reflection"),
        )  # fmt: skip
        return Use(op, [x, draw.floats(1, 3, 4, 2)], attributes=attributes, opset=20)
    factors = np.float32([1, 1, *(draw.one_of(0.5, 0.6, 1, 1.5, 2, 3) for _ in range(rank))])
    if op == "Upsample":
        attributes = {"mode": draw.one_of("nearest", "linear")}
        return Use(op, [x, np.maximum(factors, 1)], (1,), attributes, opset=9)
    opset = draw.one_of(11, 13, 18, 19)
    modes = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize"]
    mode = draw.one_of("nearest", "linear", "cubic")
    attributes: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": draw.one_of(*modes, *["half_pixel_symmetric"] * (opset > 18)),
        **draw.some(nearest_mode=draw.one_of("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    }  # fmt: skip
    if mode == "cubic":
        attributes |= draw.some(cubic_coeff_a=draw.one_of(-0.5, -0.75), exclude_outside=draw.integer(0, 1))
    roi = None
    if attributes["coordinate_transformation_mode"] == "tf_crop_and_resize":
        roi = np.float32([0, 0, *[0.1] * rank, 1, 1, *[draw.one_of(0.7, 1.17)] * rank])
        attributes |= draw.some(extrapolation_value=draw.number())
    elif opset >= 18 and mode != "nearest":
        attributes |= draw.some(antialias=draw.integer(0, 1))
    if draw.chance():
        return Use(
            op,
            [x, roi, factors],
            tuple(i for i in (1, 2) if i == 2 or roi is not None),
            attributes,
            opset=opset,
        )
    sizes = np.array([1, 2, *draw.integers(rank, 2, 9)], "int64")
    if opset >= 18 and roi is None and draw.chance(0.3):
        attributes |= {"keep_aspect_ratio_policy": draw.one_of("stretch", "not_larger", "not_smaller")}
        attributes["axes"] = list(range(2, 2 + rank))
        sizes = sizes[2:]
    return Use(op, [x, roi, None, sizes], (3,) if roi is None else (1, 3), attributes, opset=opset)


# -- moving --------------------------------------------------------------------------------------------------


@recipe("Concat DepthToSpace Expand Range Reshape SpaceToDepth Squeeze Tile Transpose Trilu Unsqueeze")
def moving(draw: Draw, op: str) -> Use:
    shape = draw.shape(1)
    rank = len(shape)
    x = draw.one_of(draw.floats(*shape), draw.whole(-9, 9, *shape), draw.whole(0, 2, *shape, dtype="bool"))
    axis = draw.integer(-rank, rank - 1)
    if op == "Concat":
        parts = []
        for _ in range(draw.integer(1, 3)):
            sizes = list(shape)
            sizes[axis] = draw.integer(1, 4)
            parts.append(draw.floats(*sizes))
        return Use(op, parts, attributes={"axis": axis}, opset=13)
    if op in ("DepthToSpace", "SpaceToDepth"):
        b, n, h, w = draw.integer(1, 3), 2, 2, 3
        shape = (n, b * b * 2, h, w) if op == "DepthToSpace" else (n, 2, b * h, b * w)
        attributes = {"blocksize": b} | (
            draw.some(mode=draw.one_of("DCR", "CRD")) if op == "DepthToSpace" else {}
        )
        return Use(op, [draw.floats(*shape)], attributes=attributes, opset=13)
    if op == "Expand":
        small = draw.broadcasting(shape)
        return Use(op, [draw.floats(*small), np.array(shape, "int64")], (1,), opset=13)
    if op == "Reshape":
        target = draw.one_of([-1], [0, -1], [1, -1], list(shape[::-1]), [*shape[:-1], -1], [*shape, 1])
        return Use(op, [x, np.array(target, "int64")], (1,), draw.some(allowzero=0), opset=14)
    if op == "Squeeze":
        sizes, axes = list(shape), sorted({draw.integer(0, rank - 1) for _ in range(2)})
        for a in axes:
            sizes[a] = 1
        return Use(op, [draw.floats(*sizes), np.array(axes, "int64")], (1,), opset=13)
    if op == "Unsqueeze":
        axes = sorted({draw.integer(0, rank) for _ in range(2)})
        axes = [a for a in axes if a < rank + len(axes)]
        return Use(op, [x, np.array(axes[::-1] if draw.chance() else axes, "int64")], (1,), opset=13)
    if op == "Tile":
        return Use(
            op, [x, np.array(draw.integers(rank, 0 if draw.chance(0.1) else 1, 3), "int64")], (1,), opset=13
        )
    if op == "Transpose":
        return Use(op, [x], attributes=draw.some(perm=[int(a) for a in draw.rng.permutation(rank)]), opset=13)
    if op == "Trilu":
        shape = draw.shape(2)
        inputs = [draw.floats(*shape), *([np.array(draw.integer(-4, 4), "int64")] if draw.chance() else [])]
        return Use(op, inputs, (1,) if len(inputs) > 1 else (), draw.some(upper=draw.integer(0, 1)), opset=14)
    dtype = draw.one_of("float32", "int64", "int32")
    numbers = [
        np.array(v, dtype) for v in (draw.integer(-5, 5), draw.integer(-5, 5), draw.one_of(1, 2, -1, -2))
    ]
    return Use(op, numbers, (0, 1, 2), opset=11)


@recipe("Pad Slice Split")
def cutting(draw: Draw, op: str) -> Use:
    shape = draw.shape(1)
    rank = len(shape)
    x, axis = draw.floats(*shape), draw.integer(-rank, rank - 1)
    if op == "Pad":
        mode = draw.one_of("constant", "reflect", "edge", "wrap")
        limit = 2 if mode == "constant" else 0
        shape = tuple(n + 2 for n in shape)
        axes = sorted({draw.integer(0, rank - 1) for _ in range(rank)})
        widths = draw.integers(2 * len(axes), -1 if mode == "constant" else 0, 2 if limit else 1)
        value = [np.float32(draw.number())] if mode == "constant" and draw.chance() else [None]
        inputs = [draw.floats(*shape), np.array(widths, "int64"), *value, np.array(axes, "int64")]
        return Use(op, inputs, tuple(i for i in (1, 2, 3) if inputs[i] is not None), {"mode": mode}, opset=19)
    if op == "Slice":
        axes = [int(a) for a in draw.rng.permutation(rank)[: draw.integer(1, rank)]]
        starts, ends = draw.integers(len(axes), -7, 7), [draw.one_of(-9, -2, 0, 2, 5, 1 << 40) for _ in axes]
        steps = [draw.one_of(1, 1, 2, -1, -2) for _ in axes]
        axes = [a - draw.one_of(0, rank) for a in axes]
        return Use(
            op, [x, *(np.array(v, "int64") for v in (starts, ends, axes, steps))], (1, 2, 3, 4), opset=13
        )
    size = shape[axis]
    if draw.chance() and size > 1:
        cut = draw.integer(1, size - 1)
        return Use(op, [x, np.array([cut, size - cut], "int64")], (1,), {"axis": axis}, 2, 13)
    count = draw.integer(1, size)
    if -(-size // count) * (count - 1) > size:
        count = 1
    return Use(op, [x], attributes={"axis": axis, "num_outputs": count}, outputs=count, opset=18)


@recipe("Gather GatherElements GatherND Scatter ScatterElements ScatterND Compress ReverseSequence")
def indexing(draw: Draw, op: str) -> Use:
    shape = draw.shape(2 if op == "ReverseSequence" else 1)
    rank = len(shape)
    x, axis = draw.floats(*shape), draw.integer(-rank, rank - 1)
    size = shape[axis]
    if op == "Gather":
        return Use(
            op,
            [x, draw.whole(-size, size, *draw.shape(0, 2))],
            draw.one_of((), (1,)),
            {"axis": axis},
            opset=13,
        )
    if op == "Compress":
        flags = draw.whole(0, 2, draw.integer(1, size), dtype="bool")
        if draw.chance(0.3):
            return Use(op, [x, flags], (1,), opset=11)
        return Use(op, [x, flags], (1,), {"axis": axis}, opset=11)
    if op == "ReverseSequence":
        time = draw.integer(0, 1)
        lengths = draw.whole(1, shape[time] + 1, shape[1 - time])
        return Use(op, [x, lengths], attributes={"time_axis": time, "batch_axis": 1 - time}, opset=10)
    if op.endswith("ND"):
        depth = draw.integer(1, rank)
        batch = draw.integer(0, 1) if op == "GatherND" and depth < rank else 0
        first = shape[:batch]
        columns = [draw.whole(-n, n, *first, 3, 1) for n in shape[batch : batch + depth]]
        indices = np.concatenate(columns, -1)
        if op == "GatherND":
            return Use(op, [x, indices], attributes={"batch_dims": batch} if batch else {}, opset=13)
        indices = np.stack([np.full(depth, i) % np.array(shape[:depth]) for i in range(min(shape[:depth]))])
        updates = draw.floats(len(indices), *shape[depth:])
        reduction = draw.some(reduction=draw.one_of("none", "add", "mul", "max", "min"))
        return Use(op, [x, indices, updates], attributes=reduction, opset=18)
    small = tuple(draw.integer(1, n) for n in shape)
    if op == "GatherElements":
        return Use(op, [x, draw.whole(-size, size, *small)], attributes={"axis": axis}, opset=13)
    reduction = (
        draw.some(reduction=draw.one_of("none", "add", "mul", "max", "min")) if op != "Scatter" else {}
    )
    indices = np.argsort(draw.rng.random(small), axis) - draw.one_of(0, size)  # none twice
    opset = 18 if op != "Scatter" else 9
    return Use(op, [x, indices, draw.floats(*small)], attributes={"axis": axis, **reduction}, opset=opset)


# -- products, recurrent layers, quantized numbers -----------------------------------------------------------


@recipe("Einsum Gemm MatMul MatMulInteger QLinearMatMul")
def product(draw: Draw, op: str) -> Use:
    n, k, m = draw.integers(3, 1, 5)
    if op == "Gemm":
        attributes = draw.some(
            alpha=draw.number(), beta=draw.number(), transA=draw.integer(0, 1), transB=draw.integer(0, 1)
        )
        a = draw.floats(*((k, n) if attributes.get("transA") else (n, k)))
        b = draw.floats(*((m, k) if attributes.get("transB") else (k, m)))
        c = draw.one_of(None, draw.floats(m), draw.floats(n, 1), draw.floats(n, m), draw.floats())
        return Use(op, [a, b, c], draw.one_of((), (1,)), attributes, opset=13)
    if op == "Einsum":
        text, *shapes = draw.one_of(
            ("ij,jk->ik", (n, k), (k, m)), ("bij,bkj->bik", (2, n, k), (2, m, k)), ("ij->ji", (n, k)),
            ("ii->i", (n, n)),
            ("ij->", (n, k)), ("...ij,...jk->...ik", (2, n, k), (2, k, m)), ("i,j->ij", (n,), (m,)),
            ("ij,jk", (n, k), (k, m)),
            (" i j , j -> i ", (n, k), (k,)), ("ij,jk,kl->il", (n, k), (k, m), (m, n)),
        )  # fmt: skip
        return Use(op, [draw.floats(*s) for s in shapes], attributes={"equation": text}, opset=12)
    lead = draw.shape(0, 2, 3)
    shapes = draw.one_of(
        ((*lead, n, k), (*lead, k, m)),
        ((*lead, n, k), (k, m)),
        ((n, k), (*lead, k, m)),
        ((k,), (k, m)),
        ((n, k), (k,)),
    )
    if op == "MatMul":
        return Use(op, [draw.floats(*s) for s in shapes], draw.one_of((), (1,)), opset=13)
    shapes = ((*lead, n, k), (k, m))
    a, b = (draw.whole(0, 256, *s, dtype="uint8") for s in shapes)
    if op == "MatMulInteger":
        zeros = [np.uint8(draw.integer(0, 255)), draw.one_of(np.uint8(3), draw.whole(0, 9, m, dtype="uint8"))]
        inputs = [a, b, *zeros[: draw.integer(0, 2)]]
        return Use(op, inputs, tuple(range(1, len(inputs))), opset=10)
    scale, zero = np.float32(0.1), np.uint8(draw.integer(90, 150))
    return Use(op, [a, scale, zero, b, scale, zero, np.float32(1.5), zero], tuple(range(1, 8)), opset=10)


@recipe("GRU LSTM RNN")
def recurrent(draw: Draw, op: str) -> Use:
    gates, steps, batch, size, units = {"GRU": 3, "LSTM": 4, "RNN": 1}[op], 3, 2, 2, draw.integer(1, 3)
    direction = draw.one_of("forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    attributes: dict[str, Any] = {
        "hidden_size": units,
        **({"direction": direction} if direction != "forward" else {}),
    }
    attributes |= draw.some(clip=draw.number(0.3, 2)) if draw.chance(0.2) else {}
    names = [
        "Sigmoid",
        "Tanh",
        "Relu",
        "HardSigmoid",
        "Elu",
        "LeakyRelu",
        "Softsign",
        "Softplus",
        "ThresholdedRelu",
    ]
    if draw.chance(0.3):
        each = {"GRU": 2, "LSTM": 3, "RNN": 1}[op]
        attributes["activations"] = [draw.one_of(*names) for _ in range(each)] * count
    if op == "GRU":
        attributes |= draw.some(linear_before_reset=draw.integer(0, 1))
    if op == "LSTM" and draw.chance(0.1):
        attributes["input_forget"] = 1
    if op != "RNN" and draw.chance(0.2):
        attributes["layout"] = 0
    inputs = [
        draw.floats(steps, batch, size), draw.floats(count, gates * units, size),
        draw.floats(count, gates * units, units),
        draw.floats(count, 2 * gates * units) if draw.chance() else None,
        draw.whole(1, steps + 1, batch, dtype="int32") if draw.chance(0.4) else None,
        draw.floats(count, batch, units) if draw.chance(0.4) else None,
    ]  # fmt: skip
    if op == "LSTM":
        inputs.append(draw.floats(count, batch, units) if draw.chance(0.4) else None)
        inputs.append(draw.floats(count, 3 * units) if draw.chance(0.3) else None)
    return Use(op, inputs, (1, 2), attributes, 3 if op == "LSTM" else 2, 14)


@recipe("DFT STFT")
def spectrum(draw: Draw, op: str) -> Use:
    parts = draw.integer(1, 2)
    if op == "STFT":
        size, hop, x = draw.integer(2, 6), draw.integer(1, 4), draw.floats(2, 13, 1)
        window, length = draw.one_of((draw.floats(size), None), (None, size), (draw.floats(size), size))
        inputs = [x, np.array(hop), window, None if length is None else np.array(length)]
        fixed = tuple(i for i in (1, 2, 3) if inputs[i] is not None)
        return Use(op, inputs, fixed, draw.some(onesided=draw.integer(0, 1)), opset=17)
    shape, opset = draw.shape(2, 4), draw.one_of(17, 20)
    axis = draw.integer(0, len(shape) - 1) if draw.chance() else -2
    attributes = draw.some(inverse=1) if parts == 2 else draw.some(onesided=1)
    length = np.array(draw.integer(1, 6), "int64") if draw.chance() else None
    inputs = [draw.floats(*shape, parts), length]
    if opset == 17:
        attributes |= draw.some(axis=axis)
        axis = attributes.get("axis", 1)
    else:
        inputs.append(np.array(axis, "int64"))
    fixed = tuple(i for i in range(1, len(inputs)) if inputs[i] is not None)
    return Use(op, inputs, fixed, attributes, opset=opset)


@recipe("DequantizeLinear DynamicQuantizeLinear QuantizeLinear")
def quantized(draw: Draw, op: str) -> Use:
    shape = draw.shape(2, 3)
    if op == "DynamicQuantizeLinear":
        return Use(op, [draw.floats(*shape) * 3 + draw.number(-3, 3)], outputs=3, opset=11)
    axis = draw.integer(-len(shape), len(shape) - 1)
    dtype = draw.one_of("uint8", "int8", "uint16", "int16")
    form = draw.one_of("one", "axis", "blocks")
    attributes: dict[str, Any] = {} if form == "one" else {"axis": axis}
    sizes: tuple[int, ...] = () if form == "one" else (shape[axis],)
    if form == "blocks":
        block = draw.integer(1, shape[axis])
        attributes["block_size"] = block
        blocks = list(shape)
        blocks[axis] = -(-shape[axis] // block)
        sizes = tuple(blocks)
    scale = (np.abs(draw.floats(*sizes)) + 0.05).astype("float32")
    zero = draw.one_of(None, draw.whole(0, 50, *sizes, dtype=dtype))
    if op == "QuantizeLinear":
        x = draw.floats(*shape) * 5
        if zero is None:
            attributes |= draw.some(output_dtype=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    else:
        x = draw.whole(0, 100, *shape, dtype=dtype)
    return Use(op, [x, scale, zero], draw.one_of((), (1,)), attributes, opset=21)


# -- others --------------------------------------------------------------------------------------------------


@recipe("RoiAlign MaxUnpool NonMaxSuppression Unique NonZero AffineGrid Col2Im DeformConv CenterCropPad")
def others(draw: Draw, op: str) -> Use:
    x = draw.floats(2, 3, 7, 6)
    if op == "RoiAlign":
        corners = np.sort(draw.rng.uniform(0, 7, (4, 2, 2)), 1).reshape(4, 4).astype("float32")
        attributes = draw.some(
            mode=draw.one_of("avg", "max"), output_height=draw.integer(1, 4), output_width=draw.integer(1, 4),
            sampling_ratio=draw.integer(0, 3), spatial_scale=draw.number(0.5, 1.0),
            coordinate_transformation_mode=draw.one_of("half_pixel", "output_half_pixel"),
        )  # fmt: skip
        return Use(op, [x, corners, draw.whole(0, 2, 4)], attributes=attributes, opset=16)
    if op == "MaxUnpool":
        indices = (
            np.stack([draw.rng.permutation(4 * 4 * 4)[:12].reshape(3, 2, 2) for _ in range(1)])[:, :1] % 16
        )
        indices = np.arange(4).reshape(1, 1, 2, 2) * draw.integer(1, 3)
        return Use(
            op,
            [draw.floats(1, 1, 2, 2), indices],
            (1,),
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            opset=11,
        )
    if op == "NonMaxSuppression":
        boxes = np.sort(draw.rng.uniform(0, 1, (1, 6, 2, 2)), 2).reshape(1, 6, 4).astype("float32")
        numbers = [
            np.array([draw.integer(0, 4)]),
            np.float32([draw.number(0, 1)]),
            np.float32([draw.number(0, 1)]),
        ]
        inputs = [boxes, np.abs(draw.floats(1, 2, 6)), *numbers[: draw.integer(1, 3)]]
        attributes = draw.some(center_point_box=draw.integer(0, 1))
        return Use(op, inputs, tuple(range(len(inputs))), attributes, opset=11)
    if op == "Unique":
        values = draw.whole(0, 3, *draw.shape(1, 3)).astype("float32")
        attributes = draw.some(sorted=draw.integer(0, 1), axis=draw.integer(-values.ndim, values.ndim - 1))
        return Use(op, [values], (0,), attributes, 4, 11)
    if op == "NonZero":
        return Use(op, [draw.whole(0, 2, *draw.shape(1, 3))], (0,), opset=13)
    if op == "AffineGrid":
        sizes = draw.one_of([2, 1, 4, 3], [2, 1, 3, 4, 2])
        theta = draw.floats(2, len(sizes) - 2, len(sizes) - 1)
        return Use(op, [theta, np.array(sizes)], (1,), draw.some(align_corners=draw.integer(0, 1)), opset=20)
    if op == "Col2Im":
        image, block = draw.integers(2, 4, 6), draw.integers(2, 1, 3)
        attributes = draw.some(
            strides=draw.integers(2, 1, 2), pads=draw.integers(4, 0, 1), dilations=draw.integers(2, 1, 1)
        )
        pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
        counts = [(image[i] + pads[i] + pads[i + 2] - block[i]) // strides[i] + 1 for i in range(2)]
        x = draw.floats(2, 2 * block[0] * block[1], counts[0] * counts[1])
        return Use(op, [x, np.array(image), np.array(block)], (1, 2), attributes, opset=18)
    if op == "CenterCropPad":
        axes = draw.one_of([2, 3], [-1], [1, 2, 3])
        sizes = np.array(draw.integers(len(axes), 2, 9), "int64")
        return Use(op, [x, sizes], (1,), {"axes": axes}, opset=18)
    sets, groups, window = draw.one_of(1, 2), draw.one_of(1, 2), draw.integers(2, 1, 3)
    attributes = draw.some(pads=draw.integers(2, 0, 1) * 2, strides=draw.integers(2, 1, 2))
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    counts = [((7, 6)[i] + 2 * pads[i] - window[i]) // strides[i] + 1 for i in range(2)]
    attributes |= {"group": groups, "offset_group": sets}
    inputs = [
        draw.floats(2, 4, 7, 6), draw.floats(2, 4 // groups, *window),
        draw.floats(2, 2 * sets * window[0] * window[1], *counts),
        draw.floats(2) if draw.chance() else None,
        draw.floats(2, sets * window[0] * window[1], *counts) if draw.chance() else None,
    ]  # fmt: skip
    return Use(op, inputs, (1,), attributes, opset=19)


def drawn(op: str, seed: int) -> Use:
    """The use of an operator for a seed."""
    return RECIPES[op](Draw(seed * 1009 + sum(map(ord, op))))


def model_of(use: Use) -> tuple[Any, dict[str, np.ndarray]]:
    """A model of one node, and its inputs."""
    arrays = [x if x is None else np.asarray(x) for x in use.inputs]
    while arrays[-1] is None:
        arrays.pop()
    names = ["" if x is None else f"x{i}" for i, x in enumerate(arrays)]
    feeds = {names[i]: x for i, x in enumerate(arrays) if x is not None and i not in use.fixed}
    results = [f"y{i}" for i in range(use.outputs)]
    nodes = [helper.make_node(use.op, names, results, **use.attributes)]
    kind = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info(name, kind(x.dtype), x.shape) for name, x in feeds.items()]
    outputs = [helper.make_empty_tensor_value_info(name) for name in results]
    if not feeds:  # a model has an input
        feeds = {"x": np.zeros(1, "float32")}
        inputs = [helper.make_tensor_value_info("x", 1, [1])]
        nodes.append(helper.make_node("Identity", ["x"], ["z"]))
        outputs.append(helper.make_empty_tensor_value_info("z"))
    fixed = [numpy_helper.from_array(arrays[i], names[i]) for i in use.fixed if i < len(arrays)]
    graph = helper.make_graph(nodes, "use", inputs, outputs, fixed)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", use.opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for value in inferred.graph.output:
        if not value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = kind(arrays[0].dtype)
    return inferred, feeds
