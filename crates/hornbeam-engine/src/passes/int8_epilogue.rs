//! Fuses what follows a convolution of `int8` into it: `clamp(conv(x, w) * scale + bias + addend)`, and its rounding to
//! `int8`.
//!
//! Results are the same to the bit, except where a scale is NaN.

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Compare, Unary};

use crate::error::Result;
use crate::graph::{Graph, Int8Epilogue, Node, NodeId, Op, PoolKind, Value, Window};
use crate::passes::bias_relu::{is_read_once, rewrite, row_vector, FusedContraction};
use crate::passes::convolution::is_2x2;
use crate::passes::use_counts;
use crate::rules::is_quantized;
use crate::scalar;

/// Return the graph with epilogues where they apply.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    let uses = use_counts(graph);
    // The first rounding of values that are also read as floats.
    let mut roundings: HashMap<Value, (NodeId, Value, [i8; 2])> = HashMap::new();
    for id in 0..graph.nodes.len() as NodeId {
        let Some((x, scale, range)) = rounding(graph, &uses, Value::first(id)) else { continue };
        if uses[x.node as usize][x.output as usize] > 1 && scale.node < x.node {
            roundings.entry(x).or_insert((id, scale, range));
        }
    }
    rewrite(graph, |graph, uses, value| {
        let mut fused = matched(graph, uses, value)?;
        if let (Some(&(id, scale, range)), Op::QuantizedConv { epilogue, .. }) = (roundings.get(&value), &mut fused.op)
        {
            epilogue.rounded = Some(range);
            fused.vectors.push(scale);
            fused.second = Some(id);
        }
        Some(fused)
    })
}

/// Match a convolution of integers and the operations after it, each of which alone reads the one before.
fn matched(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    if let Some((x, scale, range)) = rounding(graph, uses, value) {
        let mut fused = before(graph, uses, x)?;
        let Op::QuantizedConv { epilogue, .. } = &mut fused.op else { return None };
        if epilogue.rounded.replace(range).is_some() {
            return None;
        }
        epilogue.floats = false;
        fused.vectors.push(scale);
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
    let bias = row_vector(graph, other).filter(|_| is_read_once(uses, x))?;
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
    let node = graph.node(x.node);
    let (window, groups) = match &node.op {
        Op::Conv { window, groups, .. } => (window.clone(), *groups),
        Op::Dot { contract, batch, .. } => (product(graph, node, contract, batch)?, 1),
        _ => return None,
    };
    let operands: Vec<_> = node.inputs.iter().map(|&v| graph.type_of(v)).collect();
    let is_scaled = node.types[0].dtype == DType::F32 && is_quantized(&operands, &node.types[0]);
    let fits = is_scaled && uses[x.node as usize] == [1];
    let scale = row_vector(graph, scale).filter(|_| fits)?;
    Some(FusedContraction {
        op: Op::QuantizedConv { window, groups, epilogue: Int8Epilogue::default() },
        operands: node.inputs.clone(),
        vectors: vec![scale],
        second: None,
        scope: node.scope,
    })
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

/// Match `convert(clamp(round(x * scale)))` to `int8`: x, the scale, and the range.
pub(super) fn rounding(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<(Value, Value, [i8; 2])> {
    let node = graph.node(value.node);
    if !matches!(node.op, Op::Convert) || node.types[0].dtype != DType::I8 {
        return None;
    }
    let (upper, first) = bounded(graph, uses, node.inputs[0])?;
    let (rounded, second) = bounded(graph, uses, upper)?;
    let ((Bound::High(high), Bound::Low(low)) | (Bound::Low(low), Bound::High(high))) = (first, second) else {
        return None;
    };
    let integer = |bound: f32| Some(bound as i8).filter(|&integer| f32::from(integer) == bound);
    let (low, high) = (integer(low)?, integer(high)?);
    let round = graph.node(rounded.node);
    if low > high || !matches!(round.op, Op::Unary(op) if Some(op) == Unary::parse("round")) {
        return None;
    }
    let product = graph.node(round.inputs[0].node);
    if !matches!(product.op, Op::Binary(op) if Some(op) == Binary::parse("mul")) {
        return None;
    }
    let alone = |v: Value| uses[v.node as usize][v.output as usize] == 1;
    let sides = [(product.inputs[0], product.inputs[1]), (product.inputs[1], product.inputs[0])];
    let scale = |(x, other): (Value, Value)| Some((x, number(graph, other)?, [low, high]));
    alone(round.inputs[0]).then(|| sides.into_iter().find_map(scale)).flatten()
}

/// The operand of a value that repeats a single number.
fn number(graph: &Graph, value: Value) -> Option<Value> {
    let node = graph.node(value.node);
    let repeats = matches!(node.op, Op::Broadcast { .. } | Op::Reshape);
    let source = *node.inputs.first().filter(|_| repeats)?;
    (graph.type_of(source).count() == 1).then_some(source)
}

/// Match a maximum or minimum of x, which only this reads, and a constant.
fn bounded(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<(Value, Bound)> {
    let node = graph.node(value.node);
    let constant = |v: Value| {
        let t = graph.type_of(v);
        (t.dtype == DType::F32).then(|| graph.literal(v).map(|bytes| scalar::to_f64(t.dtype, bytes) as f32)).flatten()
    };
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
