//! Lets normalizations and moments of 16-bit floats that are computed in `float32` read and write the 16-bit floats themselves.
//!
//! Their kernels widen elements as they read them and round results as they write them, so results have the same bits as
//! with conversions before and after, without the memory of the wide operands.

use hornbeam_kernels::dtype::DType;

use crate::graph::{Graph, Node, NodeId, Op, RowKernel, Value};
use crate::passes::{eliminate_dead, use_counts};

/// Return the graph with such normalizations.
pub fn narrow(mut graph: Graph) -> Graph {
    let uses = use_counts(&graph);
    for id in 0..graph.nodes.len() as NodeId {
        if let Some(source) = match_moments(&graph, graph.node(id)) {
            graph.nodes[id as usize].inputs[0] = source;
        } else if let Some((norm, sources)) = match_norm(&graph, &uses, graph.node(id)) {
            let half = graph.node(id).types[0].dtype;
            let node = &mut graph.nodes[norm as usize];
            node.types[0].dtype = half;
            sources.into_iter().for_each(|(index, source)| node.inputs[index] = source);
            // The conversion of the result has nothing to convert.
            graph.nodes[id as usize].op = Op::Reshape;
        }
    }
    eliminate_dead(graph)
}

/// The normalization whose result `node` alone reads and converts to the dtype of its operands, and the operands that were
/// converted from it.
fn match_norm(graph: &Graph, uses: &[Vec<u32>], node: &Node) -> Option<(NodeId, Vec<(usize, Value)>)> {
    let half = node.types[0].dtype;
    if !matches!(node.op, Op::Convert) || !matches!(half, DType::F16 | DType::BF16) {
        return None;
    }
    let result = node.inputs[0];
    let norm = graph.node(result.node);
    let Op::Rows(kernel) = &norm.op else { return None };
    let operands: &[usize] = match kernel {
        RowKernel::LayerNorm { .. } | RowKernel::RmsNorm { .. } => &[0],
        RowKernel::LayerNormVjp { .. } => &[0, 3],
        RowKernel::RmsNormVjp { .. } => &[0, 2],
        RowKernel::GroupNorm { .. } => &[0],
        RowKernel::GroupNormGrad { .. } => &[0, 2],
        _ => return None,
    };
    if result.output != 0 || norm.types[0].dtype != DType::F32 || uses[result.node as usize][0] != 1 {
        return None;
    }
    let source = |&index: &usize| {
        let source = converted_from(graph, norm.inputs[index])?;
        (graph.type_of(source).dtype == half).then_some((index, source))
    };
    Some((result.node, operands.iter().map(source).collect::<Option<_>>()?))
}

/// The 16-bit floats that `node` computes the moments of.
fn match_moments(graph: &Graph, node: &Node) -> Option<Value> {
    let Op::Moments { .. } = node.op else { return None };
    let source = converted_from(graph, node.inputs[0])?;
    let is_wide = graph.type_of(node.inputs[0]).dtype == DType::F32;
    (is_wide && matches!(graph.type_of(source).dtype, DType::F16 | DType::BF16)).then_some(source)
}

/// The operand of the conversion that `value` is.
fn converted_from(graph: &Graph, value: Value) -> Option<Value> {
    let node = graph.node(value.node);
    node.inputs.first().filter(|_| matches!(node.op, Op::Convert)).copied()
}
