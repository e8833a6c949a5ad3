//! The steps of a fused loop before they are kernels: nodes, their operands, and the reads from memory.

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{ChainOp, MAX_LINKS};

use crate::fused::Load;
use crate::graph::{Node, NodeId, Op};
use crate::operand::Operand;

/// The origin of an operand of a step, before slots are assigned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The result of the step of this index.
    Step(usize),
    /// The read of this number.
    Read(usize),
}

/// A step whose operands have no slots yet.
pub struct StepDraft<'a> {
    pub node: &'a Node,
    pub operands: Vec<Source>,
    /// Operand dtypes, which select the kernel.
    pub dtypes: Vec<DType>,
    pub out: DType,
    /// Number of the write that takes the result.
    pub write: Option<usize>,
    /// The operations of a chain in order, the node itself last. Empty for nodes that are a step of their own.
    pub links: Vec<ChainOp>,
}

impl StepDraft<'_> {
    /// The node as a link of a chain whose running value is operand `position`.
    fn chain_op(&self, position: usize) -> Option<ChainOp> {
        let name = match &self.node.op {
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            _ => return None,
        };
        let chains = matches!(self.out, DType::F32 | DType::BF16) && self.dtypes.iter().all(|&t| t == self.out);
        chains.then(|| ChainOp::of(name, position)).flatten()
    }

    /// The operations of this step as a part of a chain that begins with its first operand; empty if it cannot be one.
    pub fn chain_ops(&self) -> Vec<ChainOp> {
        match self.links.is_empty() {
            true => self.chain_op(0).into_iter().collect(),
            false => self.links.clone(),
        }
    }

    /// The number of links, if more can follow.
    fn extensible_length(&self) -> Option<usize> {
        if self.write.is_some() || self.links.len() + 2 >= MAX_LINKS {
            return None;
        }
        match self.links.len() {
            0 => self.chain_op(0).map(|_| 1),
            links => Some(links),
        }
    }
}

/// The steps and reads of a cluster.
#[derive(Default)]
pub struct Tape<'a> {
    pub drafts: Vec<StepDraft<'a>>,
    pub step_of: HashMap<NodeId, usize>,
    pub reads: Vec<Operand>,
    pub loads: Vec<Load>,
}

impl Tape<'_> {
    /// Return the read of an operand; equal reads are one.
    pub fn read(&mut self, operand: Operand, load: Load) -> Source {
        let same = |(o, l): (&Operand, &Load)| {
            o.buffer == operand.buffer
                && o.offset == operand.offset
                && *l == load
                && o.dtype.size() == operand.dtype.size()
        };
        let known = self.reads.iter().zip(&self.loads).position(same);
        Source::Read(known.unwrap_or_else(|| {
            self.reads.push(operand);
            self.loads.push(load);
            self.reads.len() - 1
        }))
    }

    /// The last step that reads each source.
    pub fn last_reads(&self) -> HashMap<Source, usize> {
        let mut last = HashMap::new();
        for (index, draft) in self.drafts.iter().enumerate() {
            draft.operands.iter().for_each(|&source| {
                last.insert(source, index);
            });
        }
        last
    }

    /// Merge each step into the step that alone reads its result, as a chain.
    pub fn merge_chains(&mut self) {
        let mut uses = vec![0; self.drafts.len()];
        for operand in self.drafts.iter().flat_map(|draft| &draft.operands) {
            if let Source::Step(step) = operand {
                uses[*step] += 1;
            }
        }
        let mut merged = vec![false; self.drafts.len()];
        for index in 0..self.drafts.len() {
            if let Some((position, before)) = self.longest_chain(index, &uses) {
                self.merge_step(index, position, before);
                merged[before] = true;
            }
        }
        self.remove(&merged);
    }

    /// The operand of step `index` that the longest chain computes, and the last step of that chain.
    fn longest_chain(&self, index: usize, uses: &[usize]) -> Option<(usize, usize)> {
        let draft = &self.drafts[index];
        let length = |position: &usize| match draft.operands[*position] {
            Source::Step(step) if uses[step] == 1 => self.drafts[step].extensible_length(),
            _ => None,
        };
        let possible = (0..draft.operands.len())
            .filter(|position| length(position).is_some() && draft.chain_op(*position).is_some());
        let position = possible.max_by_key(|position| length(position))?;
        match draft.operands[position] {
            Source::Step(before) => Some((position, before)),
            Source::Read(_) => None,
        }
    }

    /// Merge step `before`, which computes operand `position` of step `index`, into that step.
    fn merge_step(&mut self, index: usize, position: usize, before: usize) {
        let mut links = std::mem::take(&mut self.drafts[before].links);
        if links.is_empty() {
            links.extend(self.drafts[before].chain_op(0));
        }
        links.extend(self.drafts[index].chain_op(position));
        let mut operands = std::mem::take(&mut self.drafts[before].operands);
        let draft = &mut self.drafts[index];
        draft.operands.remove(position);
        operands.append(&mut draft.operands);
        (draft.operands, draft.links) = (operands, links);
    }

    /// Remove merged steps and renumber the others.
    fn remove(&mut self, merged: &[bool]) {
        let numbers: Vec<usize> = merged
            .iter()
            .scan(0, |next, &merged| {
                *next += usize::from(!merged);
                Some(*next - usize::from(!merged))
            })
            .collect();
        let mut merged = merged.iter();
        self.drafts.retain(|_| merged.next() == Some(&false));
        for operand in self.drafts.iter_mut().flat_map(|draft| &mut draft.operands) {
            if let Source::Step(step) = operand {
                *step = numbers[*step];
            }
        }
    }
}
