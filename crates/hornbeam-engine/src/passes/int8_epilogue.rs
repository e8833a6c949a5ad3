//! Fuses what follows a convolution of `int8` into it: `clamp((conv(x, w) + shift) * scale + bias + addend)`, and its
//! rounding to bytes.
//!
//! Results are the same to the bit, except where a scale is NaN.

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Compare, Unary};

use crate::error::Result;
use crate::graph::{ByteScale, Graph, Int8Epilogue, Node, NodeId, Op, PoolKind, ToBytes, Value, Window};
use crate::passes::bias_relu::{is_read_once, rewrite, row_vector, FusedContraction};
use crate::passes::convolution::is_2x2;
use crate::passes::use_counts;
use crate::rules::is_quantized;
use crate::scalar;

/// Return the graph with epilogues where they apply.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    let uses = use_counts(graph);
    // The first rounding of values that are also read as floats.
    let mut roundings: HashMap<Value, (NodeId, Rounded)> = HashMap::new();
    for id in 0..graph.nodes.len() as NodeId {
        let Some(rounded) = rounding(graph, &uses, Value::first(id)) else { continue };
        let x = rounded.x;
        if uses[x.node as usize][x.output as usize] > 1 && rounded.scale.is_none_or(|scale| scale.node < x.node) {
            roundings.entry(x).or_insert((id, rounded));
        }
    }
    rewrite(graph, |graph, uses, value| {
        let mut fused = matched(graph, uses, value)?;
        if let (Some((id, rounded)), Op::QuantizedConv { epilogue, .. }) = (roundings.get(&value), &mut fused.op) {
            epilogue.rounded = Some(rounded.to);
            fused.vectors.extend(rounded.scale.map(|scale| (scale, 1)));
            fused.second = Some(*id);
        }
        Some(fused)
    })
}

/// Match a convolution of integers and the operations after it, each of which alone reads the one before.
fn matched(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    if let Some(rounded) = rounding(graph, uses, value) {
        // The scale may be that of the sums.
        let whole = rounded.unscaled();
        let found = before(graph, uses, rounded.x).map(|fused| (fused, rounded));
        let (mut fused, Rounded { scale, to, .. }) = found.or_else(|| Some((before(graph, uses, whole.x)?, whole)))?;
        let Op::QuantizedConv { epilogue, .. } = &mut fused.op else { return None };
        if epilogue.rounded.replace(to).is_some() {
            return None;
        }
        epilogue.floats = false;
        fused.vectors.extend(scale.map(|scale| (scale, 1)));
        return Some(fused);
    }
    let mut bounds = Vec::new();
    let mut x = value;
    // One below and one above: of longer chains, which a recursion would follow to their end, none fits.
    while let Some((inner, bound)) = bounded(graph, uses, x).filter(|_| bounds.len() < 2) {
        bounds.push(bound);
        x = inner;
    }
    let mut fused = unbounded(graph, uses, x)?;
    let Op::QuantizedConv { epilogue, .. } = &mut fused.op else { return None };
    for bound in bounds.into_iter().rev() {
        // A second bound may be below the first.
        let (low, high) = (f32::from_bits(epilogue.low), f32::from_bits(epilogue.high));
        match bound {
            Bound::Low(bound) if low == f32::NEG_INFINITY && bound <= high => epilogue.low = bound.to_bits(),
            Bound::High(bound) if high == f32::INFINITY && bound >= low => epilogue.high = bound.to_bits(),
            _ => return None,
        }
    }
    Some(fused)
}

/// Match a convolution of integers, scaled, with a bias, an addend and a pooling, if it has them.
fn unbounded(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    let node = graph.node(value.node);
    match &node.op {
        Op::Pool { kind: PoolKind::Max, window } if is_2x2(window) => {
            if matches!(graph.node(node.inputs[0].node).op, Op::Pool { .. }) {
                return None;
            }
            let mut fused = before(graph, uses, node.inputs[0])?;
            let Op::QuantizedConv { epilogue, groups: 1, .. } = &mut fused.op else { return None };
            let fits = !epilogue.addend && epilogue.rounded.is_none();
            epilogue.pooled = true;
            fits.then_some(fused)
        }
        Op::Binary(binary) if binary.name() == "add" => {
            sides(node).into_iter().find_map(|(x, other)| added(graph, uses, x, other))
        }
        _ => product_and_scale(graph, uses, value),
    }
}

/// The operands of a binary operation, and their exchange.
fn sides(node: &Node) -> [(Value, Value); 2] {
    [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])]
}

/// Match a convolution of integers whose result is multiplied by a vector.
fn product_and_scale(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    let node = graph.node(value.node);
    let is_product = matches!(node.op, Op::Binary(binary) if binary.name() == "mul");
    is_product.then(|| sides(node).into_iter().find_map(|(x, scale)| scaled(graph, uses, x, scale))).flatten()
}

/// Match one to whose scaled result a bias is added.
fn biased(graph: &Graph, uses: &[Vec<u32>], x: Value, other: Value) -> Option<FusedContraction> {
    let bias = channel_vector(graph, other).filter(|_| is_read_once(uses, x))?;
    let mut fused = product_and_scale(graph, uses, x)?;
    let Op::QuantizedConv { epilogue, .. } = &mut fused.op else { return None };
    epilogue.bias = true;
    fused.vectors.push(bias);
    Some(fused)
}

/// Match what computes a value that is read once.
fn before(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    is_read_once(uses, value).then(|| matched(graph, uses, value)).flatten()
}

/// Match the convolution to whose scaled result a bias, another value, or both are added.
fn added(graph: &Graph, uses: &[Vec<u32>], x: Value, other: Value) -> Option<FusedContraction> {
    if let Some(fused) = biased(graph, uses, x, other) {
        return Some(fused);
    }
    if matches!(graph.node(other.node).op, Op::Broadcast { .. }) || !is_read_once(uses, x) {
        return None;
    }
    let node = graph.node(x.node);
    let mut fused = match &node.op {
        Op::Binary(binary) if binary.name() == "add" => {
            sides(node).into_iter().find_map(|(x, bias)| biased(graph, uses, x, bias))?
        }
        _ => product_and_scale(graph, uses, x)?,
    };
    let Op::QuantizedConv { epilogue, .. } = &mut fused.op else { return None };
    epilogue.addend = true;
    fused.operands.push(other);
    Some(fused)
}

/// Match the convolution, or the product of some rows, whose result is multiplied by a vector.
fn scaled(graph: &Graph, uses: &[Vec<u32>], x: Value, scale: Value) -> Option<FusedContraction> {
    let scale = channel_vector(graph, scale).filter(|_| is_read_once(uses, x))?;
    let (x, shift) = shifted(graph, uses, x);
    let node = graph.node(x.node);
    let (window, groups) = match &node.op {
        Op::Conv { window, groups, .. } => (window.clone(), *groups),
        Op::Dot { contract, batch, .. } => (product(graph, node, contract, batch)?, 1),
        _ => return None,
    };
    let operands: Vec<_> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
    let fits = is_quantized(&operands, &node.types[0]) && is_read_once(uses, x);
    let epilogue = Int8Epilogue { shift: shift.is_some(), ..Int8Epilogue::default() };
    fits.then(|| FusedContraction {
        op: Op::QuantizedConv { window, groups, epilogue },
        operands: node.inputs.clone(),
        vectors: shift.into_iter().chain([scale]).collect(),
        second: None,
        scope: node.scope,
    })
}

/// Match sums that are converted to floats, and the vector of integers that is added to them before.
fn shifted(graph: &Graph, uses: &[Vec<u32>], x: Value) -> (Value, Option<(Value, usize)>) {
    let node = graph.node(x.node);
    let Some(&sums) = node.inputs.first().filter(|_| matches!(node.op, Op::Convert)) else { return (x, None) };
    let inner = graph.node(sums.node);
    if graph.type_of(sums).dtype != DType::I32 || !is_read_once(uses, sums) {
        return (x, None);
    }
    let is_sum = matches!(inner.op, Op::Binary(Binary::Add));
    let vector = |(x, other): (Value, Value)| channel_vector(graph, other).map(|vector| (x, Some(vector)));
    is_sum.then(|| sides(inner).into_iter().find_map(vector)).flatten().unwrap_or((sums, None))
}

/// A number, or one of each channel, and the count of channels.
fn channel_vector(graph: &Graph, value: Value) -> Option<(Value, usize)> {
    let channels = *graph.type_of(value).shape.last()?;
    row_vector(graph, value).or_else(|| Some((number(graph, value)?, channels))).filter(|_| channels > 0)
}

/// The window of a product of `[..., k]` and `[k, n]`. One row has a kernel of its own.
fn product(graph: &Graph, node: &Node, contract: &[Vec<usize>; 2], batch: &[Vec<usize>; 2]) -> Option<Window> {
    let [a, b] = [0, 1].map(|side| graph.type_of(node.inputs[side]));
    let columns = *b.shape.last()?;
    let plain = contract[0] == [a.rank().checked_sub(1)?] && contract[1] == [0] && batch[0].is_empty() && b.rank() == 2;
    let window = Window { size: vec![], strides: vec![], padding: vec![], dilation: vec![] };
    (plain && b.count() > 0 && node.types[0].count() > columns).then_some(window)
}

#[derive(Clone, Copy)]
enum Bound {
    Low(f32),
    High(f32),
}

/// A rounding to bytes: of `x`, with a scale if it has one.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    pub(super) x: Value,
    pub(super) scale: Option<Value>,
    pub(super) to: ToBytes,
    /// The operand of the rounding.
    product: Value,
}

impl Rounded {
    /// The rounding of the product.
    fn unscaled(self) -> Rounded {
        Rounded { x: self.product, scale: None, to: ToBytes { scale: ByteScale::One, ..self.to }, ..self }
    }
}

/// Match `convert(clamp(round(x * scale) + zero))` to bytes.
pub(super) fn rounding(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<Rounded> {
    let node = graph.node(value.node);
    let signed = node.types[0].dtype == DType::I8;
    if !matches!(node.op, Op::Convert) || !(signed || node.types[0].dtype == DType::U8) {
        return None;
    }
    let (upper, first) = bounded(graph, uses, node.inputs[0])?;
    let (moved, second) = bounded(graph, uses, upper)?;
    let ((Bound::High(high), Bound::Low(low)) | (Bound::Low(low), Bound::High(high))) = (first, second) else {
        return None;
    };
    let limits = if signed { [-128.0, 127.0] } else { [0.0, 255.0] };
    if low < limits[0] || low > high || high > limits[1] || [low, high].iter().any(|bound| bound.fract() != 0.0) {
        return None;
    }
    let (rounded, zero) = zero_point(graph, moved).unwrap_or((moved, 0));
    let round = graph.node(rounded.node);
    if !is_read_once(uses, rounded) || !matches!(round.op, Op::Unary(op) if Some(op) == Unary::parse("round")) {
        return None;
    }
    let (product, range) = (round.inputs[0], [low, high].map(|bound| bound as i16 - zero));
    let to = ToBytes { scale: ByteScale::One, range, zero, signed };
    let whole = Rounded { x: product, scale: None, to, product };
    let node = graph.node(product.node);
    let scaled = |scale: ByteScale, (x, other): (Value, Value)| {
        Some(Rounded { x, scale: Some(number(graph, other)?), to: ToBytes { scale, ..to }, product })
    };
    let found = match node.op {
        Op::Binary(Binary::Mul) => sides(node).into_iter().find_map(|sides| scaled(ByteScale::Multiply, sides)),
        Op::Binary(Binary::Div) => scaled(ByteScale::Divide, sides(node)[0]),
        _ => None,
    };
    Some(found.filter(|_| is_read_once(uses, product)).unwrap_or(whole))
}

/// Match `x + zero`, a constant integer of a byte.
fn zero_point(graph: &Graph, value: Value) -> Option<(Value, i16)> {
    let node = graph.node(value.node);
    if !matches!(node.op, Op::Binary(Binary::Add)) {
        return None;
    }
    let zero = constant(graph, node.inputs[1])?;
    (zero.fract() == 0.0 && zero.abs() < 256.0).then_some((node.inputs[0], zero as i16))
}

/// The operand of a value that repeats a single number.
fn number(graph: &Graph, value: Value) -> Option<Value> {
    let node = graph.node(value.node);
    let repeats = matches!(node.op, Op::Broadcast { .. } | Op::Reshape);
    let source = *node.inputs.first().filter(|_| repeats)?;
    (graph.type_of(source).count() == 1).then_some(source)
}

/// The number that a constant repeats.
fn constant(graph: &Graph, value: Value) -> Option<f32> {
    let bytes = graph.literal(value)?;
    (graph.type_of(value).dtype == DType::F32).then(|| scalar::to_f64(DType::F32, bytes) as f32)
}

/// Match a maximum or minimum of x, which only this reads, and a constant.
fn bounded(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<(Value, Bound)> {
    let node = graph.node(value.node);
    let constant = |v: Value| constant(graph, v);
    let reads = |v: Value| uses[v.node as usize][v.output as usize];
    if let Op::Binary(binary) = &node.op {
        let (x, bound) = match (constant(node.inputs[0]), constant(node.inputs[1])) {
            (None, Some(bound)) => (node.inputs[0], bound),
            (Some(bound), None) => (node.inputs[1], bound),
            _ => return None,
        };
        let bound = match binary.name() {
            "max" => Bound::Low(bound),
            "min" => Bound::High(bound),
            _ => return None,
        };
        return (reads(x) == 1).then_some((x, bound));
    }
    let Op::Select = node.op else { return None };
    let condition = graph.node(node.inputs[0].node);
    let Op::Compare(compare) = condition.op else { return None };
    let (x, bound) = (condition.inputs[0], constant(condition.inputs[1])?);
    let (yes, no) = (node.inputs[1], node.inputs[2]);
    let larger = [Compare::parse("gt"), Compare::parse("ge")].contains(&Some(compare));
    let smaller = [Compare::parse("lt"), Compare::parse("le")].contains(&Some(compare));
    let keeps = yes == x && constant(no) == Some(bound);
    let replaces = no == x && constant(yes) == Some(bound);
    // The condition and the selection read x.
    if reads(x) != 2 || reads(node.inputs[0]) != 1 || !(keeps || replaces) {
        return None;
    }
    match (larger, smaller) {
        (true, false) => Some((x, if keeps { Bound::Low(bound) } else { Bound::High(bound) })),
        (false, true) => Some((x, if keeps { Bound::High(bound) } else { Bound::Low(bound) })),
        _ => None,
    }
}
