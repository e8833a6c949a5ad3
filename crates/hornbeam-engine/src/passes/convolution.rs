//! Fuses a 2x2 max pooling into its convolution, and all gradients of a convolution (kernel, input, bias, through the
//! relu and the pooling that follow it) into one operation.
//!
//! The full result of a pooled convolution then never reaches memory: the forward pass stores the maxima, and for
//! each the one-byte code of the position that receives the gradient.

use std::collections::{HashMap, HashSet};

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::Compare;
use hornbeam_kernels::reduce::Reduce;

use crate::error::Result;
use crate::graph::{Epilogue, GradSource, Graph, Limit, Node, NodeId, Op, PoolKind, Value, Window};
use crate::passes::builder::Builder;
use crate::passes::eliminate_dead;
use crate::types::TensorType;

/// Return the graph with convolutions, poolings and gradients fused where possible.
pub fn fuse(graph: Graph) -> Result<Graph> {
    let plan = FusionPlan::new(&graph);
    if plan.pools.is_empty() && plan.backward.is_empty() {
        return Ok(graph);
    }
    let (mut builder, _) = Builder::with_inputs(&graph.inputs)?;
    builder.reserve(graph.nodes.len());
    let mut renamed: Vec<Vec<Value>> = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        // The results of a group are computed at its first member. Nodes that only a group reads are not computed at
        // all.
        if !renamed[id].is_empty() || plan.absorbed.contains(&(id as NodeId)) {
            continue;
        }
        builder.scope = node.scope;
        let rename = |v: Value| renamed[v.node as usize][v.output as usize];
        if let Some(conv) = plan.pools.get(&(id as NodeId)) {
            renamed[id] = emit_conv_pool(&mut builder, graph.node(*conv), node, &rename)?;
        } else if let Some(group) = plan.backward.get(&(id as NodeId)) {
            let results = group.emit(&mut builder, &graph, &rename)?;
            for (member, value) in group.members().zip(results) {
                renamed[member as usize] = vec![value];
            }
        } else {
            let inputs = node.inputs.iter().map(|&v| rename(v)).collect();
            renamed[id] = builder.emit(node.op.clone(), inputs, node.types.clone())?;
        }
    }
    builder.graph.outputs = graph.outputs.iter().map(|v| renamed[v.node as usize][v.output as usize]).collect();
    Ok(eliminate_dead(builder.graph))
}

/// Emit the convolution `conv` and the pooling that follows it. Results: maxima, codes.
fn emit_conv_pool(
    builder: &mut Builder,
    conv: &Node,
    pool: &Node,
    rename: &dyn Fn(Value) -> Value,
) -> Result<Vec<Value>> {
    let Op::Conv { window, groups, epilogue } = &conv.op else { unreachable!("the plan lists convolutions") };
    let op = Op::ConvPool { window: window.clone(), groups: *groups, epilogue: *epilogue };
    builder.scope = conv.scope;
    let codes = TensorType::new(DType::U8, pool.types[0].shape.clone());
    builder.emit(op, conv.inputs.iter().map(|&v| rename(v)).collect(), vec![pool.types[0].clone(), codes])
}

/// The gradients of one convolution, computed by one operation.
struct GradientGroup {
    kernel: NodeId,
    input: Option<NodeId>,
    bias: Option<NodeId>,
    source: GradSource,
    /// The gradient of the (pooled) result.
    dy: Value,
    /// The result of the relu or the pooling that follows the convolution.
    activation: Option<Value>,
}

impl GradientGroup {
    /// In the order of the results.
    fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        [Some(self.kernel), self.input, self.bias].into_iter().flatten()
    }

    fn emit(&self, builder: &mut Builder, graph: &Graph, rename: &dyn Fn(Value) -> Value) -> Result<Vec<Value>> {
        let kernel = graph.node(self.kernel);
        let Op::ConvKernelGrad { window, groups } = &kernel.op else { unreachable!("the plan lists kernel gradients") };
        builder.scope = kernel.scope;
        let mut operands = vec![rename(kernel.inputs[0]), rename(self.dy)];
        operands.extend(self.activation.map(|v| {
            let value = rename(v);
            let output = if self.source == GradSource::Pooled { 1 } else { value.output };
            Value { output, ..value }
        }));
        operands.extend(self.input.map(|id| rename(graph.node(id).inputs[1])));
        let op = Op::ConvBackward {
            window: window.clone(),
            groups: *groups,
            source: self.source,
            input: self.input.is_some(),
            bias: self.bias.is_some(),
        };
        let types: Vec<TensorType> = self.members().map(|id| graph.node(id).types[0].clone()).collect();
        builder.emit(op, operands, types)
    }
}

/// The nodes to fuse.
#[derive(Default)]
struct FusionPlan {
    /// Poolings, and the convolution that each is fused into.
    pools: HashMap<NodeId, NodeId>,
    /// Groups of gradients by their first member.
    backward: HashMap<NodeId, GradientGroup>,
    /// Nodes without readers after the fusion.
    absorbed: HashSet<NodeId>,
}

struct Finder<'a> {
    graph: &'a Graph,
    /// The readers of the first result of each node, once per read; outputs of the graph are `NodeId::MAX`.
    readers: Vec<Vec<NodeId>>,
}

impl FusionPlan {
    fn new(graph: &Graph) -> FusionPlan {
        let finder = Finder::new(graph);
        let mut plan = FusionPlan::default();
        let mut claimed = HashSet::new();
        for id in 0..graph.nodes.len() as NodeId {
            let Some(mut group) = finder.backward(id, &claimed) else { continue };
            if let Some((pool, conv, absorbed)) = finder.through_pool(&mut group) {
                plan.pools.insert(pool, conv);
                plan.absorbed.extend(absorbed);
            }
            // A single kernel gradient stays an operation of its own.
            if group.members().count() > 1 || group.source != GradSource::Plain {
                claimed.extend(group.members());
                plan.backward.insert(group.members().min().unwrap_or(id), group);
            }
        }
        for id in 0..graph.nodes.len() as NodeId {
            if let Some(conv) = finder.pooled_only(id) {
                plan.pools.insert(id, conv);
                plan.absorbed.insert(conv);
            }
        }
        plan
    }
}

impl<'a> Finder<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|v| readers[v.node as usize].push(id as NodeId));
        }
        graph.outputs.iter().for_each(|v| readers[v.node as usize].push(NodeId::MAX));
        Finder { graph, readers }
    }

    fn readers(&self, value: Value) -> &[NodeId] {
        &self.readers[value.node as usize]
    }

    /// The group of the kernel gradient `id`. `claimed` gradients belong to other convolutions, whose results were
    /// added to this one's.
    fn backward(&self, id: NodeId, claimed: &HashSet<NodeId>) -> Option<GradientGroup> {
        let node = self.graph.node(id);
        let Op::ConvKernelGrad { window, groups } = &node.op else { return None };
        if !node.types[0].dtype.is_float() {
            return None;
        }
        let (x, dz) = (node.inputs[0], node.inputs[1]);
        let same_conv = |&other: &NodeId| {
            let Some(op) = self.op(other) else { return false };
            let fits = matches!(op, Op::ConvInputGrad { window: w, groups: g } if w == window && g == groups);
            let other = self.graph.node(other);
            fits && other.inputs[0] == dz && other.types[0] == *self.graph.type_of(x)
        };
        let free = || self.readers(dz).iter().copied().filter(|reader| !claimed.contains(reader));
        let input = free().find(same_conv);
        let bias = free().find(|&r| self.sums_pixels(r, dz));
        let mut group = GradientGroup { kernel: id, input, bias, source: GradSource::Plain, dy: dz, activation: None };
        if self.readers(dz).len() == group.members().count() {
            if let Some((dy, y)) = self.relu_gradient(dz) {
                group = GradientGroup { source: GradSource::Relu, dy, activation: Some(y), ..group };
            }
        }
        let ready = group.members().all(|member| self.ready(&group, member));
        ready.then_some(group)
    }

    /// Return whether all operands of the group are computed before `member`, so that the group can be computed there.
    fn ready(&self, group: &GradientGroup, member: NodeId) -> bool {
        let x = self.graph.node(group.kernel).inputs[0];
        let w = group.input.map(|id| self.graph.node(id).inputs[1]);
        [Some(x), w, Some(group.dy), group.activation].into_iter().flatten().all(|v| v.node < member)
    }

    /// Return whether `id` is the sum of `value` over all axes but the last.
    fn sums_pixels(&self, id: NodeId, value: Value) -> bool {
        let rank = self.graph.type_of(value).rank();
        matches!(self.op(id), Some(Op::Reduce { op: Reduce::Sum, axes }) if axes.iter().copied().eq(0..rank - 1))
    }

    fn op(&self, id: NodeId) -> Option<&Op> {
        (id != NodeId::MAX).then(|| &self.graph.node(id).op)
    }

    /// `(dy, y)` if `value` is `dy where y > 0, else 0`.
    fn relu_gradient(&self, value: Value) -> Option<(Value, Value)> {
        let node = self.graph.node(value.node);
        let Op::Select = node.op else { return None };
        let condition = self.graph.node(node.inputs[0].node);
        let zero = |v: Value| self.graph.literal(v).is_some_and(|bytes| bytes == [0; 8]);
        let positive = matches!(&condition.op, Op::Compare(c) if Some(*c) == Compare::parse("gt"));
        let same = positive && self.graph.type_of(condition.inputs[0]) == self.graph.type_of(value);
        (same && zero(condition.inputs[1]) && zero(node.inputs[2])).then(|| (node.inputs[1], condition.inputs[0]))
    }

    /// Extend a group through the pooling that follows the convolution, if the full result has no other reader.
    /// Return the pooling, the convolution, and the nodes without readers.
    ///
    /// The relu's mask is already applied to the pooled gradient (`identities::relu_before_pool`): where it is false,
    /// the codes name no position, and the gradient is zero.
    fn through_pool(&self, group: &mut GradientGroup) -> Option<(NodeId, NodeId, Vec<NodeId>)> {
        let scatter = self.graph.node(group.dy.node);
        let Op::Pool { kind: PoolKind::MaxScatter, window } = &scatter.op else { return None };
        let (y, dy) = (scatter.inputs[0], scatter.inputs[1]);
        let Op::Conv { epilogue, .. } = &self.graph.node(y.node).op else { return None };
        if !self.can_pool(y) {
            return None;
        }
        let pool = self.readers(y).iter().copied().find(|&r| self.pools(r, window))?;
        let masked = || self.relu_gradient(dy).is_some_and(|(_, result)| result == Value::first(pool));
        let only_readers = self.readers(y).len() == 2 && self.readers(group.dy).len() == group.members().count();
        if group.source != GradSource::Plain
            || !is_2x2(window)
            || !only_readers
            || (epilogue.relu.is_some() && !masked())
        {
            return None;
        }
        let absorbed = vec![y.node, group.dy.node];
        *group = GradientGroup { source: GradSource::Pooled, dy, activation: Some(Value::first(pool)), ..*group };
        if group.bias.is_none() {
            let bias = self.readers(dy).iter().copied().find(|&r| self.sums_pixels(r, dy));
            group.bias = bias.filter(|&bias| self.ready(group, bias));
        }
        Some((pool, y.node, absorbed))
    }

    fn pools(&self, id: NodeId, window: &Window) -> bool {
        matches!(self.op(id), Some(Op::Pool { kind: PoolKind::Max, window: w }) if w == window)
    }

    /// The convolution whose only reader is the pooling `id`.
    fn pooled_only(&self, id: NodeId) -> Option<NodeId> {
        let node = self.graph.node(id);
        let Op::Pool { kind: PoolKind::Max, window } = &node.op else { return None };
        let y = node.inputs[0];
        (self.can_pool(y) && is_2x2(window) && self.readers(y).len() == 1).then_some(y.node)
    }

    /// Return whether a kernel convolves and pools: floats, whose relu has no limit.
    fn can_pool(&self, convolution: Value) -> bool {
        let node = self.graph.node(convolution.node);
        let unlimited = |epilogue: &Epilogue| epilogue.relu.is_none_or(|limit| limit == Limit::NONE);
        matches!(&node.op, Op::Conv { epilogue, .. } if unlimited(epilogue))
            && self.graph.type_of(node.inputs[0]).dtype.is_float()
    }
}

/// Return whether windows are 2x2, adjacent, and without padding.
pub(super) fn is_2x2(window: &Window) -> bool {
    window.size == [2, 2]
        && window.strides == [2, 2]
        && window.dilation == [1, 1]
        && window.padding.iter().all(|p| *p == (0, 0))
}
