//! Moves transpositions of what a loop reads in every step into its body, if the body only multiplies by them.
//!
//! A loop takes its operands as they are in memory, so that a transposed one would be copied; a product inside reads it by
//! its strides. The logits of a language model are products with the transposed embeddings, its largest weight.

use std::borrow::Cow;
use std::sync::Arc;

use crate::graph::{Graph, Nested, Node, NodeId, Op, Value};
use crate::types::TensorType;

/// Return the graph with such transpositions inside of its loops.
pub fn move_transposes(graph: &Graph) -> Cow<'_, Graph> {
    let mut graph = Cow::Borrowed(graph);
    for id in 0..graph.nodes.len() {
        let node = &graph.nodes[id];
        let fixed = match &node.op {
            Op::While { .. } => node.types.len(),
            Op::Scan { carries, sequences, .. } => carries + sequences,
            _ => continue,
        };
        for index in fixed..node.inputs.len() {
            if let Some((op, source)) = with_transpose_inside(&graph, &graph.nodes[id], index) {
                let node = &mut graph.to_mut().nodes[id];
                (node.op, node.inputs[index]) = (op, source);
            }
        }
    }
    graph
}

/// The loop with a source of a transposition in place of operand `index`.
fn with_transpose_inside(graph: &Graph, node: &Node, index: usize) -> Option<(Op, Value)> {
    let operand = graph.node(node.inputs[index].node);
    let Op::Transpose { .. } = operand.op else { return None };
    let source = operand.inputs[0];
    let inside = |body: &Nested| transpose_input(&body.0, index, &operand.op, graph.type_of(source));
    let op = match &node.op {
        Op::While { cond, body } => Op::While { cond: inside(cond)?, body: inside(body)? },
        Op::Scan { body, carries, sequences, length, reverse } => {
            let (carries, sequences, length, reverse) = (*carries, *sequences, *length, *reverse);
            Op::Scan { body: inside(body)?, carries, sequences, length, reverse }
        }
        _ => return None,
    };
    Some((op, source))
}

/// The body with a transposition after input `index`; None if anything but a product reads that.
fn transpose_input(body: &Graph, index: usize, transpose: &Op, source: &TensorType) -> Option<Nested> {
    let input = body.nodes.iter().position(|node| node.op == Op::Input(index as u32))?;
    let reads = |values: &[Value]| values.iter().any(|v| v.node as usize == input);
    let multiplies = |node: &Node| matches!(node.op, Op::Dot { .. }) && !reads(&node.inputs[2..]);
    if reads(&body.outputs) || body.nodes.iter().any(|node| reads(&node.inputs) && !multiplies(node)) {
        return None;
    }
    let mut graph = body.clone();
    // Nodes are in topological order: those after the input move by one.
    let values = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).chain(&mut graph.outputs);
    values.filter(|v| v.node as usize >= input).for_each(|v| v.node += 1);
    let original = &mut graph.nodes[input];
    let types = std::mem::replace(&mut original.types, vec![source.clone()]);
    let inputs = vec![Value::first(input as NodeId)];
    let scope = original.scope;
    graph.nodes.insert(input + 1, Node { op: transpose.clone(), inputs, types, scope });
    graph.inputs[index] = source.clone();
    Some(Nested(Arc::new(graph)))
}
