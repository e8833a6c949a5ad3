//! Moves transpositions of what a loop reads in every step into its body, if the body only multiplies by them.
//!
//! A loop takes its operands as they are in memory, so that a transposed one would be copied; a product inside reads it by
//! its strides. The logits of a language model are products with the transposed embeddings, its largest weight.

use std::borrow::Cow;
use std::sync::Arc;

use crate::graph::{Graph, Nested, Node, NodeId, Op, Value};
use crate::types::TensorType;

/// Return the graph with such transpositions inside of its loops. Those of nested loops move on when their body is
/// compiled.
pub fn move_transposes(graph: &Graph) -> Cow<'_, Graph> {
    let mut graph = Cow::Borrowed(graph);
    for id in 0..graph.nodes.len() {
        let Some(fixed) = first_fixed(&graph.nodes[id]) else { continue };
        for index in fixed..graph.nodes[id].inputs.len() {
            if let Some((op, source)) = with_transpose_inside(&graph, &graph.nodes[id], index) {
                let node = &mut graph.to_mut().nodes[id];
                (node.op, node.inputs[index]) = (op, source);
            }
        }
    }
    graph
}

/// The first operand of a loop that is the same in every step.
fn first_fixed(node: &Node) -> Option<usize> {
    match &node.op {
        Op::While { .. } => Some(node.types.len()),
        Op::Scan { carries, sequences, .. } => Some(carries + sequences),
        _ => None,
    }
}

/// The loop with the source of a transposition in place of operand `index`.
fn with_transpose_inside(graph: &Graph, node: &Node, index: usize) -> Option<(Op, Value)> {
    let operand = graph.node(node.inputs[index].node);
    let Op::Transpose { .. } = operand.op else { return None };
    if !is_multiplied(node, index) {
        return None;
    }
    let source = operand.inputs[0];
    let inside = |body: &Nested| transpose_input(&body.0, index, &operand.op, graph.type_of(source));
    let mut op = node.op.clone();
    match &mut op {
        Op::While { cond, body } => (*cond, *body) = (inside(cond), inside(body)),
        Op::Scan { body, .. } => *body = inside(body),
        other => unreachable!("{other:?} is not a loop"),
    }
    Some((op, source))
}

/// True if a node does nothing but multiply by operand `index`.
fn is_multiplied(node: &Node, index: usize) -> bool {
    let inside = |body: &Nested| {
        let input = input_node(&body.0, index);
        let reads = |values: &[Value]| values.iter().any(|v| v.node == input);
        let multiplies =
            |node: &Node| (0..node.inputs.len()).all(|i| node.inputs[i].node != input || is_multiplied(node, i));
        !reads(&body.0.outputs) && body.0.nodes.iter().all(multiplies)
    };
    let is_fixed = first_fixed(node).is_some_and(|first| index >= first);
    match &node.op {
        Op::Dot { .. } => index < 2,
        Op::While { cond, body } => is_fixed && inside(cond) && inside(body),
        Op::Scan { body, .. } => is_fixed && inside(body),
        _ => false,
    }
}

fn input_node(graph: &Graph, index: usize) -> NodeId {
    let input = graph.nodes.iter().position(|node| node.op == Op::Input(index as u32));
    input.unwrap_or_else(|| unreachable!("graphs have a node for each input")) as NodeId
}

/// The body with a transposition after input `index`.
fn transpose_input(body: &Graph, index: usize, transpose: &Op, source: &TensorType) -> Nested {
    let mut graph = body.clone();
    let input = input_node(body, index);
    // Nodes are in topological order: those after the input move by one.
    let values = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).chain(&mut graph.outputs);
    values.filter(|v| v.node >= input).for_each(|v| v.node += 1);
    let original = &mut graph.nodes[input as usize];
    let types = std::mem::replace(&mut original.types, vec![source.clone()]);
    let scope = original.scope;
    let transposed = Node { op: transpose.clone(), inputs: vec![Value::first(input)], types, scope };
    graph.nodes.insert(input as usize + 1, transposed);
    graph.inputs[index] = source.clone();
    Nested(Arc::new(graph))
}
