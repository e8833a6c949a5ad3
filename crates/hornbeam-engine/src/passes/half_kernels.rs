//! Lets normalizations, moments and attention of 16-bit floats that are computed in `float32` read and write the 16-bit floats
//! themselves.
//!
//! Their kernels widen elements as they read them and round results as they write them, so results have the same bits as
//! with conversions before and after, without the memory of the wide operands. Only gradients of attention differ within
//! rounding, since they receive the rounded output.

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;

use crate::graph::{Graph, Node, NodeId, Op, RowKernel, Value};
use crate::passes::{eliminate_dead, use_counts};

/// Return the graph with such kernels.
pub fn narrow(mut graph: Graph) -> Graph {
    let uses = use_counts(&graph);
    narrow_attention(&mut graph, &uses);
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

/// Let attention whose operands were converted from 16-bit floats, and whose results are converted to them, read and write
/// them: the forward pass together with the backward passes that read its output. They receive it rounded, as the rest of
/// the graph does.
fn narrow_attention(graph: &mut Graph, uses: &[Vec<u32>]) {
    let readers = Readers::new(graph);
    for id in 0..graph.nodes.len() as NodeId {
        let Op::Attention(attention) = &graph.node(id).op else { continue };
        let mut passes = vec![id];
        if !attention.backward {
            passes.extend_from_slice(Readers::of(&readers.backward, id, 0));
        } else if readers.backward.values().flatten().any(|&other| other == id) {
            continue; // with its forward pass
        }
        let matches: Option<Vec<_>> = passes.iter().map(|&id| match_attention(graph, uses, &readers, id)).collect();
        let Some(matches) = matches.filter(|m| m.iter().all(|(half, _)| *half == m[0].0)) else { continue };
        for (&id, (half, sources)) in passes.iter().zip(matches) {
            narrow_pass(graph, &readers, id, half, sources);
        }
    }
}

/// Let one pass of attention read `sources`, and write results of the dtype `half`.
fn narrow_pass(graph: &mut Graph, readers: &Readers, id: NodeId, half: DType, sources: Vec<(usize, Value)>) {
    let node = &mut graph.nodes[id as usize];
    let Op::Attention(attention) = &node.op else { return };
    let results = attention.narrow_results();
    sources.into_iter().for_each(|(index, source)| node.inputs[index] = source);
    for output in 0..results {
        graph.nodes[id as usize].types[output].dtype = half;
        for &conversion in Readers::of(&readers.conversions, id, output) {
            // There is nothing to convert.
            graph.nodes[conversion as usize].op = Op::Reshape;
        }
    }
}

/// Nodes that read a result of an attention: conversions, and backward passes that read an output.
#[derive(Default)]
struct Readers {
    conversions: HashMap<Value, Vec<NodeId>>,
    backward: HashMap<Value, Vec<NodeId>>,
}

impl Readers {
    fn new(graph: &Graph) -> Readers {
        let mut readers = Readers::default();
        for (id, node) in graph.nodes.iter().enumerate() {
            let (of, value) = match &node.op {
                Op::Convert => (&mut readers.conversions, node.inputs[0]),
                Op::Attention(layer) if layer.backward => (&mut readers.backward, node.inputs[layer.output_operand()]),
                _ => continue,
            };
            if matches!(graph.node(value.node).op, Op::Attention(_)) {
                of.entry(value).or_default().push(id as NodeId);
            }
        }
        readers
    }

    /// Those in `readers` of a result of a node.
    fn of(readers: &HashMap<Value, Vec<NodeId>>, node: NodeId, output: usize) -> &[NodeId] {
        readers.get(&Value { node, output: output as u32 }).map_or(&[], |ids| ids)
    }
}

/// The 16-bit dtype that the operands of an attention are converted from and its results to, and these operands. The output
/// of another attention among them stays.
fn match_attention(
    graph: &Graph,
    uses: &[Vec<u32>],
    readers: &Readers,
    id: NodeId,
) -> Option<(DType, Vec<(usize, Value)>)> {
    let node = graph.node(id);
    let Op::Attention(attention) = &node.op else { return None };
    let half = graph.type_of(converted_from(graph, node.inputs[0])?).dtype;
    if !half.is_half() || node.types[0].dtype != DType::F32 {
        return None;
    }
    let is_converted = |output: usize| {
        let conversions = Readers::of(&readers.conversions, id, output);
        let backward = Readers::of(&readers.backward, id, output).len();
        conversions.iter().all(|&conversion| graph.node(conversion).types[0].dtype == half)
            && uses[id as usize][output] as usize == conversions.len() + backward
    };
    if !(0..attention.narrow_results()).all(is_converted) {
        return None;
    }
    let output = attention.output_operand();
    let operands = if attention.backward { vec![0, 1, 2, output, output + 3] } else { vec![0, 1, 2] };
    let is_output =
        |index: usize| index == output && matches!(graph.node(node.inputs[index].node).op, Op::Attention(_));
    let source = |index: usize| {
        let source = converted_from(graph, node.inputs[index])?;
        (graph.type_of(source).dtype == half).then_some((index, source))
    };
    Some((half, operands.into_iter().filter(|&index| !is_output(index)).map(source).collect::<Option<_>>()?))
}

/// The normalization whose result `node` alone reads and converts to the dtype of its operands, and the operands that were
/// converted from it.
fn match_norm(graph: &Graph, uses: &[Vec<u32>], node: &Node) -> Option<(NodeId, Vec<(usize, Value)>)> {
    let half = node.types[0].dtype;
    if !matches!(node.op, Op::Convert) || !half.is_half() {
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
    (is_wide && graph.type_of(source).dtype.is_half()).then_some(source)
}

/// The operand of the conversion that `value` is.
fn converted_from(graph: &Graph, value: Value) -> Option<Value> {
    let node = graph.node(value.node);
    node.inputs.first().filter(|_| matches!(node.op, Op::Convert)).copied()
}
