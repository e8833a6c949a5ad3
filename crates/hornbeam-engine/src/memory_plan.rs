//! The memory plan: buffer lifetimes, results that overwrite dead operands, and arena offsets of all other buffers.
//!
//! [`plan`] allocates in the order of the instructions, so that new values are written to memory that is still in
//! cache. [`pack`] wastes less memory: it places the largest buffers first. It is for memory budgets, and for values that no
//! cache holds ([`pack_large`]).

use std::collections::BTreeMap;

use crate::buffer::ALIGNMENT;
use crate::error::{malformed, Result};
use crate::fused::{FusedLoop, Load};
use crate::instruction::{BufferInfo, Instruction, Kind, Location, OutputSource, Program};
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
            // After each, so that their sum cannot overflow.
            if planner.arena.size > MAX_BYTES {
                let instruction = program.instructions[index].kind.name();
                return Err(malformed!("the values that live at once at {instruction} exceed the largest memory"));
            }
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

/// Give a value that an output overwrites the memory of that output from the start: nothing has to copy it there.
///
/// A program whose output can overwrite an input is left to [`plan`], which prefers that.
pub fn merge_into_outputs(program: &mut Program) {
    let last = last_uses(program);
    let mut first = vec![usize::MAX; program.buffers.len()];
    for (index, instruction) in program.instructions.iter().enumerate().rev() {
        instruction.reads.iter().chain(&instruction.writes).for_each(|o| first[o.buffer as usize] = index);
    }
    // The buffer that each is merged into. Backwards, so that values merge into those that are merged already.
    let mut merged: Vec<u32> = (0..program.buffers.len() as u32).collect();
    for (index, instruction) in program.instructions.iter().enumerate().rev() {
        let pairs = in_place_pairs(instruction);
        for &(write, read) in &pairs {
            let (w, r) = (instruction.writes[write], instruction.reads[read]);
            let (output, value) = (merged[w.buffer as usize], r.buffer as usize);
            // The value moves if the output has memory of its own, and the value is in the arena; if the value ends
            // and the output begins here; if both are whole buffers of one size; if nothing has moved the value
            // before, and no pair of this output reads an input, which `plan` prefers.
            let is_computed = |n: u32| program.sources[n as usize] == OutputSource::Computed { reuse: None };
            let is_new = matches!(program.buffers[output as usize].location, Location::Output(n) if is_computed(n));
            let reads_input = |&(_, other): &(usize, usize)| {
                let buffer = instruction.reads[other].buffer as usize;
                matches!(program.buffers[buffer].location, Location::Input(_))
            };
            let in_arena = matches!(program.buffers[value].location, Location::Arena(_));
            let times_read = instruction.reads.iter().filter(|o| o.buffer == r.buffer).count();
            let overwritten = times_read == 1 && last[value] == index && first[w.buffer as usize] == index;
            let full = r.offset == 0 && program.buffers[value].bytes == program.buffers[output as usize].bytes;
            let same_size = full && r.dtype.size() == w.dtype.size();
            let untouched = merged[value] == r.buffer && !pairs.iter().any(|pair| pair.0 == write && reads_input(pair));
            let shares = instruction.writes.iter().any(|o| o.buffer == r.buffer);
            if is_new && in_arena && overwritten && same_size && untouched && !shares {
                merged[value] = output;
                break;
            }
        }
    }
    for instruction in &mut program.instructions {
        for operand in instruction.reads.iter_mut().chain(&mut instruction.writes) {
            operand.buffer = merged[operand.buffer as usize];
        }
    }
}

/// Bytes of an arena that no cache holds.
const LARGE_ARENA: usize = 1 << 26;
/// The most buffers of a program that is packed without a memory budget.
const MAX_PACKED_ALWAYS: usize = 1 << 12;

/// Pack a planned program whose values leave the caches anyway, if that saves an eighth of its memory.
pub fn pack_large(program: Program) -> Program {
    if program.arena < LARGE_ARENA {
        return program;
    }
    match pack_into(&program, MAX_PACKED_ALWAYS) {
        Some((size, placed)) if size <= program.arena / 8 * 7 => relocate(program, size, &placed),
        _ => program,
    }
}

/// The most buffers that are packed: the time grows with the square of their number.
const MAX_PACKED: usize = 1 << 14;

/// Place the buffers of a planned program more closely: the largest first, each in the smallest gap that fits among
/// those that live at the same time (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
/// 2020).
pub fn pack(program: Program) -> Program {
    match pack_into(&program, MAX_PACKED) {
        Some((size, placed)) if size < program.arena => relocate(program, size, &placed),
        _ => program,
    }
}

/// Return the size of the arena, and where each block begins, or `None` for more than `most` of them.
fn pack_into(program: &Program, most: usize) -> Option<(usize, Vec<(usize, Block)>)> {
    let mut blocks = blocks(program);
    if blocks.len() > most {
        return None;
    }
    blocks.sort_by_key(|block| (std::cmp::Reverse(block.bytes), block.first));
    let mut placed: Vec<(usize, Block)> = Vec::with_capacity(blocks.len());
    let mut size = 0;
    for block in blocks {
        let at = smallest_gap(&placed, &block);
        size = size.max(at + block.bytes);
        let index = placed.partition_point(|&(other, _)| other < at);
        placed.insert(index, (at, block));
    }
    Some((size, placed))
}

/// Move blocks to their places in an arena of `size` bytes.
fn relocate(mut program: Program, size: usize, placed: &[(usize, Block)]) -> Program {
    program.arena = size;
    for (at, block) in placed {
        for &buffer in &block.buffers {
            program.buffers[buffer as usize].location = Location::Arena(*at);
        }
    }
    program
}

/// Memory of the arena from one instruction to another: of one buffer, and of those that overwrite it.
struct Block {
    buffers: Vec<u32>,
    bytes: usize,
    first: usize,
    last: usize,
}

/// The blocks of a planned program.
fn blocks(program: &Program) -> Vec<Block> {
    let last = last_uses(program);
    let mut blocks: Vec<Block> = Vec::new();
    // The block of each buffer so far.
    let mut block_of: Vec<Option<usize>> = vec![None; program.buffers.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        for write in &instruction.writes {
            let buffer = write.buffer as usize;
            let BufferInfo { location: Location::Arena(offset), bytes } = program.buffers[buffer] else { continue };
            if block_of[buffer].is_some() {
                continue;
            }
            // A buffer at the place of an operand that ends here overwrites it, and belongs to its block.
            let overwritten = instruction.reads.iter().find(|read| {
                let info = &program.buffers[read.buffer as usize];
                info.location == Location::Arena(offset) && info.bytes == bytes && last[read.buffer as usize] == index
            });
            let block = overwritten.and_then(|read| block_of[read.buffer as usize]).unwrap_or_else(|| {
                let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
                blocks.push(Block { buffers: Vec::new(), bytes, first: index, last: index });
                blocks.len() - 1
            });
            block_of[buffer] = Some(block);
            blocks[block].buffers.push(write.buffer);
            blocks[block].last = blocks[block].last.max(last[buffer]);
        }
    }
    blocks
}

/// The start of the smallest gap for a block among those at the same time, which are sorted by their start.
fn smallest_gap(placed: &[(usize, Block)], block: &Block) -> usize {
    let (mut end, mut best) = (0, None);
    for (at, other) in placed.iter().filter(|(_, other)| other.first <= block.last && block.first <= other.last) {
        if *at >= end + block.bytes && best.is_none_or(|(gap, _)| at - end < gap) {
            best = Some((at - end, end));
        }
        end = end.max(at + other.bytes);
    }
    best.map_or(end, |(_, start)| start)
}

/// The last instruction that uses each buffer; `usize::MAX` for buffers that outlive the program.
fn last_uses(program: &Program) -> Vec<usize> {
    let mut last = vec![0; program.buffers.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        instruction.reads.iter().chain(&instruction.writes).for_each(|o| last[o.buffer as usize] = index);
    }
    let mut returned = vec![false; program.inputs.len()];
    for source in &program.sources {
        if let OutputSource::Input(n) = source {
            returned[*n as usize] = true;
        }
    }
    for (buffer, info) in program.buffers.iter().enumerate() {
        let outlives = match info.location {
            Location::Output(_) => true,
            Location::Input(n) => returned[n as usize],
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

/// The pairs of a fused loop: loads that are as contiguous as a store, and cover all of its elements.
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
    /// True for buffers that have their location.
    assigned: Vec<bool>,
}

impl Planner {
    /// Let a write share the memory of a read whose lifetime ends at instruction `index`, if both have the same size.
    /// `last` has the last use of each buffer; `reused` those whose memory has a new owner.
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
                    && may_overwrite(program, index, output, input)
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
fn may_overwrite(program: &Program, index: usize, output: u32, input: u32) -> bool {
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
