//! Convolutions and their neighbours: a 2x2 max pooling rides on its convolution, and the gradients of a convolution
//! (kernel, input, bias, through the relu and the pooling behind it) become one operation.
//!
//! The result of a pooled convolution then never reaches memory: forward keeps the maxima and one byte each that says
//! where the gradient goes.

use std::collections::{HashMap, HashSet};

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::Compare;
use hornbeam_kernels::reduce::Reduce;

use crate::error::Result;
use crate::graph::{GradSource, Graph, Node, NodeId, Op, PoolKind, Value, Window};
use crate::passes::builder::Builder;
use crate::passes::eliminate_dead;
use crate::types::TensorType;

/// The same graph with convolutions, poolings and gradients brought together where they fit.
pub fn merge(graph: Graph) -> Result<Graph> {
    let plan = Plan::new(&graph);
    if plan.pools.is_empty() && plan.backward.is_empty() {
        return Ok(graph);
    }
    let (mut builder, _) = Builder::with_inputs(&graph.inputs)?;
    builder.reserve(graph.nodes.len());
    let mut renamed: Vec<Vec<Value>> = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        // Results of a group are all made at its first member; what only a group read is not made at all.
        if !renamed[id].is_empty() || plan.absorbed.contains(&(id as NodeId)) {
            continue;
        }
        builder.scope = node.scope;
        let rename = |v: Value| renamed[v.node as usize][v.output as usize];
        if let Some(conv) = plan.pools.get(&(id as NodeId)) {
            renamed[id] = pooled(&mut builder, graph.node(*conv), node, &rename)?;
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

/// The convolution `conv` and the pooling behind it; results: maxima, codes.
fn pooled(builder: &mut Builder, conv: &Node, pool: &Node, rename: &dyn Fn(Value) -> Value) -> Result<Vec<Value>> {
    let Op::Conv { window, groups, epilogue } = &conv.op else { unreachable!("planned for convolutions") };
    let op = Op::ConvPool { window: window.clone(), groups: *groups, epilogue: *epilogue };
    builder.scope = conv.scope;
    let codes = TensorType::new(DType::U8, pool.types[0].shape.clone());
    builder.emit(op, conv.inputs.iter().map(|&v| rename(v)).collect(), vec![pool.types[0].clone(), codes])
}

/// The gradients of one convolution.
struct Backward {
    kernel: NodeId,
    input: Option<NodeId>,
    bias: Option<NodeId>,
    source: GradSource,
    /// The gradient of the (pooled) result, and the result of the relu or the pooling behind the convolution.
    dy: Value,
    beside: Option<Value>,
}

impl Backward {
    /// In the order of the results.
    fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        [Some(self.kernel), self.input, self.bias].into_iter().flatten()
    }

    fn emit(&self, builder: &mut Builder, graph: &Graph, rename: &dyn Fn(Value) -> Value) -> Result<Vec<Value>> {
        let kernel = graph.node(self.kernel);
        let Op::ConvKernelGrad { window, groups } = &kernel.op else { unreachable!("planned for kernel gradients") };
        builder.scope = kernel.scope;
        let mut operands = vec![rename(kernel.inputs[0]), rename(self.dy)];
        operands.extend(self.beside.map(|v| {
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

/// What is to be merged.
#[derive(Default)]
struct Plan {
    /// Poolings, and the convolution that each takes in.
    pools: HashMap<NodeId, NodeId>,
    /// Groups of gradients by their first member.
    backward: HashMap<NodeId, Backward>,
    /// Nodes that nothing reads afterwards and that could not be made any more.
    absorbed: HashSet<NodeId>,
}

struct Finder<'a> {
    graph: &'a Graph,
    /// Who reads the first result of each node, once per read; outputs of the graph as `NodeId::MAX`.
    readers: Vec<Vec<NodeId>>,
}

impl Plan {
    fn new(graph: &Graph) -> Plan {
        let finder = Finder::new(graph);
        let mut plan = Plan::default();
        let mut taken = HashSet::new();
        for id in 0..graph.nodes.len() as NodeId {
            let Some(mut group) = finder.backward(id, &taken) else { continue };
            if let Some((pool, conv, absorbed)) = finder.through_pool(&mut group) {
                plan.pools.insert(pool, conv);
                plan.absorbed.extend(absorbed);
            }
            // A kernel's gradient alone has nothing to share.
            if group.members().count() > 1 || group.source != GradSource::Plain {
                taken.extend(group.members());
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

    /// The gradients that go together with the kernel gradient `id`; those that are `taken` are of other convolutions,
    /// whose results were added to this one's.
    fn backward(&self, id: NodeId, taken: &HashSet<NodeId>) -> Option<Backward> {
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
        let free = || self.readers(dz).iter().copied().filter(|reader| !taken.contains(reader));
        let input = free().find(same_conv);
        let bias = free().find(|&r| self.sums_pixels(r, dz));
        let mut group = Backward { kernel: id, input, bias, source: GradSource::Plain, dy: dz, beside: None };
        if self.readers(dz).len() == group.members().count() {
            if let Some((dy, y)) = self.relu_gradient(dz) {
                group = Backward { source: GradSource::Relu, dy, beside: Some(y), ..group };
            }
        }
        let ready = group.members().all(|member| self.ready(&group, member));
        ready.then_some(group)
    }

    /// Whether all operands of the group are there before `member`, so that it could be made in that place.
    fn ready(&self, group: &Backward, member: NodeId) -> bool {
        let x = self.graph.node(group.kernel).inputs[0];
        let w = group.input.map(|id| self.graph.node(id).inputs[1]);
        [Some(x), w, Some(group.dy), group.beside].into_iter().flatten().all(|v| v.node < member)
    }

    /// Whether `id` is the sum of `value` over all axes but the last.
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

    /// Sends a group's gradient through the pooling behind the convolution, if nothing else needs the full result.
    /// Returns the pooling, the convolution, and what is not needed any more.
    ///
    /// The relu's mask is already on the pooled gradient (`identities::relu_before_pool`): where it is off, the codes
    /// have no place to send a gradient to, and there is none to send.
    fn through_pool(&self, group: &mut Backward) -> Option<(NodeId, NodeId, Vec<NodeId>)> {
        let scatter = self.graph.node(group.dy.node);
        let Op::Pool { kind: PoolKind::MaxScatter, window } = &scatter.op else { return None };
        let (y, dy) = (scatter.inputs[0], scatter.inputs[1]);
        let Op::Conv { epilogue, .. } = &self.graph.node(y.node).op else { return None };
        let pool = self.readers(y).iter().copied().find(|&r| self.pools(r, window))?;
        let masked = || self.relu_gradient(dy).is_some_and(|(_, by)| by == Value::first(pool));
        let alone = self.readers(y).len() == 2 && self.readers(group.dy).len() == group.members().count();
        if group.source != GradSource::Plain || !halves(window) || !alone || (epilogue.relu && !masked()) {
            return None;
        }
        let absorbed = vec![y.node, group.dy.node];
        *group = Backward { source: GradSource::Pooled, dy, beside: Some(Value::first(pool)), ..*group };
        if group.bias.is_none() {
            let bias = self.readers(dy).iter().copied().find(|&r| self.sums_pixels(r, dy));
            group.bias = bias.filter(|&bias| self.ready(group, bias));
        }
        Some((pool, y.node, absorbed))
    }

    fn pools(&self, id: NodeId, window: &Window) -> bool {
        matches!(self.op(id), Some(Op::Pool { kind: PoolKind::Max, window: w }) if w == window)
    }

    /// The convolution that only the pooling `id` reads.
    fn pooled_only(&self, id: NodeId) -> Option<NodeId> {
        let node = self.graph.node(id);
        let Op::Pool { kind: PoolKind::Max, window } = &node.op else { return None };
        let y = node.inputs[0];
        let conv = matches!(self.graph.node(y.node).op, Op::Conv { .. }) && node.types[0].dtype.is_float();
        (conv && halves(window) && self.readers(y).len() == 1).then_some(y.node)
    }
}

/// 2x2 windows side by side, without padding.
fn halves(window: &Window) -> bool {
    window.size == [2, 2]
        && window.strides == [2, 2]
        && window.dilation == [1, 1]
        && window.padding.iter().all(|p| *p == (0, 0))
}
