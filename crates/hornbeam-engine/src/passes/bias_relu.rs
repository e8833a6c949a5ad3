//! Fuses a bias, a relu and its limit into the contraction or convolution before them:
//! `min(max(dot(x, w) + bias, 0), 6)`.

use std::collections::HashMap;

use hornbeam_kernels::elementwise::Binary;

use crate::error::Result;
use crate::graph::{Epilogue, Graph, Limit, NodeId, Op, ScopeId, Value};
use crate::passes::builder::Builder;
use crate::passes::{eliminate_dead, use_counts};
use crate::rules::free_axes;
use crate::scalar;
use crate::types::TensorType;

/// Return the graph with epilogues where they apply.
pub fn fuse(graph: &Graph) -> Result<Graph> {
    rewrite(graph, match_epilogue)
}

/// Replace each value for which `matched(graph, uses, value)` returns an operation by that.
pub(super) fn rewrite(
    graph: &Graph,
    matched: impl Fn(&Graph, &[Vec<u32>], Value) -> Option<FusedContraction>,
) -> Result<Graph> {
    let uses = use_counts(graph);
    let (mut builder, _) = Builder::with_inputs(&graph.inputs)?;
    builder.reserve(graph.nodes.len());
    let mut renamed: Vec<Vec<Value>> = Vec::with_capacity(graph.nodes.len());
    // What earlier operations compute of the nodes to come.
    let mut computed: HashMap<NodeId, Value> = HashMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        if let Some(value) = computed.remove(&(id as NodeId)) {
            renamed.push(vec![value]);
            continue;
        }
        if let Op::Input(_) = node.op {
            renamed.push(builder.emit(node.op.clone(), Vec::new(), node.types.clone())?);
            continue;
        }
        builder.scope = node.scope;
        let rename = |v: Value| renamed[v.node as usize][v.output as usize];
        let results = match matched(graph, &uses, Value::first(id as u32)) {
            Some(fused) => {
                builder.scope = fused.scope;
                let mut inputs: Vec<Value> = fused.operands.iter().map(|&v| rename(v)).collect();
                for &(vector, count) in &fused.vectors {
                    let t = graph.type_of(vector);
                    let flat = TensorType::new(t.dtype, vec![t.count()]);
                    let value = builder.add(Op::Reshape, vec![rename(vector)], flat);
                    let repeated = TensorType::new(t.dtype, vec![count]);
                    inputs.push(builder.add(Op::Broadcast { dims: vec![0] }, vec![value], repeated));
                }
                let mut types = node.types.clone();
                types.extend(fused.second.map(|later| graph.node(later).types[0].clone()));
                let mut results = builder.emit(fused.op, inputs, types)?;
                computed.extend(fused.second.zip(fused.second.and_then(|_| results.pop())));
                results
            }
            None => {
                let inputs = node.inputs.iter().map(|&v| rename(v)).collect();
                builder.emit(node.op.clone(), inputs, node.types.clone())?
            }
        };
        renamed.push(results);
    }
    builder.graph.outputs = graph.outputs.iter().map(|v| renamed[v.node as usize][v.output as usize]).collect();
    Ok(eliminate_dead(builder.graph))
}

/// A contraction with its epilogue.
pub(super) struct FusedContraction {
    pub(super) op: Op,
    pub(super) operands: Vec<Value>,
    /// Further operands, which are flattened, and repeated to a count if they are one number.
    pub(super) vectors: Vec<(Value, usize)>,
    /// A later node, which is the second result.
    pub(super) second: Option<NodeId>,
    /// The scope of the contraction, which is most of the cost.
    pub(super) scope: ScopeId,
}

/// Match a contraction followed by a bias, a relu, or both, whose result is `value`.
fn match_epilogue(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    if !graph.type_of(value).dtype.is_float() {
        return None;
    }
    let Some((x, limit)) = relu(graph, uses, value) else { return biased(graph, uses, value) };
    let mut fused = biased(graph, uses, x).or_else(|| contraction(graph, x, Epilogue::default()))?;
    if let Op::Dot { epilogue, .. } | Op::Conv { epilogue, .. } = &mut fused.op {
        epilogue.relu = Some(limit);
    }
    Some(fused)
}

/// Match a contraction plus a bias.
fn biased(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<FusedContraction> {
    let (Op::Binary(Binary::Add), &[a, b]) = (&graph.node(value.node).op, &graph.node(value.node).inputs[..]) else {
        return None;
    };
    [(a, b), (b, a)].into_iter().find_map(|(x, other)| {
        let bias = is_read_once(uses, x).then(|| row_vector(graph, other)).flatten()?;
        let fused = contraction(graph, x, Epilogue { bias: true, relu: None })?;
        Some(FusedContraction { vectors: vec![bias], ..fused })
    })
}

/// Return `x` and the limit if `value` is `max(x, 0)`, `min(max(x, 0), limit)` or `max(min(x, limit), 0)`.
fn relu(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<(Value, Limit)> {
    let (outer, x, bound) = bounded(graph, uses, value)?;
    let zero = |bound: f64| bound == 0.0 && bound.is_sign_positive();
    match (outer, bounded(graph, uses, x)) {
        (Binary::Min, Some((Binary::Max, y, low))) if zero(low) => Some((y, Limit::new(bound)?)),
        (Binary::Max, Some((Binary::Min, y, high))) if zero(bound) && Limit::new(high).is_some() => {
            Some((y, Limit::new(high)?))
        }
        (Binary::Max, _) if zero(bound) => Some((x, Limit::NONE)),
        _ => None,
    }
}

/// Return the operation, `x` and the number if `value` is the maximum or minimum of them, and the only reader of `x`.
fn bounded(graph: &Graph, uses: &[Vec<u32>], value: Value) -> Option<(Binary, Value, f64)> {
    let node = graph.node(value.node);
    let Op::Binary(binary @ (Binary::Max | Binary::Min)) = node.op else { return None };
    let [a, b] = node.inputs[..] else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(x, other)| {
        let bound = scalar::to_f64(node.types[0].dtype, graph.literal(other)?);
        is_read_once(uses, x).then_some((binary, x, bound))
    })
}

pub(super) fn is_read_once(uses: &[Vec<u32>], value: Value) -> bool {
    uses[value.node as usize][value.output as usize] == 1
}

fn contraction(graph: &Graph, value: Value, new_epilogue: Epilogue) -> Option<FusedContraction> {
    let node = graph.node(value.node);
    let out = &node.types[0];
    let op = match &node.op {
        Op::Dot { contract, batch, epilogue } if *epilogue == Epilogue::default() => {
            let y = graph.type_of(node.inputs[1]);
            if y.dtype != out.dtype {
                return None;
            }
            let columns: usize = free_axes(y.rank(), &contract[1], &batch[1]).map(|a| y.shape[a]).product();
            if new_epilogue.bias && out.shape.last() != Some(&columns) {
                return None;
            }
            Op::Dot { contract: contract.clone(), batch: batch.clone(), epilogue: new_epilogue }
        }
        Op::Conv { window, groups, epilogue } if *epilogue == Epilogue::default() => {
            if graph.type_of(node.inputs[1]).dtype != out.dtype {
                return None;
            }
            Op::Conv { window: window.clone(), groups: *groups, epilogue: new_epilogue }
        }
        _ => return None,
    };
    Some(FusedContraction { op, operands: node.inputs.clone(), vectors: Vec::new(), second: None, scope: node.scope })
}

/// The operand of `value` and its length, if that is a vector broadcast along all axes but the last.
pub(super) fn row_vector(graph: &Graph, value: Value) -> Option<(Value, usize)> {
    let node = graph.node(value.node);
    let out = &node.types[0];
    let last = out.rank().checked_sub(1)?;
    let from = graph.type_of(*node.inputs.first()?);
    let along_last = match &node.op {
        Op::Broadcast { dims } => dims.last() == Some(&last) && from.shape.last() == Some(&out.shape[last]),
        // With a single row, the broadcast was simplified to a reshape.
        Op::Reshape => out.count() == out.shape[last],
        _ => false,
    };
    (along_last && from.count() == out.shape[last]).then_some((node.inputs[0], from.count()))
}
