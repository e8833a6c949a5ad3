//! A cluster of elementwise nodes as one fused loop.

mod chains;
mod loop_builder;
mod one_hot;
mod tape;

use crate::error::Result;
use crate::fused::{FusedLoop, Load};
use crate::graph::{Node, NodeId, Op, Value};
use crate::instruction::Kind;
use crate::lower::{Lowering, View};
use crate::operand::Operand;
use crate::passes::fuse::{fold_of, space};
use crate::passes::step_cost::step_cost;
use crate::strided;

use tape::{Source, StepDraft, Tape};

/// Views of more axes than this are copied.
const MAX_STRIDED_AXES: usize = 16;

impl Lowering<'_> {
    pub(super) fn cluster(&mut self, nodes: &[NodeId]) -> Result<()> {
        if self.one_hot(nodes) {
            return Ok(());
        }
        let mut tape = Tape::default();
        for &id in nodes {
            let graph = self.graph;
            let node = graph.node(id);
            if matches!(node.op, Op::Reshape) {
                // The loop runs over flat indices, so a reshape of a member is that member.
                if let Some(&step) = tape.step_of.get(&node.inputs[0].node) {
                    tape.step_of.insert(id, step);
                }
                continue;
            }
            let operands = node.inputs.iter().map(|&v| self.cluster_operand(&mut tape, node, v)).collect();
            let dtypes = node.inputs.iter().map(|&v| graph.type_of(v).dtype).collect();
            tape.step_of.insert(id, tape.drafts.len());
            let out = node.types[0].dtype;
            tape.drafts.push(StepDraft { node, operands, dtypes, out, write: None, links: Vec::new() });
        }
        let mut writes = self.define_stores(&mut tape, nodes);
        let stores = writes.len();
        for &id in nodes.iter().filter(|&&id| fold_of(&self.graph.node(id).op).is_some()) {
            let results = self.graph.node(id).types.len() as u32;
            writes.extend((0..results).map(|output| self.define(Value { node: id, output })));
        }
        let count = tape.drafts.first().map_or(0, |draft| self.loop_elements(draft.node));
        if writes.is_empty() || count == 0 {
            return Ok(());
        }
        let space = tape.drafts.iter().find_map(|draft| space(self.graph, draft.node));
        let cost = tape.drafts.iter().map(|d| step_cost(&d.node.op, d.out)).sum();
        let names = tape.drafts.iter().map(|d| step_name(&d.node.op)).collect();
        tape.merge_chains();
        let fused = FusedLoop { names, ..loop_builder::build(&tape, count, stores, space, cost)? };
        self.emit(Kind::Fused(Box::new(fused)), tape.reads, writes);
        Ok(())
    }

    /// Elements of the loop that a member runs in.
    fn loop_elements(&self, node: &Node) -> usize {
        match fold_of(&node.op) {
            Some(_) => self.graph.type_of(node.inputs[0]).count(),
            None => node.types[0].count(),
        }
    }

    /// The source of one operand: a member's result, or a read of memory.
    fn cluster_operand<'g>(&mut self, tape: &mut Tape<'g>, node: &Node, value: Value) -> Source {
        if matches!(node.op, Op::RandomBits) {
            let key = self.contiguous(value);
            return tape.read(key, Load::Unblocked);
        }
        if let Some(&step) = tape.step_of.get(&value.node) {
            return Source::Step(step);
        }
        let view = self.view(value);
        let dims = view.dims();
        let size = view.dtype.size();
        let broadcast = view.count() == 1 && self.loop_elements(node) > 1;
        let load = if strided::is_uniform(&dims) && view.count() > 1 || broadcast {
            Load::Scalar { size }
        } else if strided::is_contiguous(&dims) {
            Load::Contiguous { size }
        } else if dims.len() > MAX_STRIDED_AXES || is_scattered(&view) {
            let copy = self.contiguous(value);
            return tape.read(copy, Load::Contiguous { size });
        } else {
            Load::Strided { size, dims }
        };
        let reach = self.reach(&view);
        tape.read(reach, load)
    }

    /// Give memory to the members that are stored, in the first cluster that computes them. Return the writes.
    fn define_stores(&mut self, tape: &mut Tape, nodes: &[NodeId]) -> Vec<Operand> {
        let mut stored = vec![false; tape.drafts.len()];
        for &id in nodes.iter().filter(|&&id| fold_of(&self.graph.node(id).op).is_none()) {
            let Some(&step) = tape.step_of.get(&id) else { continue };
            stored[step] |= self.stored[id as usize];
        }
        let mut writes = Vec::new();
        for &id in nodes {
            let step = tape.step_of.get(&id).copied();
            let op = &self.graph.node(id).op;
            let computes = !matches!(op, Op::Reshape) && fold_of(op).is_none();
            if let Some(step) = step.filter(|&s| computes && stored[s] && !self.is_defined(Value::first(id))) {
                tape.drafts[step].write = Some(writes.len());
                writes.push(self.define(Value::first(id)));
            }
        }
        writes
    }
}

/// Return whether reading a view element by element would waste most of every cache line. A tiled copy does not.
fn is_scattered(view: &View) -> bool {
    let dims = view.dims();
    let inner = dims.last().map_or(1, |d| d.stride);
    view.count() > 4096 && inner != 0 && inner != 1
}

fn step_name(op: &Op) -> &'static str {
    match op {
        Op::Unary(op) => op.name(),
        Op::Binary(op) => op.name(),
        Op::Compare(op) => op.name(),
        Op::Select => "select",
        Op::Convert => "convert",
        Op::Bitcast => "bitcast",
        Op::Reduce { op, .. } => op.name(),
        Op::Moments { .. } => "moments",
        Op::Iota { .. } => "iota",
        _ => "random_bits",
    }
}
