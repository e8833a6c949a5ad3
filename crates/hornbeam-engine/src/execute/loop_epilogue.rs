//! Runs a loop epilogue on parts of a result while its producer computes them.

use std::ops::Range;

use hornbeam_kernels::gemm::FusedEpilogue;

use crate::instruction::{Instruction, Kind, LoopEpilogue};
use crate::memory::Memory;

/// The loop epilogue of a running instruction.
pub struct RunningEpilogue<'a> {
    epilogue: &'a LoopEpilogue,
    instruction: &'a Instruction,
    memory: Memory<'a>,
}

// SAFETY: parts are disjoint, and tasks touch no other element of what the loop writes.
unsafe impl Sync for RunningEpilogue<'_> {}

impl<'a> RunningEpilogue<'a> {
    pub fn of(instruction: &'a Instruction, memory: Memory<'a>) -> Option<Self> {
        Some(RunningEpilogue { epilogue: instruction.loop_epilogue.as_deref()?, instruction, memory })
    }
}

impl<T> FusedEpilogue<T> for RunningEpilogue<'_> {
    fn apply(&self, start: usize, part: &mut [T]) {
        let LoopEpilogue { fused, source, reads, writes } = self.epilogue;
        let operands = [&self.instruction.reads[*reads..], &self.instruction.writes[*writes..]];
        let range = start..start + part.len();
        // Products and convolutions of floats call `prefetch` ahead of each part, others do not.
        let prefetched = matches!(self.instruction.kind, Kind::Dot { .. } | Kind::Conv { .. });
        // SAFETY: the part holds the range's elements of the result; lowering makes every other operand reach over the
        // loop, and operands share memory only as the planner allows.
        unsafe { fused.run_range(self.memory, operands, range, (*source, part.as_ptr().cast()), prefetched) };
    }

    fn prefetch(&self, elements: Range<usize>) {
        let LoopEpilogue { fused, source, reads, writes } = self.epilogue;
        let operands = [&self.instruction.reads[*reads..], &self.instruction.writes[*writes..]];
        fused.prefetch(self.memory, operands, elements, *source);
    }

    fn cost(&self) -> usize {
        // Simple operations run at about a quarter of the speed of multiply-adds in registers.
        4 * self.epilogue.fused.cost
    }
}
