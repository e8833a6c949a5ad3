//! What clusters compute again rather than keep.
//!
//! A loop waits for memory, not for arithmetic: where a later cluster reads what an earlier one computed, it may be cheaper to
//! read the operands and compute it once more. The masks and normalised values that the way back through a network needs are
//! mostly of this kind, and then nobody stores them. A node may therefore be a member of several clusters; the
//! first one stores it, if it is stored at all.

use std::collections::HashMap;

use crate::graph::{Graph, NodeId, Op, Value};
use crate::passes::fuse::{fold_of, source, Unit, MAX_NODES, MAX_READS};
use crate::passes::step_cost::step_cost;

/// Smaller values stay in cache between the clusters.
const MIN_ELEMENTS: usize = 1 << 15;
/// The time that reading or writing a byte takes, in simple operations on one element.
const BYTE: usize = 2;

/// The units with members added that are cheaper to compute than to read, and without those that nobody reads any more.
pub fn rematerialise(graph: &Graph, units: Vec<Unit>) -> Vec<Unit> {
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
            let kept = stored[id as usize] && owner[&id] == index;
            if kept || fold_of(&node.op).is_some() || read.contains(&id) {
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

/// The members of clusters that must be in memory: somebody reads them in another way than as a lane.
pub fn stored(graph: &Graph, units: &[Unit]) -> Vec<bool> {
    let homes = homes(graph, units);
    let mut stored = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|v| stored[v.node as usize] = true);
    for (reader, node) in graph.nodes.iter().enumerate() {
        let by_element = reads_elements(&node.op) || matches!(node.op, Op::Reshape);
        for input in &node.inputs {
            let at = input.node as usize;
            let lane = |unit: &usize| homes[at].contains(unit) && fold_of(&graph.nodes[at].op).is_none();
            stored[at] |= homes[reader].is_empty() || !by_element || !homes[reader].iter().all(lane);
        }
    }
    stored
}

fn homes(graph: &Graph, units: &[Unit]) -> Vec<Vec<usize>> {
    let mut homes = vec![Vec::new(); graph.nodes.len()];
    for (index, unit) in units.iter().enumerate() {
        unit.nodes().iter().for_each(|&n| homes[n as usize].push(index));
    }
    homes
}

fn reads_elements(op: &Op) -> bool {
    op.is_elementwise() && !matches!(op, Op::RandomBits) || fold_of(op).is_some()
}

struct Remat<'a> {
    graph: &'a Graph,
    units: Vec<Unit>,
    homes: Vec<Vec<usize>>,
    readers: Vec<Vec<NodeId>>,
    /// Decided so far: can be read from memory.
    in_memory: Vec<bool>,
}

/// What a cluster would have to take in to compute a value itself.
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
        Remat { graph, homes: homes(graph, &units), units, readers, in_memory }
    }

    fn is_lane(&self, id: NodeId) -> bool {
        let op = &self.graph.node(id).op;
        op.is_elementwise() && self.homes[id as usize].iter().all(|&u| matches!(self.units[u], Unit::Cluster(_)))
    }

    /// Where a value that is a lane goes: read from memory, or computed again by all clusters that read it.
    fn decide(&mut self, id: NodeId) {
        let at = id as usize;
        if !self.is_lane(id) {
            self.in_memory[at] = true;
            return;
        }
        let mut outside: Vec<(usize, Vec<NodeId>)> = Vec::new();
        self.in_memory[at] |= !self.outside(id, id, &mut Vec::new(), &mut outside);
        if self.in_memory[at] || outside.is_empty() {
            return;
        }
        match self.plan(id, &outside) {
            None => self.in_memory[at] = true,
            Some(additions) => {
                for (unit, nodes) in additions {
                    self.extend(unit, nodes);
                }
            }
        }
    }

    /// The clusters that read `id` element by element without computing it, with the reshapes on the way. False if somebody
    /// reads it otherwise.
    fn outside(
        &self,
        origin: NodeId,
        id: NodeId,
        way: &mut Vec<NodeId>,
        found: &mut Vec<(usize, Vec<NodeId>)>,
    ) -> bool {
        if id != origin && self.graph.outputs.iter().any(|v| v.node == id) {
            return false;
        }
        self.readers[id as usize].iter().all(|&reader| {
            let op = &self.graph.node(reader).op;
            if matches!(op, Op::Reshape) {
                way.push(reader);
                let fine = self.outside(origin, reader, way, found);
                way.pop();
                return fine;
            }
            let homes = &self.homes[reader as usize];
            let clusters = homes.iter().all(|&u| matches!(self.units[u], Unit::Cluster(_)));
            if homes.is_empty() || !clusters || !reads_elements(op) {
                return false;
            }
            for &unit in homes {
                if !self.homes[origin as usize].contains(&unit) {
                    match found.iter_mut().find(|(u, _)| *u == unit) {
                        Some((_, path)) => path.extend(way.iter()),
                        None => found.push((unit, way.clone())),
                    }
                }
            }
            true
        })
    }

    /// What every cluster takes in, if that costs less than keeping the value.
    fn plan(&self, id: NodeId, outside: &[(usize, Vec<NodeId>)]) -> Option<Vec<(usize, Vec<NodeId>)>> {
        let t = &self.graph.node(id).types[0];
        if t.count() < MIN_ELEMENTS {
            return None;
        }
        // Writing brings the line into cache first.
        let keeping = t.bytes() * (2 + outside.len()) * BYTE;
        let mut computing = 0;
        let mut additions = Vec::with_capacity(outside.len());
        for (unit, way) in outside {
            let mut found = Expansion::default();
            self.expand(*unit, id, &mut found)?;
            let known = self.sources(*unit);
            let new = found.leaves.iter().filter(|v| !known.contains(&source(self.graph, **v)));
            let bytes: usize = new.map(|&v| self.bytes_read(v)).sum();
            let room = self.units[*unit].nodes().len() + found.nodes.len() + way.len() <= MAX_NODES
                && known.len() + found.leaves.len() <= MAX_READS;
            if !room {
                return None;
            }
            computing += bytes * BYTE + found.cost * t.count();
            found.nodes.extend(way);
            additions.push((*unit, found.nodes));
        }
        (computing < keeping).then_some(additions)
    }

    /// Collect what `id` needs that is neither in memory nor computed by `unit`. None: it should not be computed twice.
    fn expand(&self, unit: usize, id: NodeId, found: &mut Expansion) -> Option<()> {
        if found.nodes.contains(&id) || self.homes[id as usize].contains(&unit) {
            return Some(());
        }
        let node = self.graph.node(id);
        if matches!(node.op, Op::RandomBits) || found.nodes.len() > MAX_NODES {
            return None;
        }
        found.nodes.push(id);
        found.cost += if matches!(node.op, Op::Reshape) { 0 } else { step_cost(&node.op, node.types[0].dtype) };
        for &input in &node.inputs {
            if self.is_inner(input.node) {
                self.expand(unit, input.node, found)?;
            } else {
                self.leaf(input)?;
                found.leaves.push(input);
            }
        }
        Some(())
    }

    /// A lane, or a reshape of one, that is not kept.
    fn is_inner(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        match node.op {
            Op::Reshape => !self.in_memory[node.inputs[0].node as usize] && self.is_inner(node.inputs[0].node),
            _ => self.is_lane(id) && !self.in_memory[id as usize],
        }
    }

    /// Refuse to read state later than its update could overwrite it.
    fn leaf(&self, value: Value) -> Option<()> {
        match self.graph.node(source(self.graph, value)).op {
            Op::Input(n) => {
                let output = self.graph.outputs.get(n as usize).map(|&v| self.graph.type_of(v));
                (output != self.graph.inputs.get(n as usize)).then_some(())
            }
            _ => Some(()),
        }
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
        let Unit::Cluster(nodes) = &mut self.units[unit] else { unreachable!("only clusters read by element") };
        for id in added {
            if !nodes.contains(&id) {
                nodes.push(id);
                self.homes[id as usize].push(unit);
            }
        }
        nodes.sort_unstable();
    }
}
