//! The memory plan: buffer lifetimes, results that overwrite dead operands, and arena offsets of all other buffers.

use std::collections::BTreeMap;

use crate::buffer::ALIGNMENT;
use crate::error::{malformed, Result};
use crate::fused::{FusedLoop, Load};
use crate::instruction::{Instruction, Kind, Location, OutputSource, Program};
use crate::operand::Operand;
use crate::strided;
use crate::types::MAX_BYTES;

/// Assign the location of every buffer. A program whose live values exceed any memory is an error.
pub fn plan(mut program: Program) -> Result<Program> {
    let last = last_uses(&program);
    let mut planner = Planner { arena: Arena::default(), assigned: vec![false; program.buffers.len()] };
    let mut reused = vec![false; program.buffers.len()];
    for index in 0..program.instructions.len() {
        for (write, read) in in_place_pairs(&program.instructions[index]) {
            planner.share(&mut program, index, write, read, &last, &mut reused);
        }
        let writes: Vec<u32> = program.instructions[index].writes.iter().map(|w| w.buffer).collect();
        for &buffer in &writes {
            planner.allocate(&mut program, buffer);
        }
        if planner.arena.size > MAX_BYTES {
            let instruction = program.instructions[index].kind.name();
            return Err(malformed!("the values that live at once at {instruction} exceed the largest memory"));
        }
        let instruction = &program.instructions[index];
        let mut operands: Vec<u32> = instruction.reads.iter().chain(&instruction.writes).map(|o| o.buffer).collect();
        operands.sort_unstable();
        operands.dedup();
        for buffer in operands {
            if last[buffer as usize] == index && !reused[buffer as usize] {
                planner.release(&program, buffer);
            }
        }
    }
    program.arena = planner.arena.size;
    Ok(program)
}

/// The last instruction that uses each buffer; `usize::MAX` for buffers that outlive the program.
fn last_uses(program: &Program) -> Vec<usize> {
    let mut last = vec![0; program.buffers.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        instruction.reads.iter().chain(&instruction.writes).for_each(|o| last[o.buffer as usize] = index);
    }
    for (buffer, info) in program.buffers.iter().enumerate() {
        let outlives = match info.location {
            Location::Output(_) => true,
            Location::Input(n) => program.sources.contains(&OutputSource::Input(n)),
            _ => false,
        };
        if outlives {
            last[buffer] = usize::MAX;
        }
    }
    last
}

/// Return the pairs of a write and a read that may share memory, best first.
///
/// A fused loop reads block i of a contiguous operand before it writes block i of a result
/// (`LoopBuilder::is_deferred`). The other instructions copy that operand first, and skip the copy if both are the
/// same memory.
pub fn in_place_pairs(instruction: &Instruction) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if let Some(epilogue) = &instruction.loop_epilogue {
        let of_loop = loop_pairs(&epilogue.fused, &instruction.reads[epilogue.reads..]);
        let in_memory = of_loop.into_iter().filter(|&(_, read)| read != epilogue.source);
        pairs.extend(in_memory.map(|(write, read)| (epilogue.writes + write, epilogue.reads + read)));
    }
    match &instruction.kind {
        Kind::Fused(fused) => pairs.extend(loop_pairs(fused, &instruction.reads)),
        Kind::Copy { dims, .. } if strided::is_contiguous(dims) => pairs.push((0, 0)),
        Kind::Scatter(..) | Kind::DynamicUpdateSlice { .. } if instruction.loop_epilogue.is_none() => {
            pairs.push((0, 0))
        }
        Kind::While { carries, .. } => pairs.extend((0..*carries).map(|c| (c, c))),
        Kind::Scan { scan, .. } => pairs.extend((0..scan.carries).filter(|&c| !scan.saved[c]).map(|c| (c, c))),
        _ => {}
    }
    pairs
}

fn loop_pairs(fused: &FusedLoop, reads: &[Operand]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (write, &size) in fused.stores.iter().enumerate() {
        let fits = |&read: &usize| fused.loads[read] == Load::Contiguous { size } && reads[read].count >= fused.count;
        pairs.extend((0..fused.loads.len()).filter(fits).map(|read| (write, read)));
    }
    pairs
}

struct Planner {
    arena: Arena,
    assigned: Vec<bool>,
}

impl Planner {
    /// Let a write share the memory of a read whose lifetime ends here, if both have the same size.
    fn share(
        &mut self,
        program: &mut Program,
        index: usize,
        write: usize,
        read: usize,
        last: &[usize],
        reused: &mut [bool],
    ) {
        let instruction = &program.instructions[index];
        let (w, r) = (instruction.writes[write], instruction.reads[read]);
        let times_read = instruction.reads.iter().filter(|o| o.buffer == r.buffer).count();
        let full =
            r.offset == 0 && program.buffers[r.buffer as usize].bytes == program.buffers[w.buffer as usize].bytes;
        let free = last[r.buffer as usize] == index && !reused[r.buffer as usize];
        if times_read != 1 || !full || !free || self.assigned[w.buffer as usize] || r.dtype.size() != w.dtype.size() {
            return;
        }
        match (program.buffers[w.buffer as usize].location, program.buffers[r.buffer as usize].location) {
            (Location::Arena(_), Location::Arena(offset)) => {
                program.buffers[w.buffer as usize].location = Location::Arena(offset);
                self.assigned[w.buffer as usize] = true;
                reused[r.buffer as usize] = true;
            }
            (Location::Output(output), Location::Input(input)) => {
                let same_type = program.outputs[output as usize] == program.inputs[input as usize];
                let source = &mut program.sources[output as usize];
                if same_type
                    && *source == (OutputSource::Computed { reuse: None })
                    && prefers(program, index, output, input)
                {
                    program.sources[output as usize] = OutputSource::Computed { reuse: Some(input) };
                    reused[r.buffer as usize] = true;
                }
            }
            _ => {}
        }
    }

    fn allocate(&mut self, program: &mut Program, buffer: u32) {
        let info = &mut program.buffers[buffer as usize];
        if let (Location::Arena(offset), false) = (&mut info.location, self.assigned[buffer as usize]) {
            *offset = self.arena.allocate(info.bytes);
        }
        self.assigned[buffer as usize] = true;
    }

    fn release(&mut self, program: &Program, buffer: u32) {
        let info = &program.buffers[buffer as usize];
        if let (Location::Arena(offset), true) = (info.location, self.assigned[buffer as usize]) {
            self.arena.free(offset, info.bytes);
        }
    }
}

/// Return whether output `output` may overwrite input `input`: state keeps its number, so output n overwrites input n
/// if this instruction reads that input at all.
fn prefers(program: &Program, index: usize, output: u32, input: u32) -> bool {
    if output == input {
        return true;
    }
    let reads = &program.instructions[index].reads;
    let reads_own_input = reads.iter().any(|r| program.buffers[r.buffer as usize].location == Location::Input(output));
    let writes_other_output = program.instructions[index]
        .writes
        .iter()
        .any(|w| program.buffers[w.buffer as usize].location == Location::Output(input));
    let has_own_input = reads_own_input && program.inputs.get(output as usize) == program.outputs.get(output as usize);
    !has_own_input && !writes_other_output
}

/// Offsets in one growing block of memory: best fit over free ranges; adjacent free ranges are merged.
#[derive(Default)]
struct Arena {
    /// Start to length.
    free_ranges: BTreeMap<usize, usize>,
    size: usize,
}

impl Arena {
    fn allocate(&mut self, bytes: usize) -> usize {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let best =
            self.free_ranges.iter().filter(|(_, &len)| len >= bytes).min_by_key(|(_, &len)| len).map(|(&s, &l)| (s, l));
        if let Some((start, len)) = best {
            self.free_ranges.remove(&start);
            if len > bytes {
                self.free_ranges.insert(start + bytes, len - bytes);
            }
            return start;
        }
        // Grow, from the free range at the end if one exists.
        let start = match self.free_ranges.last_key_value() {
            Some((&start, &len)) if start + len == self.size => {
                self.free_ranges.remove(&start);
                start
            }
            _ => self.size,
        };
        self.size = start + bytes;
        start
    }

    fn free(&mut self, offset: usize, bytes: usize) {
        let (mut start, mut len) = (offset, bytes.max(1).next_multiple_of(ALIGNMENT));
        if let Some((&before, &length)) = self.free_ranges.range(..start).next_back() {
            if before + length == start {
                self.free_ranges.remove(&before);
                (start, len) = (before, length + len);
            }
        }
        if let Some(length) = self.free_ranges.remove(&(start + len)) {
            len += length;
        }
        self.free_ranges.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arena_reuses_and_merges_ranges() {
        let mut arena = Arena::default();
        let (a, b, c) = (arena.allocate(64), arena.allocate(100), arena.allocate(64));
        assert_eq!((a, b, c, arena.size), (0, 64, 192, 256));
        arena.free(a, 64);
        arena.free(b, 100);
        assert_eq!(arena.allocate(192), 0);
        arena.free(c, 64);
        assert_eq!((arena.allocate(200), arena.size), (192, 448));
    }
}
