//! Groups elementwise nodes into clusters that run as one loop, and orders the groups.
//!
//! Reductions belong to it: a loop folds what it computes while the block is in cache. The results of folds are there only
//! when the loop is over, so whoever needs them runs after it.
//!
//! Nodes are visited in their order. An elementwise node joins an open cluster that computes one of its operands over
//! the same number of elements (reshapes do not matter: the loop runs over flat indices), and clusters that meet are
//! merged. A cluster is closed when something outside it needs one of its values; since a closed cluster runs as a
//! whole, a node may join only if that makes no cycle through other open clusters.

use std::collections::HashMap;

use hornbeam_kernels::reduce::{self, BlockFold};

use crate::fused::Space;
use crate::graph::{Graph, Node, NodeId, Op, Value};
use crate::types::TensorType;

/// A cluster grows no further than this many nodes, so that its lanes stay in cache.
pub const MAX_NODES: usize = 160;
/// Nor may it read more than this many different values.
pub const MAX_READS: usize = 40;
/// Accumulators of one fold that stay in cache beside the lanes.
const MAX_INNER: usize = 4096;
/// Below this, groups of columns are too small to be folded on their own.
const MIN_GROUP: usize = 512;

/// The fold that an operation is, if it is one.
pub fn fold_of(op: &Op) -> Option<BlockFold> {
    match op {
        Op::Reduce { op, .. } => Some(BlockFold::Reduce(*op)),
        Op::Moments { .. } => Some(BlockFold::Moments),
        _ => None,
    }
}

/// The iteration space of a fold, if it folds neighbouring axes.
pub fn space(graph: &Graph, node: &Node) -> Option<Space> {
    let (Op::Reduce { axes, .. } | Op::Moments { axes }) = &node.op else { return None };
    let (first, last) = (*axes.first()?, *axes.last()?);
    let shape = &graph.type_of(node.inputs[0]).shape;
    let neighbours = (first..=last).all(|axis| shape[axis] == 1 || axes.contains(&axis));
    neighbours.then(|| Space {
        outer: shape[..first].iter().product(),
        n: shape[first..=last].iter().product(),
        inner: shape[last + 1..].iter().product(),
    })
}

/// Whether a loop folds this well. Moments have no kernel of their own: loops take them all.
fn foldable(graph: &Graph, node: &Node) -> bool {
    let Some(fold) = fold_of(&node.op) else { return false };
    let t = graph.type_of(node.inputs[0]);
    let Some(Space { outer, n, inner }) = space(graph, node) else { return false };
    let suits = inner <= MAX_INNER && (outer == 1 || inner == 1 || n * inner >= MIN_GROUP);
    let known = reduce::fold_kernels(fold, t.dtype).is_some() && t.count() > 0;
    known && (suits || fold == BlockFold::Moments)
}

/// A piece of the program: runs as a whole, after the pieces before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Elementwise nodes (and reshapes between them) and folds over one iteration space, operands first.
    Cluster(Vec<NodeId>),
    /// Any other operation that computes something.
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

/// The units of a graph in an order that they can run in.
pub fn fuse(graph: &Graph) -> Vec<Unit> {
    let mut fuser = Fuser::new(graph);
    for id in 0..graph.nodes.len() as NodeId {
        fuser.visit(id);
    }
    for cluster in 0..fuser.clusters.len() {
        fuser.close(cluster);
    }
    hoist(graph, fuser.units)
}

#[derive(Default)]
struct Cluster {
    nodes: Vec<NodeId>,
    reads: Vec<Value>,
    count: usize,
    /// Set by the first fold: all have the same.
    space: Option<Space>,
    /// Open clusters whose values this one reads through anything but a lane.
    after: Vec<usize>,
    closed: bool,
    /// Nodes went over to this cluster.
    merged: Option<usize>,
}

struct Fuser<'a> {
    graph: &'a Graph,
    clusters: Vec<Cluster>,
    member: Vec<Option<usize>>,
    /// The cluster that read a value last: a candidate for siblings.
    reader: HashMap<Value, usize>,
    units: Vec<Unit>,
}

impl<'a> Fuser<'a> {
    fn new(graph: &'a Graph) -> Self {
        Fuser {
            graph,
            clusters: Vec::new(),
            member: vec![None; graph.nodes.len()],
            reader: HashMap::new(),
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

    /// The open cluster that node belongs to.
    fn open_member(&self, node: NodeId) -> Option<usize> {
        let cluster = self.root(self.member[node as usize]?);
        (!self.clusters[cluster].closed).then_some(cluster)
    }

    /// The open cluster that has that node's value in a lane, block by block.
    fn open_lane(&self, node: NodeId) -> Option<usize> {
        self.open_member(node).filter(|_| fold_of(&self.graph.node(node).op).is_none())
    }

    /// The open cluster that `value` comes from, seen through views.
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
        let mut after: Vec<usize> = Vec::new();
        let mut reads: Vec<Value> = Vec::new();
        // The key of random bits is read as a whole, not element by element.
        let by_element = !matches!(node.op, Op::RandomBits);
        for &input in &node.inputs {
            match (self.open_lane(input.node), self.open_source(input)) {
                (Some(cluster), _) if by_element && self.clusters[cluster].count == count => {
                    push_new(&mut direct, cluster)
                }
                (_, Some(cluster)) => {
                    push_new(&mut after, cluster);
                    reads.push(input);
                }
                _ => reads.push(input),
            }
        }
        let mut blockers = after.clone();
        blockers.extend(&direct);
        let mut candidates = direct;
        for read in &reads {
            if let Some(&cluster) = self.reader.get(read) {
                let cluster = self.root(cluster);
                if !self.clusters[cluster].closed && self.clusters[cluster].count == count {
                    push_new(&mut candidates, cluster);
                }
            }
        }
        // What is read through memory must have been written: such a node cannot run in the loop that writes it.
        candidates.retain(|cluster| !after.contains(cluster));
        let fits = |&&cluster: &&usize| agree(self.clusters[cluster].space, space);
        let fitting: Vec<usize> = candidates.iter().filter(fits).copied().collect();
        let target = self.choose(&fitting, &blockers, reads.len(), count);
        self.add(target, id, &after, reads);
        self.clusters[target].space = self.clusters[target].space.or(space);
        candidates.retain(|&cluster| cluster != target && self.feeds(cluster, id));
        for &cluster in &candidates {
            let other = self.root(cluster);
            if other == target || self.clusters[other].closed {
                continue;
            }
            // An operand that waits for this cluster would wait for the node that it is an operand of, were the two one.
            let awaited =
                candidates.iter().map(|&c| self.root(c)).any(|c| c != other && c != target && self.reaches(c, other));
            if awaited || !self.merge(target, other) {
                self.depend(target, other);
            }
        }
    }

    /// Whether `id` reads a member of `cluster` directly.
    fn feeds(&self, cluster: usize, id: NodeId) -> bool {
        self.graph.node(id).inputs.iter().any(|v| self.open_lane(v.node) == Some(cluster))
    }

    /// The first candidate that can take a node that reads `blockers` (itself aside), or a new cluster.
    fn choose(&mut self, candidates: &[usize], blockers: &[usize], reads: usize, count: usize) -> usize {
        for &cluster in candidates {
            let c = &self.clusters[cluster];
            let room = c.nodes.len() < MAX_NODES && c.reads.len() + reads <= MAX_READS;
            let cycle = blockers.iter().any(|&b| b != cluster && self.reaches(b, cluster));
            if room && !cycle {
                return cluster;
            }
        }
        self.clusters.push(Cluster { count, ..Cluster::default() });
        self.clusters.len() - 1
    }

    fn add(&mut self, target: usize, id: NodeId, after: &[usize], reads: Vec<Value>) {
        self.member[id as usize] = Some(target);
        self.clusters[target].nodes.push(id);
        for &other in after {
            push_new(&mut self.clusters[target].after, other);
        }
        for read in reads {
            self.reader.insert(read, target);
            push_new(&mut self.clusters[target].reads, read);
        }
    }

    /// Whether running `from` needs `to` to have run (also when they are the same).
    fn reaches(&self, from: usize, to: usize) -> bool {
        let to = self.root(to);
        let mut seen = vec![self.root(from)];
        let mut next = 0;
        while next < seen.len() {
            if seen[next] == to {
                return true;
            }
            for &after in &self.clusters[seen[next]].after {
                let after = self.root(after);
                if !self.clusters[after].closed {
                    push_new(&mut seen, after);
                }
            }
            next += 1;
        }
        false
    }

    /// Make one cluster of two, if that makes no cycle and the result is not too large.
    fn merge(&mut self, target: usize, other: usize) -> bool {
        let (a, b) = (&self.clusters[target], &self.clusters[other]);
        let room = a.nodes.len() + b.nodes.len() <= MAX_NODES && a.reads.len() + b.reads.len() <= MAX_READS;
        if !room
            || a.count != b.count
            || !agree(a.space, b.space)
            || self.reaches(target, other)
            || self.reaches(other, target)
        {
            return false;
        }
        let taken = std::mem::take(&mut self.clusters[other]);
        self.clusters[other].merged = Some(target);
        let into = &mut self.clusters[target];
        into.space = into.space.or(taken.space);
        into.nodes.extend(taken.nodes);
        into.nodes.sort_unstable();
        taken.after.iter().for_each(|&a| push_new(&mut into.after, a));
        taken.reads.iter().for_each(|&r| push_new(&mut into.reads, r));
        true
    }

    /// `target` reads `other` from memory: run `other` first.
    fn depend(&mut self, target: usize, other: usize) {
        debug_assert!(!self.reaches(other, target), "`choose` refuses targets that others wait for");
        push_new(&mut self.clusters[target].after, other);
    }

    /// Emit the cluster, behind those that it needs.
    fn close(&mut self, cluster: usize) {
        let cluster = self.root(cluster);
        if self.clusters[cluster].closed {
            return;
        }
        self.clusters[cluster].closed = true;
        for needed in std::mem::take(&mut self.clusters[cluster].after) {
            self.close(needed);
        }
        let nodes = std::mem::take(&mut self.clusters[cluster].nodes);
        match nodes.as_slice() {
            [] => {}
            // A sum of something in memory has a kernel of its own.
            [one] if matches!(self.graph.node(*one).op, Op::Reduce { .. }) => self.units.push(Unit::Single(*one)),
            _ => self.units.push(Unit::Cluster(nodes)),
        }
    }
}

/// Whether folds over these spaces can share a loop.
fn agree(a: Option<Space>, b: Option<Space>) -> bool {
    a.is_none() || b.is_none() || a == b
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Move units that only make outputs of the graph (optimizer updates) up to right behind what they need, and behind
/// the other readers of the graph inputs that they read, so that they can write in place. This frees the gradients.
fn hoist(graph: &Graph, units: Vec<Unit>) -> Vec<Unit> {
    let mut made_by = vec![usize::MAX; graph.nodes.len()];
    let mut readers: HashMap<NodeId, Vec<usize>> = HashMap::new();
    let mut consumed = vec![false; units.len()];
    let mut reads: Vec<Vec<NodeId>> = Vec::with_capacity(units.len());
    for (index, unit) in units.iter().enumerate() {
        unit.nodes().iter().for_each(|&n| made_by[n as usize] = index);
        let mut sources = Vec::new();
        for &node in unit.nodes() {
            for &input in &graph.node(node).inputs {
                push_new(&mut sources, source(graph, input));
            }
        }
        for &s in &sources {
            match made_by[s as usize] {
                usize::MAX if matches!(graph.node(s).op, Op::Input(_)) => readers.entry(s).or_default().push(index),
                usize::MAX => {}
                maker if maker != index => consumed[maker] = true,
                _ => {}
            }
        }
        reads.push(sources);
    }
    // Units sort by (the unit they follow, whether they were moved, their own index).
    let mut keys: Vec<(usize, usize, usize)> = Vec::with_capacity(units.len());
    for index in 0..units.len() {
        if consumed[index] || !matches!(units[index], Unit::Cluster(_)) {
            keys.push((index, 0, index));
            continue;
        }
        let made: Vec<&TensorType> = units[index].nodes().iter().map(|&n| &graph.node(n).types[0]).collect();
        let mut behind = 0;
        for &s in &reads[index] {
            let maker = made_by[s as usize];
            if maker != usize::MAX && maker != index {
                behind = behind.max(maker);
            }
            // Only an operand of a result's type can be overwritten.
            let others = readers.get(&s).into_iter().flatten().filter(|_| made.contains(&&graph.node(s).types[0]));
            for &reader in others.filter(|&&r| r != index) {
                // Another final unit is itself on the move; its place is its own affair.
                if consumed[reader] || matches!(units[reader], Unit::Single(_)) {
                    behind = behind.max(reader);
                }
            }
        }
        keys.push((behind, 1, index));
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&i| keys[i]);
    order.into_iter().map(|i| units[i].clone()).collect()
}

/// The node that holds the memory behind a value, seen through views.
pub fn source(graph: &Graph, mut value: Value) -> NodeId {
    while let Some(shown) = graph.viewed(value) {
        value = shown;
    }
    value.node
}
