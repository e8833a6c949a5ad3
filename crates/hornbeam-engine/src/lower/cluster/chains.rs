//! Chains of operations in a loop.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::elementwise::{self, ChainOp, MAX_LINKS};

use super::loop_builder::LoopBuilder;
use super::tape::{Source, StepDraft};
use crate::fused::{ChainLink, Load, Slot, Step};

impl LoopBuilder<'_, '_> {
    /// Return whether a step is part of a chain: it has several operations, or all of the loop can be one chain. (Between
    /// other steps, whose operands are in cache, the kernel of a single operation takes less time.)
    pub(super) fn is_chained(&self, index: usize) -> bool {
        !self.tape.drafts[index].links.is_empty() || self.all_chained
    }

    pub(super) fn chain_step(&mut self, draft: &StepDraft, operands: &[Slot], out: Slot) {
        let mut operands = draft.operands.iter().zip(operands);
        let mut links = Vec::new();
        let ops = std::iter::once(ChainOp::Load).chain(draft.chain_ops());
        for op in ops {
            let operand = if op.has_operand() { operands.next() } else { None };
            let fixed = operand.is_some_and(|(&source, _)| self.is_scalar(source));
            links.push(ChainLink { op, y: operand.map_or(out, |(_, &slot)| slot), fixed });
        }
        links.push(ChainLink { op: ChainOp::Store, y: out, fixed: false });
        self.push_chain(draft.out, links);
    }

    /// The lane of a scalar as accumulators.
    pub(super) fn accumulators_of(&mut self, read: usize, dtype: DType) -> Slot {
        let elements = self.slot_of(Source::Read(read));
        if dtype == DType::F32 {
            return elements;
        }
        if let Some(&lane) = self.widened.get(&read) {
            return lane;
        }
        let lane = self.constant_lane(size_of::<f32>());
        self.prologue.push(Step::Widen { f: elementwise::convert(dtype, DType::F32), x: elements, out: lane });
        self.widened.insert(read, lane);
        lane
    }

    /// Bytes per element of a lane for results of `dtype`: if the loop becomes one chain, it holds accumulators.
    pub(super) fn lane_size(&self, dtype: DType) -> usize {
        if self.all_chained {
            size_of::<f32>()
        } else {
            dtype.size()
        }
    }

    /// Add operations to the chain that is the last step, if there is one with room for them.
    fn push_chain(&mut self, dtype: DType, links: Vec<ChainLink>) {
        match self.steps.last_mut() {
            Some(Step::Chain { links: before, dtype: same, .. })
                if *same == dtype && before.len() + links.len() <= MAX_LINKS =>
            {
                // The value that was stored last is still in registers.
                let stored = before.last().map(|last| ChainLink { op: ChainOp::Load, ..*last });
                let loaded = usize::from(stored == Some(links[0]));
                before.extend(&links[loaded..]);
            }
            _ => {
                let f = elementwise::chain(dtype).expect("a dtype that has chains");
                self.steps.push(Step::Chain { f, dtype, links });
            }
        }
    }

    /// Store the results that had to wait for the other steps.
    pub(super) fn store_deferred(&mut self) {
        for (lane, memory, size) in std::mem::take(&mut self.deferred_stores) {
            match self.steps.last() {
                Some(&Step::Chain { dtype, .. }) if size == dtype.size() => {
                    let link = |op, y| ChainLink { op, y, fixed: false };
                    self.push_chain(dtype, vec![link(ChainOp::Load, lane), link(ChainOp::Store, memory)]);
                }
                _ => self.steps.push(Step::Copy { x: lane, out: memory, size }),
            }
        }
    }

    /// If the loop is one chain, let its lanes hold one block of accumulators, and return true.
    pub(super) fn shorten_lanes(&mut self) -> bool {
        let of_numbers = |step: &Step| match step {
            Step::FillLane { read, .. } => matches!(self.tape.loads[*read as usize], Load::Scalar { .. }),
            step => matches!(step, Step::Widen { .. }),
        };
        let [Step::Chain { links, .. }] = &mut self.steps[..] else { return false };
        if !self.prologue.iter().all(of_numbers) {
            return false;
        }
        links.iter_mut().for_each(|link| link.fixed |= link.y as usize >= self.first_lane);
        true
    }
}
