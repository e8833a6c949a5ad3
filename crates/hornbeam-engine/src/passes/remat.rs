//! Rematerialization: clusters recompute values instead of storing and reading them.
//!
//! Loops are bound by memory, not by arithmetic: if a later cluster reads a value of an earlier one, it can be
//! cheaper to read the operands and compute the value again. Masks and normalized values that the backward pass reads
//! are mostly of this kind, and are then never stored. A node can therefore be a member of several clusters; the
//! first one stores it, if it is stored at all.

use std::collections::HashMap;

use crate::graph::{Graph, NodeId, Op, Value};
use crate::passes::fuse::{fold_of, source, Unit, MAX_NODES, MAX_READS};
use crate::passes::step_cost::step_cost;

/// Smaller values stay in cache between the clusters.
const MIN_ELEMENTS: usize = 1 << 15;
/// The cost of reading or writing a byte, in simple operations on one element.
const BYTE_COST: usize = 2;

/// Add members to the units that are cheaper to compute than to read, and remove members without readers.
pub fn rematerialize(graph: &Graph, units: Vec<Unit>) -> Vec<Unit> {
    let mut remat = Remat::new(graph, units);
    for id in 0..graph.nodes.len() as NodeId {
        remat.decide(id);
    }
    let Remat { mut units, .. } = remat;
    let stored = stored(graph, &units);
    let mut owner: HashMap<NodeId, usize> = HashMap::new();
    for (index, unit) in units.iter().enumerate() {
        unit.nodes().iter().for_each(|&n| {
            owner.entry(n).or_insert(index);
        });
    }
    for (index, unit) in units.iter_mut().enumerate() {
        let Unit::Cluster(nodes) = unit else { continue };
        let mut needed: Vec<NodeId> = Vec::with_capacity(nodes.len());
        let mut read: Vec<NodeId> = Vec::new();
        for &id in nodes.iter().rev() {
            let node = graph.node(id);
            let is_stored = stored[id as usize] && owner[&id] == index;
            if is_stored || fold_of(&node.op).is_some() || read.contains(&id) {
                needed.push(id);
                read.extend(node.inputs.iter().map(|v| v.node));
            }
        }
        needed.reverse();
        *nodes = needed;
    }
    units.retain(|unit| !unit.nodes().is_empty());
    units
}

/// Mark the members of clusters that must be in memory because they are read other than from a lane.
pub fn stored(graph: &Graph, units: &[Unit]) -> Vec<bool> {
    let units_of = units_of(graph, units);
    let mut stored = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|v| stored[v.node as usize] = true);
    for (reader, node) in graph.nodes.iter().enumerate() {
        let elementwise = reads_elements(&node.op) || matches!(node.op, Op::Reshape);
        for input in &node.inputs {
            let at = input.node as usize;
            let lane = |unit: &usize| units_of[at].contains(unit) && fold_of(&graph.nodes[at].op).is_none();
            stored[at] |= units_of[reader].is_empty() || !elementwise || !units_of[reader].iter().all(lane);
        }
    }
    stored
}

/// The units that contain each node.
fn units_of(graph: &Graph, units: &[Unit]) -> Vec<Vec<usize>> {
    let mut units_of = vec![Vec::new(); graph.nodes.len()];
    for (index, unit) in units.iter().enumerate() {
        unit.nodes().iter().for_each(|&n| units_of[n as usize].push(index));
    }
    units_of
}

fn reads_elements(op: &Op) -> bool {
    op.is_elementwise() && !matches!(op, Op::RandomBits) || fold_of(op).is_some()
}

struct Remat<'a> {
    graph: &'a Graph,
    units: Vec<Unit>,
    units_of: Vec<Vec<usize>>,
    readers: Vec<Vec<NodeId>>,
    /// Nodes that can be read from memory, as decided so far.
    in_memory: Vec<bool>,
    /// Outputs of the graph.
    is_output: Vec<bool>,
}

/// The nodes that a cluster would add to compute a value, and the values that it would read.
#[derive(Default)]
struct Expansion {
    nodes: Vec<NodeId>,
    leaves: Vec<Value>,
    cost: usize,
}

impl<'a> Remat<'a> {
    fn new(graph: &'a Graph, units: Vec<Unit>) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes.len()];
        for (id, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.node as usize].push(id as NodeId);
            }
        }
        let mut in_memory = vec![false; graph.nodes.len()];
        graph.outputs.iter().for_each(|v| in_memory[v.node as usize] = true);
        let is_output = in_memory.clone();
        Remat { graph, units_of: units_of(graph, &units), units, readers, in_memory, is_output }
    }

    fn is_lane(&self, id: NodeId) -> bool {
        let op = &self.graph.node(id).op;
        op.is_elementwise() && self.units_of[id as usize].iter().all(|&u| matches!(self.units[u], Unit::Cluster(_)))
    }

    /// Decide whether a lane is read from memory, or recomputed by all clusters that read it.
    fn decide(&mut self, id: NodeId) {
        let at = id as usize;
        if !self.is_lane(id) {
            self.in_memory[at] = true;
            return;
        }
        let mut readers: Vec<(usize, Vec<NodeId>)> = Vec::new();
        self.in_memory[at] |= !self.find_readers(id, id, &mut Vec::new(), &mut readers);
        if self.in_memory[at] || readers.is_empty() {
            return;
        }
        match self.plan(id, &readers) {
            None => self.in_memory[at] = true,
            Some(additions) => {
                for (unit, nodes) in additions {
                    self.extend(unit, nodes);
                }
            }
        }
    }

    /// Collect the clusters that read `id` element by element without computing it, with the reshapes on the path.
    /// Return false if it is read in another way.
    fn find_readers(
        &self,
        origin: NodeId,
        id: NodeId,
        path: &mut Vec<NodeId>,
        clusters: &mut Vec<(usize, Vec<NodeId>)>,
    ) -> bool {
        if id != origin && self.is_output[id as usize] {
            return false;
        }
        self.readers[id as usize].iter().all(|&reader| {
            let op = &self.graph.node(reader).op;
            if matches!(op, Op::Reshape) {
                path.push(reader);
                let elementwise = self.find_readers(origin, reader, path, clusters);
                path.pop();
                return elementwise;
            }
            let units = &self.units_of[reader as usize];
            let only_clusters = units.iter().all(|&u| matches!(self.units[u], Unit::Cluster(_)));
            if units.is_empty() || !only_clusters || !reads_elements(op) {
                return false;
            }
            for &unit in units {
                if !self.units_of[origin as usize].contains(&unit) {
                    match clusters.iter_mut().find(|(u, _)| *u == unit) {
                        Some((_, reshapes)) => reshapes.extend(path.iter()),
                        None => clusters.push((unit, path.clone())),
                    }
                }
            }
            true
        })
    }

    /// The nodes that each cluster adds, if that costs less than storing the value.
    fn plan(&self, id: NodeId, readers: &[(usize, Vec<NodeId>)]) -> Option<Vec<(usize, Vec<NodeId>)>> {
        let t = &self.graph.node(id).types[0];
        if t.count() < MIN_ELEMENTS {
            return None;
        }
        // A write costs twice: it reads the cache line first.
        let storing = t.bytes() * (2 + readers.len()) * BYTE_COST;
        let mut recomputing = 0;
        let mut additions = Vec::with_capacity(readers.len());
        for (unit, reshapes) in readers {
            let mut expansion = Expansion::default();
            self.expand(*unit, id, &mut expansion)?;
            let sources = self.sources(*unit);
            let new = expansion.leaves.iter().filter(|v| !sources.contains(&source(self.graph, **v)));
            let bytes: usize = new.map(|&v| self.bytes_read(v)).sum();
            let fits = self.units[*unit].nodes().len() + expansion.nodes.len() + reshapes.len() <= MAX_NODES
                && sources.len() + expansion.leaves.len() <= MAX_READS;
            if !fits {
                return None;
            }
            recomputing += bytes * BYTE_COST + expansion.cost * t.count();
            expansion.nodes.extend(reshapes);
            additions.push((*unit, expansion.nodes));
        }
        (recomputing < storing).then_some(additions)
    }

    /// Collect the operands of `id` that are neither in memory nor computed by `unit`. None if it must not be
    /// recomputed.
    fn expand(&self, unit: usize, id: NodeId, expansion: &mut Expansion) -> Option<()> {
        if expansion.nodes.contains(&id) || self.units_of[id as usize].contains(&unit) {
            return Some(());
        }
        let node = self.graph.node(id);
        if matches!(node.op, Op::RandomBits) || expansion.nodes.len() > MAX_NODES {
            return None;
        }
        expansion.nodes.push(id);
        expansion.cost += if matches!(node.op, Op::Reshape) { 0 } else { step_cost(&node.op, node.types[0].dtype) };
        for &input in &node.inputs {
            if self.is_inner(input.node) {
                self.expand(unit, input.node, expansion)?;
            } else {
                self.check_leaf(unit, input)?;
                expansion.leaves.push(input);
            }
        }
        Some(())
    }

    /// Return whether a node is a lane, or a reshape of one, that is not in memory.
    fn is_inner(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        match node.op {
            Op::Reshape => !self.in_memory[node.inputs[0].node as usize] && self.is_inner(node.inputs[0].node),
            _ => self.is_lane(id) && !self.in_memory[id as usize],
        }
    }

    /// None for state: a read after its update could prevent that it is in place.
    fn check_leaf(&self, unit: usize, value: Value) -> Option<()> {
        let from = source(self.graph, value);
        let Op::Input(n) = self.graph.node(from).op else { return Some(()) };
        let Some(&output) = self.graph.outputs.get(n as usize) else { return Some(()) };
        let is_state = self.graph.inputs.get(n as usize) == Some(self.graph.type_of(output));
        // Views are not read block by block.
        let updates = from == value.node && self.units_of[output.node as usize].contains(&unit);
        (!is_state || updates).then_some(())
    }

    /// The nodes whose memory a cluster reads.
    fn sources(&self, unit: usize) -> Vec<NodeId> {
        let mut sources = Vec::new();
        for &id in self.units[unit].nodes() {
            for &input in &self.graph.node(id).inputs {
                let from = source(self.graph, input);
                if !sources.contains(&from) {
                    sources.push(from);
                }
            }
        }
        sources
    }

    fn bytes_read(&self, value: Value) -> usize {
        let memory: usize = self.graph.node(source(self.graph, value)).types.iter().map(|t| t.bytes()).sum();
        memory.min(self.graph.type_of(value).bytes())
    }

    fn extend(&mut self, unit: usize, added: Vec<NodeId>) {
        let Unit::Cluster(nodes) = &mut self.units[unit] else { unreachable!("only clusters read elements") };
        for id in added {
            if !nodes.contains(&id) {
                nodes.push(id);
                self.units_of[id as usize].push(unit);
            }
        }
        nodes.sort_unstable();
    }
}
