//! Moves a padding with zeros behind the rounding to `int8`, and from there into the convolution that reads it:
//! `conv(round(pad(x)))` becomes `conv(round(x))` with a padded window. What is padded is then rounded by its producer.

use std::borrow::Cow;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{Binary, Unary};

use crate::error::Result;
use crate::graph::{ByteScale, Graph, Node, Op, ToBytes, Value};
use crate::passes::builder::Builder;
use crate::passes::int8_epilogue::{rounding, Rounded};
use crate::passes::padding::padded_window;
use crate::passes::{eliminate_dead, use_counts};
use crate::scalar;
use crate::types::TensorType;

/// A convolution that needs no padding before it.
struct Padded {
    op: Op,
    /// The floats, their scale, and the range of the integers.
    rounded: (Value, Value, [i16; 2]),
    kernel: Value,
}

/// Return the graph with such paddings moved.
pub fn fold(graph: Cow<'_, Graph>) -> Result<Cow<'_, Graph>> {
    let uses = use_counts(&graph);
    let found: Vec<Option<Padded>> = graph.nodes.iter().map(|node| matched(&graph, &uses, node)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(graph);
    }
    let (mut builder, _) = Builder::with_inputs(&graph.inputs)?;
    builder.reserve(graph.nodes.len());
    let mut renamed: Vec<Vec<Value>> = Vec::with_capacity(graph.nodes.len());
    for (node, padded) in graph.nodes.iter().zip(found) {
        builder.scope = node.scope;
        let rename = |v: Value| renamed[v.node as usize][v.output as usize];
        let (op, inputs) = match padded {
            Some(Padded { op, rounded: (x, scale, range), kernel }) => {
                (op, vec![round(&mut builder, rename(x), rename(scale), range), rename(kernel)])
            }
            None => (node.op.clone(), node.inputs.iter().map(|&v| rename(v)).collect()),
        };
        renamed.push(builder.emit(op, inputs, node.types.clone())?);
    }
    builder.graph.outputs = graph.outputs.iter().map(|v| renamed[v.node as usize][v.output as usize]).collect();
    Ok(Cow::Owned(eliminate_dead(builder.graph)))
}

/// Add `convert(clamp(round(x * scale)))`.
fn round(builder: &mut Builder, x: Value, scale: Value, range: [i16; 2]) -> Value {
    let t = builder.type_of(x).clone();
    let number = builder.add(Op::Reshape, vec![scale], TensorType::scalar(t.dtype));
    let scale = builder.add(Op::Broadcast { dims: Vec::new() }, vec![number], t.clone());
    let product = builder.add(Op::Binary(Binary::Mul), vec![x, scale], t.clone());
    let mut value = builder.add(Op::Unary(Unary::Round), vec![product], t.clone());
    for (bound, op) in range.into_iter().zip([Binary::Max, Binary::Min]) {
        let bound = builder.literal(scalar::from_f64(t.dtype, f64::from(bound)), &t);
        value = builder.add(Op::Binary(op), vec![value, bound], t.clone());
    }
    builder.add(Op::Convert, vec![value], TensorType::new(DType::I8, t.shape))
}

/// Match a convolution that alone reads the rounding of a padding.
fn matched(graph: &Graph, uses: &[Vec<u32>], node: &Node) -> Option<Padded> {
    let Op::Conv { window, groups, epilogue } = &node.op else { return None };
    let integers = node.inputs[0];
    let Rounded { x, scale, to, .. } = rounding(graph, uses, integers)?;
    let ToBytes { scale: ByteScale::Multiply, range, zero: 0, signed: true } = to else { return None };
    if uses[integers.node as usize][integers.output as usize] > 1 {
        return None;
    }
    let (window, floats) = padded_window(graph, window, x)?;
    Some(Padded {
        op: Op::Conv { window, groups: *groups, epilogue: *epilogue },
        rounded: (floats, scale?, range),
        kernel: node.inputs[1],
    })
}
