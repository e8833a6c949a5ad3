//! Passes from a decoded graph to one that is ready to be lowered.
//!
//! [`builder`] rewrites while nodes are added (folding, identities, common subexpressions), [`bias_relu`] fuses bias
//! and relu into contractions, [`int8_padding`] and [`int8_epilogue`] what precedes and follows convolutions of integers,
//! [`padding`] moves paddings into convolutions, [`convolution`] fuses their poolings and gradients, [`fuse`] groups
//! elementwise nodes and orders the groups, [`remat`] selects the values that groups recompute instead of storing.
//! [`loop_operands`] spares loops copies of transposed operands, [`half_kernels`] spares normalizations and
//! attention conversions.
//! Of the lowered program, [`order`] moves instructions, and [`memory_budget`] repeats some.

pub mod bias_relu;
pub mod builder;
pub mod convolution;
pub mod fuse;
pub mod half_kernels;
pub mod int8_epilogue;
pub mod int8_padding;
pub mod loop_operands;
pub mod memory_budget;
pub mod order;
pub mod padding;
pub mod step_cost;

pub mod remat;

use crate::graph::{Graph, NodeId, Op};

/// Remove the nodes that no output depends on. Inputs stay.
pub fn eliminate_dead(mut graph: Graph) -> Graph {
    let mut live = vec![false; graph.nodes.len()];
    for output in &graph.outputs {
        live[output.node as usize] = true;
    }
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if live[index] {
            node.inputs.iter().for_each(|v| live[v.node as usize] = true);
        } else if matches!(node.op, Op::Input(_)) {
            live[index] = true;
        }
    }
    let mut renamed = vec![NodeId::MAX; graph.nodes.len()];
    let (mut index, mut next) = (0, 0);
    graph.nodes.retain_mut(|node| {
        let keep = live[index];
        if keep {
            renamed[index] = next;
            next += 1;
            node.inputs.iter_mut().for_each(|v| v.node = renamed[v.node as usize]);
        }
        index += 1;
        keep
    });
    graph.outputs.iter_mut().for_each(|v| v.node = renamed[v.node as usize]);
    graph
}

/// Count the reads of every output of every node. Outputs of the graph are reads.
pub fn use_counts(graph: &Graph) -> Vec<Vec<u32>> {
    let mut counts: Vec<Vec<u32>> = graph.nodes.iter().map(|n| vec![0; n.types.len()]).collect();
    let reads = graph.nodes.iter().flat_map(|n| n.inputs.iter()).chain(&graph.outputs);
    for value in reads {
        counts[value.node as usize][value.output as usize] += 1;
    }
    counts
}
