//! Loops that run on parts of a result while a kernel makes it.

use std::ops::Range;

use hornbeam_kernels::gemm::FusedEpilogue;

use crate::instruction::{Instruction, Kind, Tail};
use crate::memory::Memory;

/// The tail of an instruction that is under way.
pub struct Tailing<'a> {
    tail: &'a Tail,
    instruction: &'a Instruction,
    memory: Memory<'a>,
}

// SAFETY: parts are disjoint, and tasks touch nothing else of what the loop writes.
unsafe impl Sync for Tailing<'_> {}

impl<'a> Tailing<'a> {
    pub fn of(instruction: &'a Instruction, memory: Memory<'a>) -> Option<Self> {
        Some(Tailing { tail: instruction.tail.as_deref()?, instruction, memory })
    }
}

impl<T> FusedEpilogue<T> for Tailing<'_> {
    fn apply(&self, start: usize, part: &mut [T]) {
        let Tail { fused, source, reads, writes } = self.tail;
        let operands = [&self.instruction.reads[*reads..], &self.instruction.writes[*writes..]];
        let range = start..start + part.len();
        let announced = matches!(self.instruction.kind, Kind::Dot { .. });
        // SAFETY: the part holds the range's elements of the result; every other operand reaches over the loop by lowering,
        // and shares memory only as the planner allows.
        unsafe { fused.part(self.memory, operands, range, (*source, part.as_ptr().cast()), announced) };
    }

    fn prefetch(&self, elements: Range<usize>) {
        let Tail { fused, source, reads, .. } = self.tail;
        fused.announce(self.memory, &self.instruction.reads[*reads..], elements, *source);
    }

    fn cost(&self) -> usize {
        // Simple operations run at about a quarter of the speed of multiply-adds in registers.
        4 * self.tail.fused.cost
    }
}
