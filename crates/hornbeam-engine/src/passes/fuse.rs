//! Groups elementwise nodes into clusters that run as one loop, and orders the groups.
//!
//! Reductions join clusters: a loop folds its values while the block is in cache. The results of folds are complete
//! only when the loop ends, so their readers run after it.
//!
//! Nodes are visited in order, folds right after their operand. An elementwise node joins an open cluster that computes one of its operands over the
//! same number of elements (reshapes do not matter: the loop runs over flat indices), and clusters that share a
//! reader are merged. A cluster is closed when a node outside reads one of its values. Since a closed cluster runs as
//! one loop, a node may join only if that creates no cycle through other open clusters.

use std::collections::HashMap;

use hornbeam_kernels::reduce::{self, BlockFold};

use crate::fused::IterationSpace;
use crate::graph::{Graph, Node, NodeId, Op, Value};
use crate::types::TensorType;

/// Maximum number of nodes of a cluster, so that its lanes stay in cache.
pub const MAX_NODES: usize = 160;
/// Maximum number of values that a cluster reads.
pub const MAX_READS: usize = 40;
/// Loops over at most this many elements take about as long as the start of one.
const SMALL_LOOP: usize = 1 << 12;
/// Accumulators of one fold that stay in cache with the lanes.
const MAX_INNER: usize = 4096;
/// Groups of columns of fewer elements are too small to be folded by a loop.
const MIN_GROUP: usize = 512;

/// The fold of a reduction.
pub fn fold_of(op: &Op) -> Option<BlockFold> {
    match op {
        Op::Reduce { op, .. } => Some(BlockFold::Reduce(*op)),
        Op::Moments { .. } => Some(BlockFold::Moments),
        _ => None,
    }
}

/// The iteration space of a fold over adjacent axes.
pub fn space(graph: &Graph, node: &Node) -> Option<IterationSpace> {
    let (Op::Reduce { axes, .. } | Op::Moments { axes }) = &node.op else { return None };
    let (first, last) = (*axes.first()?, *axes.last()?);
    let shape = &graph.type_of(node.inputs[0]).shape;
    let adjacent = (first..=last).all(|axis| shape[axis] == 1 || axes.contains(&axis));
    adjacent.then(|| IterationSpace {
        outer: shape[..first].iter().product(),
        n: shape[first..=last].iter().product(),
        inner: shape[last + 1..].iter().product(),
    })
}

/// Return whether a loop folds this operation efficiently. Moments have no other kernel, so loops take all of them.
fn foldable(graph: &Graph, node: &Node) -> bool {
    let Some(fold) = fold_of(&node.op) else { return false };
    let t = graph.type_of(node.inputs[0]);
    let Some(IterationSpace { outer, n, inner }) = space(graph, node) else { return false };
    let is_efficient = inner <= MAX_INNER && (outer == 1 || inner == 1 || n * inner >= MIN_GROUP);
    let supported = reduce::fold_kernels(fold, t.dtype).is_some() && t.count() > 0;
    supported && (is_efficient || fold == BlockFold::Moments)
}

/// A part of the program: one loop or one operation, run after the units before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Elementwise nodes (and reshapes between them) and folds over one iteration space, operands first.
    Cluster(Vec<NodeId>),
    /// Any other operation that is not a view.
    Single(NodeId),
}

impl Unit {
    pub fn nodes(&self) -> &[NodeId] {
        match self {
            Unit::Cluster(nodes) => nodes,
            Unit::Single(node) => std::slice::from_ref(node),
        }
    }
}

/// Return the units of a graph in execution order.
pub fn fuse(graph: &Graph) -> Vec<Unit> {
    let mut fuser = Fuser::new(graph);
    visiting_order(graph).into_iter().for_each(|id| fuser.visit(id));
    for cluster in 0..fuser.clusters.len() {
        fuser.close(cluster);
    }
    hoist(graph, fuser.units)
}

/// The nodes in an order in which folds follow their operand, so that all folds of a value join one loop: later, a reader of
/// the first may have closed it.
fn visiting_order(graph: &Graph) -> Vec<NodeId> {
    let mut folds: Vec<Vec<NodeId>> = vec![Vec::new(); graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev().filter(|(_, node)| fold_of(&node.op).is_some()) {
        folds[node.inputs[0].node as usize].push(id as NodeId);
    }
    let mut order = Vec::with_capacity(graph.nodes.len());
    let others = graph.nodes.iter().enumerate().filter(|(_, node)| fold_of(&node.op).is_none());
    for (id, _) in others {
        let mut next = vec![id as NodeId];
        while let Some(id) = next.pop() {
            order.push(id);
            next.append(&mut folds[id as usize]);
        }
    }
    order
}

#[derive(Default)]
struct Cluster {
    nodes: Vec<NodeId>,
    reads: Vec<Value>,
    count: usize,
    /// Set by the first fold; all folds have the same.
    space: Option<IterationSpace>,
    /// Open clusters whose values this one reads other than from a lane.
    dependencies: Vec<usize>,
    closed: bool,
    /// The cluster that this one was merged into.
    merged: Option<usize>,
}

struct Fuser<'a> {
    graph: &'a Graph,
    clusters: Vec<Cluster>,
    member: Vec<Option<usize>>,
    /// The last cluster that read each value: a candidate for the next reader.
    last_reader: HashMap<Value, usize>,
    units: Vec<Unit>,
}

impl<'a> Fuser<'a> {
    fn new(graph: &'a Graph) -> Self {
        Fuser {
            graph,
            clusters: Vec::new(),
            member: vec![None; graph.nodes.len()],
            last_reader: HashMap::new(),
            units: Vec::new(),
        }
    }

    fn visit(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        match &node.op {
            Op::Input(_) | Op::Constant(_) | Op::Literal(_) => {}
            op if op.is_elementwise() || foldable(self.graph, node) => self.join(id),
            Op::Reshape if self.open_lane(node.inputs[0].node).is_some() => self.join(id),
            op if op.is_view() => {}
            _ => {
                for &input in &node.inputs {
                    if let Some(cluster) = self.open_source(input) {
                        self.close(cluster);
                    }
                }
                self.units.push(Unit::Single(id));
            }
        }
    }

    fn root(&self, mut cluster: usize) -> usize {
        while let Some(next) = self.clusters[cluster].merged {
            cluster = next;
        }
        cluster
    }

    /// The open cluster that contains a node.
    fn open_member(&self, node: NodeId) -> Option<usize> {
        let cluster = self.root(self.member[node as usize]?);
        (!self.clusters[cluster].closed).then_some(cluster)
    }

    /// The open cluster that holds a node's value in a lane, block by block.
    fn open_lane(&self, node: NodeId) -> Option<usize> {
        self.open_member(node).filter(|_| fold_of(&self.graph.node(node).op).is_none())
    }

    /// The open cluster that computes `value`, seen through views.
    fn open_source(&self, mut value: Value) -> Option<usize> {
        loop {
            if let Some(cluster) = self.member[value.node as usize] {
                let cluster = self.root(cluster);
                return (!self.clusters[cluster].closed).then_some(cluster);
            }
            value = self.graph.viewed(value)?;
        }
    }

    fn join(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let space = space(self.graph, node);
        let count = if space.is_some() { self.graph.type_of(node.inputs[0]) } else { &node.types[0] }.count();
        let mut direct: Vec<usize> = Vec::new();
        let mut dependencies: Vec<usize> = Vec::new();
        let mut reads: Vec<Value> = Vec::new();
        // The key of random bits is read at every block, not element by element.
        let by_element = !matches!(node.op, Op::RandomBits);
        for &input in &node.inputs {
            match (self.open_lane(input.node), self.open_source(input)) {
                (Some(cluster), _) if by_element && self.clusters[cluster].count == count => {
                    push_unique(&mut direct, cluster)
                }
                (_, Some(cluster)) => {
                    push_unique(&mut dependencies, cluster);
                    reads.push(input);
                }
                _ => reads.push(input),
            }
        }
        let mut blockers = dependencies.clone();
        blockers.extend(&direct);
        let mut candidates = direct;
        for read in reads.iter().filter(|&&read| count <= SMALL_LOOP || !self.is_scalar(read)) {
            if let Some(&cluster) = self.last_reader.get(read) {
                let cluster = self.root(cluster);
                if !self.clusters[cluster].closed && self.clusters[cluster].count == count {
                    push_unique(&mut candidates, cluster);
                }
            }
        }
        // A value that is read from memory must be complete, so the node cannot run in the loop that writes it.
        candidates.retain(|cluster| !dependencies.contains(cluster));
        let has_space = |&&cluster: &&usize| are_compatible(self.clusters[cluster].space, space);
        let fitting: Vec<usize> = candidates.iter().filter(has_space).copied().collect();
        let target = self.choose(&fitting, &blockers, reads.len(), count);
        self.add(target, id, &dependencies, reads);
        self.clusters[target].space = self.clusters[target].space.or(space);
        candidates.retain(|&cluster| cluster != target && self.feeds(cluster, id));
        for &cluster in &candidates {
            let other = self.root(cluster);
            if other == target || self.clusters[other].closed {
                continue;
            }
            // If another operand depends on this cluster, merging would make it depend on its own reader.
            let creates_cycle =
                candidates.iter().map(|&c| self.root(c)).any(|c| c != other && c != target && self.reaches(c, other));
            if creates_cycle || !self.merge(target, other) {
                self.add_dependency(target, other);
            }
        }
    }

    /// Return whether a value is one number in memory. To share it is no reason to run two large loops as one: everything that
    /// they read would have to be in memory at the same time.
    fn is_scalar(&self, value: Value) -> bool {
        self.graph.node(source(self.graph, value)).types.iter().all(|t| t.count() == 1)
    }

    /// Return whether `id` reads a member of `cluster` directly.
    fn feeds(&self, cluster: usize, id: NodeId) -> bool {
        self.graph.node(id).inputs.iter().any(|v| self.open_lane(v.node) == Some(cluster))
    }

    /// The first candidate that can take a node that also depends on `blockers`, or a new cluster.
    fn choose(&mut self, candidates: &[usize], blockers: &[usize], reads: usize, count: usize) -> usize {
        for &cluster in candidates {
            let c = &self.clusters[cluster];
            let fits = c.nodes.len() < MAX_NODES && c.reads.len() + reads <= MAX_READS;
            let cycle = blockers.iter().any(|&b| b != cluster && self.reaches(b, cluster));
            if fits && !cycle {
                return cluster;
            }
        }
        self.clusters.push(Cluster { count, ..Cluster::default() });
        self.clusters.len() - 1
    }

    fn add(&mut self, target: usize, id: NodeId, dependencies: &[usize], reads: Vec<Value>) {
        self.member[id as usize] = Some(target);
        self.clusters[target].nodes.push(id);
        for &other in dependencies {
            push_unique(&mut self.clusters[target].dependencies, other);
        }
        for read in reads {
            self.last_reader.insert(read, target);
            push_unique(&mut self.clusters[target].reads, read);
        }
    }

    /// Return whether `from` depends on `to`, or is the same.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let to = self.root(to);
        let mut seen = vec![self.root(from)];
        let mut next = 0;
        while next < seen.len() {
            if seen[next] == to {
                return true;
            }
            for &dependency in &self.clusters[seen[next]].dependencies {
                let dependency = self.root(dependency);
                if !self.clusters[dependency].closed {
                    push_unique(&mut seen, dependency);
                }
            }
            next += 1;
        }
        false
    }

    /// Merge two clusters, if that creates no cycle and the result is not too large.
    fn merge(&mut self, target: usize, other: usize) -> bool {
        let (a, b) = (&self.clusters[target], &self.clusters[other]);
        let fits = a.nodes.len() + b.nodes.len() <= MAX_NODES && a.reads.len() + b.reads.len() <= MAX_READS;
        if !fits
            || a.count != b.count
            || !are_compatible(a.space, b.space)
            || self.reaches(target, other)
            || self.reaches(other, target)
        {
            return false;
        }
        let source = std::mem::take(&mut self.clusters[other]);
        self.clusters[other].merged = Some(target);
        let into = &mut self.clusters[target];
        into.space = into.space.or(source.space);
        into.nodes.extend(source.nodes);
        into.nodes.sort_unstable();
        source.dependencies.iter().for_each(|&d| push_unique(&mut into.dependencies, d));
        source.reads.iter().for_each(|&r| push_unique(&mut into.reads, r));
        true
    }

    /// Run `other` before `target`, which reads it from memory.
    fn add_dependency(&mut self, target: usize, other: usize) {
        debug_assert!(!self.reaches(other, target), "`choose` rejects targets that others depend on");
        push_unique(&mut self.clusters[target].dependencies, other);
    }

    /// Emit the cluster, after its dependencies.
    fn close(&mut self, cluster: usize) {
        let cluster = self.root(cluster);
        if self.clusters[cluster].closed {
            return;
        }
        self.clusters[cluster].closed = true;
        for dependency in std::mem::take(&mut self.clusters[cluster].dependencies) {
            self.close(dependency);
        }
        let nodes = std::mem::take(&mut self.clusters[cluster].nodes);
        match nodes.as_slice() {
            [] => {}
            // A reduction of a value in memory has a kernel of its own.
            [node] if matches!(self.graph.node(*node).op, Op::Reduce { .. }) => self.units.push(Unit::Single(*node)),
            _ => self.units.push(Unit::Cluster(nodes)),
        }
    }
}

/// Return whether folds over these spaces can share a loop.
fn are_compatible(a: Option<IterationSpace>, b: Option<IterationSpace>) -> bool {
    a.is_none() || b.is_none() || a == b
}

fn push_unique<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Hoist units that only compute outputs of the graph (optimizer updates) to the position after their dependencies,
/// and after the other readers of the graph inputs that they read, so that they can write in place. This frees the
/// gradients.
fn hoist(graph: &Graph, units: Vec<Unit>) -> Vec<Unit> {
    let mut producer = vec![usize::MAX; graph.nodes.len()];
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    let mut consumed = vec![false; units.len()];
    let mut reads: Vec<Vec<NodeId>> = Vec::with_capacity(units.len());
    for (index, unit) in units.iter().enumerate() {
        unit.nodes().iter().for_each(|&n| producer[n as usize] = index);
        let mut sources = Vec::new();
        for &node in unit.nodes() {
            for &input in &graph.node(node).inputs {
                push_unique(&mut sources, source(graph, input));
            }
        }
        for &s in &sources {
            match producer[s as usize] {
                usize::MAX if matches!(graph.node(s).op, Op::Input(_)) => readers.entry(s).or_default().push(index),
                usize::MAX => {}
                unit if unit != index => consumed[unit] = true,
                _ => {}
            }
        }
        reads.push(sources);
    }
    // Sort keys: the unit that a unit follows, 1 if it was hoisted, its own index.
    let mut keys: Vec<(usize, usize, usize)> = Vec::with_capacity(units.len());
    for index in 0..units.len() {
        if consumed[index] || !matches!(units[index], Unit::Cluster(_)) {
            keys.push((index, 0, index));
            continue;
        }
        let results: Vec<&TensorType> = units[index].nodes().iter().map(|&n| &graph.node(n).types[0]).collect();
        let mut follows = 0;
        for &s in &reads[index] {
            let unit = producer[s as usize];
            if unit != usize::MAX && unit != index {
                follows = follows.max(unit);
            }
            // Only an operand of a result's type can be overwritten. A learning rate has as many readers as there are
            // weights.
            if !results.contains(&&graph.node(s).types[0]) {
                continue;
            }
            for &reader in readers.get(&s).into_iter().flatten().filter(|&&r| r != index) {
                // Units that are hoisted themselves do not count.
                if consumed[reader] || matches!(units[reader], Unit::Single(_)) {
                    follows = follows.max(reader);
                }
            }
        }
        keys.push((follows, 1, index));
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&i| keys[i]);
    order.into_iter().map(|i| units[i].clone()).collect()
}

/// The node that owns the memory of a value, seen through views.
pub fn source(graph: &Graph, mut value: Value) -> NodeId {
    while let Some(viewed) = graph.viewed(value) {
        value = viewed;
    }
    value.node
}
