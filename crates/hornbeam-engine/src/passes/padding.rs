//! Moves a padding with zeros into the convolution that reads it: `conv(pad(x))` becomes `conv(x)` with a padded window, and
//! so do its gradients, of which that of `x` was a slice. So does the maximum over windows, if no element of `x` is below zero.
//! The padded tensor is then never in memory.

use std::borrow::Cow;

use hornbeam_kernels::elementwise::Binary;

use crate::graph::{Graph, Node, NodeId, Op, PoolKind, Value, Window};
use crate::passes::{eliminate_dead, use_counts};
use crate::types::TensorType;

/// Return the graph with such paddings moved.
pub fn fold(graph: Cow<'_, Graph>) -> Cow<'_, Graph> {
    let uses = use_counts(&graph);
    let ids = 0..graph.nodes.len() as NodeId;
    let folded: Vec<(NodeId, Op, Vec<Value>)> = ids.filter_map(|id| matched(&graph, &uses, id)).collect();
    if folded.is_empty() {
        return graph;
    }
    let mut graph = graph.into_owned();
    for (id, op, inputs) in folded {
        let node = &mut graph.nodes[id as usize];
        (node.op, node.inputs) = (op, inputs);
    }
    Cow::Owned(eliminate_dead(graph))
}

/// The window of a convolution of `value`, and what it then reads, if `value` is padded with zeros.
pub fn padded_window(graph: &Graph, window: &Window, value: Value) -> Option<(Window, Value)> {
    let padding = graph.node(value.node);
    let Op::Pad { low, high, interior } = &padding.op else { return None };
    let zero = graph.literal(padding.inputs[1]).is_some_and(|bytes| bytes == [0; 8]);
    let dense = interior.iter().all(|&interior| interior == 0);
    let window = zero.then(|| grown(window, low, high))??;
    dense.then_some((window, padding.inputs[0]))
}

/// The window with as many elements more before and after each axis, of which the first is that of samples, and the last
/// that of channels.
fn grown(window: &Window, low: &[i64], high: &[i64]) -> Option<Window> {
    let last = low.len() - 1;
    if [low[0], high[0], low[last], high[last]] != [0; 4] {
        return None;
    }
    let grown = |axis: usize| {
        let ((before, after), [low, high]) = (window.padding[axis], [low[axis + 1], high[axis + 1]]);
        (low >= 0 && high >= 0).then_some((before + low, after + high))
    };
    Some(Window { padding: (0..window.size.len()).map(grown).collect::<Option<_>>()?, ..window.clone() })
}

/// False if some windows see nothing but padding, for which the kernels of floats are not made, and whose maximum is not 0.
fn has_usual_padding(window: &Window) -> bool {
    let reach = |axis: usize| ((window.size[axis] - 1) * window.dilation[axis]) as i64;
    window.padding.iter().enumerate().all(|(axis, &(low, high))| low.max(high) <= reach(axis))
}

/// The operation and the operands that replace those of node `id`.
fn matched(graph: &Graph, uses: &[Vec<u32>], id: NodeId) -> Option<(NodeId, Op, Vec<Value>)> {
    let node = graph.node(id);
    let (op, window, inputs) = match &node.op {
        Op::Conv { window, .. } | Op::ConvKernelGrad { window, .. } => {
            let (window, x) = padded_window(graph, window, node.inputs[0])?;
            (&node.op, window, with_first(node, x))
        }
        Op::Pool { kind: PoolKind::Max, window } => {
            let (window, x) = padded_window(graph, window, node.inputs[0])?;
            is_relu(graph, x).then(|| (&node.op, window, with_first(node, x)))?
        }
        Op::Slice { start, step } => {
            let source = node.inputs[0];
            let gradient = graph.node(source.node);
            let Op::ConvInputGrad { window, .. } = &gradient.op else { return None };
            if uses[source.node as usize][0] != 1 || step.iter().any(|&step| step != 1) {
                return None;
            }
            let window = sliced_window(window, start, &gradient.types[0], &node.types[0])?;
            (&gradient.op, window, gradient.inputs.clone())
        }
        _ => return None,
    };
    has_usual_padding(&window).then(|| (id, with_window(op, window), inputs))
}

/// The operation with another window.
fn with_window(op: &Op, new: Window) -> Op {
    let mut op = op.clone();
    if let Op::Conv { window, .. }
    | Op::ConvKernelGrad { window, .. }
    | Op::ConvInputGrad { window, .. }
    | Op::Pool { window, .. } = &mut op
    {
        *window = new;
    }
    op
}

/// Return whether `value` is the maximum of something and zero.
fn is_relu(graph: &Graph, value: Value) -> bool {
    let node = graph.node(value.node);
    let zero = |&v: &Value| graph.literal(v).is_some_and(|bytes| bytes == [0; 8]);
    matches!(node.op, Op::Binary(Binary::Max)) && node.inputs.iter().any(zero)
}

fn with_first(node: &Node, first: Value) -> Vec<Value> {
    std::iter::once(first).chain(node.inputs[1..].iter().copied()).collect()
}

/// The window of the gradient of the part of a padded tensor that starts at `start`.
fn sliced_window(window: &Window, start: &[usize], padded: &TensorType, part: &TensorType) -> Option<Window> {
    let low: Vec<i64> = start.iter().map(|&start| start as i64).collect();
    let high = |axis: usize| padded.shape[axis] as i64 - part.shape[axis] as i64 - low[axis];
    grown(window, &low, &(0..low.len()).map(high).collect::<Vec<_>>())
}
