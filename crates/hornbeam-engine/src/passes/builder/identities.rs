//! Rewrites of single nodes: scalar folding and algebraic identities.
//!
//! All are bit-exact, with four exceptions: `x + 0` on floats keeps -0, the sum of a scattered pooling adds the same
//! terms in another order, constant factors are moved out of sums, and products of integers as floats are rounded once.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Compare, Unary};
use hornbeam_kernels::gemm::MAX_STEPS;
use hornbeam_kernels::reduce::Reduce;

use crate::graph::{Epilogue, Node, Op, PoolKind, Value};
use crate::passes::builder::Builder;
use crate::rules::{is_quantized, multiplies_int8};
use crate::scalar;
use crate::types::TensorType;

/// Return an existing (or cheaper) value that equals `op(inputs)`, if a rule applies.
pub fn simplify(b: &mut Builder, op: &Op, inputs: &[Value], t: &TensorType) -> Option<Value> {
    if let Some(value) = fold(b, op, inputs, t) {
        return Some(value);
    }
    match op {
        Op::Unary(unary) => simplify_unary(b, *unary, inputs[0]),
        Op::Binary(binary) => simplify_binary(b, *binary, inputs, t),
        Op::Select if inputs[1] == inputs[2] => Some(inputs[1]),
        Op::Select => match b.graph.literal(inputs[0]) {
            Some(condition) => Some(if condition[0] != 0 { inputs[1] } else { inputs[2] }),
            None => relu_before_pool(b, inputs, t).or_else(|| limited(b, inputs, t)),
        },
        Op::Convert | Op::Bitcast => simplify_convert(b, op, inputs[0], t),
        Op::Dot { contract, batch, epilogue } if batch[0].is_empty() && *epilogue == Epilogue::default() => {
            quantized_dot(b, op, &contract[0], inputs, t)
        }
        Op::Conv { groups, epilogue, .. } if *epilogue == Epilogue::default() => {
            quantized_conv(b, op, *groups, inputs, t)
        }
        Op::Barrier => None,
        _ => simplify_shape(b, op, inputs, t),
    }
}

/// Fold an elementwise operation whose operands are all scalar constants.
fn fold(b: &mut Builder, op: &Op, inputs: &[Value], t: &TensorType) -> Option<Value> {
    if inputs.is_empty() || inputs.len() > 3 {
        return None;
    }
    let foldable = matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Convert | Op::Bitcast);
    if !foldable {
        return None;
    }
    let mut operands = [[0u8; 8]; 3];
    for (operand, &input) in operands.iter_mut().zip(inputs) {
        *operand = b.graph.literal(input)?;
    }
    let dtype = b.type_of(*inputs.last()?).dtype;
    let result = match op {
        Op::Unary(unary) => scalar::unary(*unary, dtype, operands[0])?,
        Op::Binary(binary) => scalar::binary(*binary, dtype, operands[0], operands[1])?,
        Op::Compare(compare) => scalar::compare(*compare, dtype, operands[0], operands[1]),
        Op::Convert => scalar::convert(dtype, t.dtype, operands[0]),
        Op::Bitcast => operands[0],
        Op::Select if operands[0][0] != 0 => operands[1],
        Op::Select => operands[2],
        _ => return None,
    };
    Some(b.literal(result, t))
}

fn simplify_unary(b: &Builder, unary: Unary, x: Value) -> Option<Value> {
    let inner = b.graph.node(x.node);
    match (&inner.op, unary.name()) {
        (Op::Unary(u), "neg") if u.name() == "neg" => Some(inner.inputs[0]),
        (Op::Unary(u), "logical_not") if u.name() == "logical_not" => Some(inner.inputs[0]),
        _ => None,
    }
}

/// The value of a scalar constant as f64, for comparisons with small integers, which are exact.
fn number(b: &Builder, value: Value) -> Option<f64> {
    let bytes = b.graph.literal(value)?;
    Some(scalar::to_f64(b.type_of(value).dtype, bytes))
}

fn simplify_binary(b: &mut Builder, binary: Binary, x: &[Value], t: &TensorType) -> Option<Value> {
    let (left, right) = (number(b, x[0]), number(b, x[1]));
    let is_bool = t.dtype == DType::Bool;
    match binary.name() {
        "add" if right == Some(0.0) => Some(x[0]),
        "add" if left == Some(0.0) => Some(x[1]),
        "sub" if right == Some(0.0) => Some(x[0]),
        "mul" if right == Some(1.0) => Some(x[0]),
        "mul" if left == Some(1.0) => Some(x[1]),
        "div" if right == Some(1.0) => Some(x[0]),
        "div" if t.dtype.is_float() => {
            // The reciprocal of a power of two is exact, and multiplying is several times faster.
            let divisor = right?;
            let power_of_two = divisor.abs() >= 1e-4 && divisor.abs() <= 1e4 && divisor.to_bits() << 12 == 0;
            if !power_of_two {
                return None;
            }
            let reciprocal = b.literal(scalar::from_f64(t.dtype, 1.0 / divisor), t);
            Some(b.add(Op::Binary(Binary::parse("mul")?), vec![x[0], reciprocal], t.clone()))
        }
        "pow" if right == Some(1.0) => Some(x[0]),
        "pow" if right == Some(2.0) => Some(b.add(Op::Binary(Binary::parse("mul")?), vec![x[0], x[0]], t.clone())),
        "max" | "min" if x[0] == x[1] => Some(x[0]),
        "and" | "or" if x[0] == x[1] => Some(x[0]),
        "and" if is_bool && right == Some(1.0) => Some(x[0]),
        "and" if is_bool && left == Some(1.0) => Some(x[1]),
        "or" if is_bool && right == Some(0.0) => Some(x[0]),
        "or" if is_bool && left == Some(0.0) => Some(x[1]),
        _ => None,
    }
}

/// Rewrite `select(x >= c, c, x)`, a limit such as that of relu6, to `min(x, c)`, and the other limit to `max(x, c)`: both keep
/// NaN. Not for 0, which has two signs.
fn limited(b: &mut Builder, inputs: &[Value], t: &TensorType) -> Option<Value> {
    let (mask, bound, x) = (b.graph.node(inputs[0].node), inputs[1], inputs[2]);
    let Op::Compare(compare) = mask.op else { return None };
    let is_limit = number(b, bound).is_some_and(|bound| bound != 0.0 && !bound.is_nan());
    if mask.inputs != [x, bound] || !is_limit {
        return None;
    }
    let limit = match compare {
        Compare::Ge | Compare::Gt => Binary::Min,
        Compare::Le | Compare::Lt => Binary::Max,
        _ => return None,
    };
    Some(b.add(Op::Binary(limit), vec![x, bound], t.clone()))
}

/// Rewrite `select(x > 0, max_pool_scatter(x, dy), 0)`, the backward pass of relu and pooling, to mask the pooled
/// gradient: a window's gradient goes to the position where x is its maximum, and x > 0 there if and only if the
/// maximum is.
fn relu_before_pool(b: &mut Builder, inputs: &[Value], t: &TensorType) -> Option<Value> {
    let zero = |b: &Builder, v: Value| number(b, v) == Some(0.0);
    let (mask, scatter) = (b.graph.node(inputs[0].node).clone(), b.graph.node(inputs[1].node).clone());
    let Op::Pool { kind: PoolKind::MaxScatter, window } = &scatter.op else { return None };
    let positive = matches!(mask.op, Op::Compare(Compare::Gt)) && mask.inputs[0] == scatter.inputs[0];
    if !positive || !zero(b, mask.inputs[1]) || !zero(b, inputs[2]) {
        return None;
    }
    let (x, dy) = (scatter.inputs[0], scatter.inputs[1]);
    let small = b.type_of(dy).clone();
    let pooled = b.add(Op::Pool { kind: PoolKind::Max, window: window.clone() }, vec![x], small.clone());
    let zeros = b.literal([0; 8], &small);
    let mask_type = TensorType::new(DType::Bool, small.shape.clone());
    let mask = b.add(Op::Compare(Compare::Gt), vec![pooled, zeros], mask_type);
    let dy = b.add(Op::Select, vec![mask, dy, zeros], small);
    Some(b.add(scatter.op.clone(), vec![x, dy], t.clone()))
}

fn simplify_convert(b: &mut Builder, op: &Op, x: Value, t: &TensorType) -> Option<Value> {
    let from = b.type_of(x).dtype;
    if from == t.dtype {
        return Some(x);
    }
    let inner = b.graph.node(x.node);
    if t.dtype == DType::I32 && matches!(inner.op, Op::Dot { .. } | Op::Conv { .. }) {
        // Sums of bytes need no floats.
        let operands: Vec<_> = inner.inputs.iter().map(|&v| b.type_of(v)).collect();
        let (op, inputs) = (inner.op.clone(), inner.inputs.clone());
        return is_quantized(&operands, &inner.types[0]).then(|| b.add(op, inputs, t.clone()));
    }
    if inner.op != *op {
        return None;
    }
    let source = inner.inputs[0];
    let original = b.type_of(source).dtype;
    let lossless = matches!(op, Op::Bitcast) || scalar::is_lossless(original, from);
    lossless.then(|| b.add(op.clone(), vec![source], t.clone()))
}

/// Multiply integers that are converted to `float32` or `float64` for a product as integers. Sums up to 2^24 are the same;
/// in `float32` larger ones are rounded once, in `float64` all are exact.
fn quantized_dot(b: &mut Builder, op: &Op, summed: &[usize], inputs: &[Value], t: &TensorType) -> Option<Value> {
    let steps: usize = summed.iter().map(|&axis| b.type_of(inputs[0]).shape[axis]).product();
    (steps <= MAX_STEPS).then(|| of_integers(b, op, inputs, t)).flatten()
}

/// Convolve integers in the same way.
fn quantized_conv(b: &mut Builder, op: &Op, groups: usize, inputs: &[Value], t: &TensorType) -> Option<Value> {
    let kernel = b.type_of(inputs[1]);
    let steps = kernel.count() / kernel.shape.last().copied().filter(|&n| n > 0)?;
    multiplies_int8(groups, steps, kernel).then(|| of_integers(b, op, inputs, t)).flatten()
}

/// The operation on the integers that its operands are conversions of.
fn of_integers(b: &mut Builder, op: &Op, inputs: &[Value], t: &TensorType) -> Option<Value> {
    let sums = match t.dtype {
        DType::F32 => DType::F32,
        DType::F64 => DType::I32,
        _ => return None,
    };
    if !is_converted(b, inputs[0], &[DType::I8, DType::U8]) || !is_converted(b, inputs[1], &[DType::I8]) {
        return None;
    }
    let integers = inputs.iter().map(|&x| without_conversion(b, x)).collect();
    let product = b.add(op.clone(), integers, TensorType::new(sums, t.shape.clone()));
    Some(if sums == t.dtype { product } else { b.add(Op::Convert, vec![product], t.clone()) })
}

/// True for a conversion of some dtypes, also reshaped or transposed.
fn is_converted(b: &Builder, x: Value, from: &[DType]) -> bool {
    let node = b.graph.node(x.node);
    match node.op {
        Op::Convert => from.contains(&b.type_of(node.inputs[0]).dtype),
        Op::Reshape | Op::Transpose { .. } => is_converted(b, node.inputs[0], from),
        _ => false,
    }
}

fn without_conversion(b: &mut Builder, x: Value) -> Value {
    let node = b.graph.node(x.node).clone();
    if matches!(node.op, Op::Convert) {
        return node.inputs[0];
    }
    let moved = without_conversion(b, node.inputs[0]);
    let dtype = b.type_of(moved).dtype;
    b.add(node.op, vec![moved], TensorType::new(dtype, node.types[0].shape.clone()))
}

fn simplify_shape(b: &mut Builder, op: &Op, inputs: &[Value], t: &TensorType) -> Option<Value> {
    let x = *inputs.first()?;
    let movement = matches!(op, Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Broadcast { .. });
    if movement {
        if let Some(bytes) = b.graph.literal(x) {
            // Also shortens chains of broadcasts of a scalar to one.
            let direct = b.literal(bytes, t);
            return (direct != x || b.type_of(x) == t).then_some(direct);
        }
    }
    let same = b.type_of(x) == t;
    let inner = b.graph.node(x.node).clone();
    match op {
        Op::Reshape | Op::Broadcast { .. } if same => Some(x),
        Op::Slice { step, .. } if same && step.iter().all(|&s| s == 1) => Some(x),
        Op::Reshape if matches!(inner.op, Op::Reshape) => Some(b.add(Op::Reshape, inner.inputs, t.clone())),
        Op::Transpose { perm } if perm.iter().enumerate().all(|(i, &p)| i == p) => Some(x),
        Op::Transpose { perm } => match &inner.op {
            Op::Transpose { perm: first } => {
                let perm = perm.iter().map(|&p| first[p]).collect();
                Some(b.add(Op::Transpose { perm }, inner.inputs.clone(), t.clone()))
            }
            Op::Dot { .. } if swaps_operands(b, &inner, perm) => {
                Some(b.add(swapped(&inner.op)?, vec![inner.inputs[1], inner.inputs[0]], t.clone()))
            }
            _ => moves_only_unit_axes(perm, &b.type_of(x).shape).then(|| b.add(Op::Reshape, vec![x], t.clone())),
        },
        Op::Broadcast { dims } => match &inner.op {
            Op::Broadcast { dims: first } => {
                let dims = first.iter().map(|&d| dims[d]).collect();
                Some(b.add(Op::Broadcast { dims }, inner.inputs.clone(), t.clone()))
            }
            // A broadcast that only adds unit axes.
            _ => (b.type_of(x).count() == t.count()).then(|| b.add(Op::Reshape, vec![x], t.clone())),
        },
        Op::Reduce { axes, .. } => {
            let unit = axes.iter().all(|&a| b.type_of(x).shape[a] == 1);
            if unit {
                return Some(b.add(Op::Reshape, vec![x], t.clone()));
            }
            if let Some(sum) = constant_factor(b, &inner, op, axes, t) {
                return Some(sum);
            }
            // Each window scatters its gradient to one position, so the sum over positions is the sum over windows.
            let small = scattered_operand(&inner, op, axes)?;
            Some(b.add(op.clone(), vec![small], t.clone()))
        }
        Op::Concatenate { .. } if inputs.len() == 1 => Some(x),
        Op::Reverse { axes } if axes.iter().all(|&a| t.shape[a] <= 1) => Some(x),
        Op::Pad { low, high, interior } => {
            let unpadded = low.iter().chain(high).all(|&n| n == 0) && interior.iter().all(|&n| n == 0);
            unpadded.then_some(x)
        }
        Op::Cumulative { axis, .. } if t.shape[*axis] == 1 => Some(x),
        _ => None,
    }
}

/// Rewrite the sum of `x * v` to `v * sum(x)` if `v` is constant along the summed axes, and the sum of `-x` to
/// `-sum(x)`.
fn constant_factor(b: &mut Builder, inner: &Node, sum: &Op, axes: &[usize], t: &TensorType) -> Option<Value> {
    if !matches!(sum, Op::Reduce { op: Reduce::Sum, .. }) || !matches!(t.dtype, DType::F32 | DType::F64) {
        return None;
    }
    match &inner.op {
        Op::Unary(Unary::Neg) => {
            let total = b.add(sum.clone(), inner.inputs.clone(), t.clone());
            Some(b.add(inner.op.clone(), vec![total], t.clone()))
        }
        Op::Binary(Binary::Mul) => {
            let sides = [(inner.inputs[0], inner.inputs[1]), (inner.inputs[1], inner.inputs[0])];
            let (x, vector, dims) = sides.into_iter().find_map(|(x, v)| {
                let node = b.graph.node(v.node);
                let Op::Broadcast { dims } = &node.op else { return None };
                let vector = node.inputs[0];
                let from = &b.type_of(vector).shape;
                let varies = |axis: &usize| dims.iter().zip(from).any(|(d, &extent)| d == axis && extent > 1);
                (!axes.iter().any(varies)).then(|| (x, vector, dims.clone()))
            })?;
            // The kept axes, as numbered in the result; the summed axes have extent 1 in the vector.
            let from = b.type_of(vector).shape.clone();
            let kept: Vec<usize> = (0..dims.len()).filter(|&i| !axes.contains(&dims[i])).collect();
            let small = TensorType::new(t.dtype, kept.iter().map(|&i| from[i]).collect());
            let vector = b.add(Op::Reshape, vec![vector], small);
            let dims = kept.iter().map(|&i| dims[i] - axes.iter().filter(|&&a| a < dims[i]).count()).collect();
            let factor = b.add(Op::Broadcast { dims }, vec![vector], t.clone());
            let total = b.add(sum.clone(), vec![x], t.clone());
            Some(b.add(inner.op.clone(), vec![total, factor], t.clone()))
        }
        _ => None,
    }
}

/// The operand whose elements `max_pool_scatter` distributes over the summed axes, if every window overlaps the image.
fn scattered_operand(scatter: &Node, sum: &Op, axes: &[usize]) -> Option<Value> {
    let Op::Pool { kind: PoolKind::MaxScatter, window } = &scatter.op else { return None };
    let sums = matches!(sum, Op::Reduce { op: Reduce::Sum, .. });
    let spatial = (1..=window.size.len()).all(|axis| axes.contains(&axis)) && !axes.contains(&(window.size.len() + 1));
    let overlaps = |(&size, &(low, high)): (&usize, &(i64, i64))| low < size as i64 && high < size as i64;
    (sums && spatial && window.size.iter().zip(&window.padding).all(overlaps)).then_some(scatter.inputs[1])
}

/// Return whether `perm` puts the free axes of the second operand of a contraction before those of the first.
fn swaps_operands(b: &Builder, dot: &Node, perm: &[usize]) -> bool {
    let Op::Dot { contract, batch, epilogue } = &dot.op else { return false };
    let batches = batch[0].len();
    let left = b.type_of(dot.inputs[0]).rank() - contract[0].len() - batches;
    let expected = (0..batches).chain(batches + left..perm.len()).chain(batches..batches + left);
    *epilogue == Epilogue::default() && expected.eq(perm.iter().copied())
}

/// The contraction of the same operands in the other order.
fn swapped(op: &Op) -> Option<Op> {
    let Op::Dot { contract: [c0, c1], batch: [b0, b1], epilogue } = op else { return None };
    let (contract, batch) = ([c1.clone(), c0.clone()], [b1.clone(), b0.clone()]);
    Some(Op::Dot { contract, batch, epilogue: *epilogue })
}

fn moves_only_unit_axes(perm: &[usize], shape: &[usize]) -> bool {
    let kept: Vec<usize> = perm.iter().copied().filter(|&p| shape[p] != 1).collect();
    kept.windows(2).all(|w| w[0] < w[1])
}
