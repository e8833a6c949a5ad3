//! Memory: when every buffer lives, which results overwrite operands that die, and where in the arena the rest lie.

use std::collections::BTreeMap;

use crate::buffer::ALIGNMENT;
use crate::error::{malformed, Result};
use crate::fused::{Fused, Load};
use crate::instruction::{Instruction, Kind, Operand, OutputSource, Place, Program};
use crate::types::LARGEST;

/// Decide on the place of every buffer. Programs whose values fit into no memory are refused.
pub fn plan(mut program: Program) -> Result<Program> {
    let last = last_uses(&program);
    let mut planner = Planner { arena: Arena::default(), placed: vec![false; program.buffers.len()] };
    let mut taken = vec![false; program.buffers.len()];
    for index in 0..program.instructions.len() {
        for (write, read) in in_place_pairs(&program.instructions[index]) {
            planner.share(&mut program, index, write, read, &last, &mut taken);
        }
        let writes: Vec<u32> = program.instructions[index].writes.iter().map(|w| w.buffer).collect();
        for &buffer in &writes {
            planner.allocate(&mut program, buffer);
        }
        if planner.arena.size > LARGEST {
            let instruction = program.instructions[index].kind.name();
            return Err(malformed!("no memory is as large as what lives at once at {instruction}"));
        }
        let operands = &program.instructions[index];
        let mut ending: Vec<u32> = operands.reads.iter().chain(&operands.writes).map(|o| o.buffer).collect();
        ending.sort_unstable();
        ending.dedup();
        for buffer in ending {
            if last[buffer as usize] == index && !taken[buffer as usize] {
                planner.release(&program, buffer);
            }
        }
    }
    program.arena = planner.arena.size;
    Ok(program)
}

/// The last instruction that touches each buffer; the end for what leaves the program.
fn last_uses(program: &Program) -> Vec<usize> {
    let mut last = vec![0; program.buffers.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        instruction.reads.iter().chain(&instruction.writes).for_each(|o| last[o.buffer as usize] = index);
    }
    for (buffer, info) in program.buffers.iter().enumerate() {
        let leaves = match info.place {
            Place::Output(_) => true,
            Place::Input(n) => program.sources.contains(&OutputSource::Input(n)),
            _ => false,
        };
        if leaves {
            last[buffer] = usize::MAX;
        }
    }
    last
}

/// Writes that may lie in the memory of a read, best pairs first.
///
/// A fused loop reads block i of a contiguous operand before it writes block i of a result (`Build::is_late` sees to
/// it). The others copy that operand first, and skip the copy when it is already there.
pub fn in_place_pairs(instruction: &Instruction) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if let Some(tail) = &instruction.tail {
        let own = loop_pairs(&tail.fused, &instruction.reads[tail.reads..]);
        let elsewhere = own.into_iter().filter(|&(_, read)| read != tail.source);
        pairs.extend(elsewhere.map(|(write, read)| (tail.writes + write, tail.reads + read)));
    }
    match &instruction.kind {
        Kind::Fused(fused) => pairs.extend(loop_pairs(fused, &instruction.reads)),
        Kind::Copy { dims, .. } if crate::strided::is_contiguous(dims) => pairs.push((0, 0)),
        Kind::Scatter(..) | Kind::DynamicUpdateSlice { .. } if instruction.tail.is_none() => pairs.push((0, 0)),
        Kind::While { carries, .. } => pairs.extend((0..*carries).map(|c| (c, c))),
        Kind::Scan { scan, .. } => pairs.extend((0..scan.carries).filter(|&c| !scan.saved[c]).map(|c| (c, c))),
        _ => {}
    }
    pairs
}

fn loop_pairs(fused: &Fused, reads: &[Operand]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (write, &size) in fused.stores.iter().enumerate() {
        let fits = |&read: &usize| fused.loads[read] == Load::Contiguous { size } && reads[read].count >= fused.count;
        pairs.extend((0..fused.loads.len()).filter(fits).map(|read| (write, read)));
    }
    pairs
}

struct Planner {
    arena: Arena,
    placed: Vec<bool>,
}

impl Planner {
    /// Put a write into the memory of a read that ends here, if the two fit.
    fn share(
        &mut self,
        program: &mut Program,
        index: usize,
        write: usize,
        read: usize,
        last: &[usize],
        taken: &mut [bool],
    ) {
        let instruction = &program.instructions[index];
        let (w, r) = (instruction.writes[write], instruction.reads[read]);
        let times_read = instruction.reads.iter().filter(|o| o.buffer == r.buffer).count();
        let whole =
            r.offset == 0 && program.buffers[r.buffer as usize].bytes == program.buffers[w.buffer as usize].bytes;
        let free = last[r.buffer as usize] == index && !taken[r.buffer as usize];
        if times_read != 1 || !whole || !free || self.placed[w.buffer as usize] || r.dtype.size() != w.dtype.size() {
            return;
        }
        match (program.buffers[w.buffer as usize].place, program.buffers[r.buffer as usize].place) {
            (Place::Arena(_), Place::Arena(offset)) => {
                program.buffers[w.buffer as usize].place = Place::Arena(offset);
                self.placed[w.buffer as usize] = true;
                taken[r.buffer as usize] = true;
            }
            (Place::Output(output), Place::Input(input)) => {
                let same_type = program.outputs[output as usize] == program.inputs[input as usize];
                let source = &mut program.sources[output as usize];
                if same_type
                    && *source == (OutputSource::Computed { reuse: None })
                    && prefers(program, index, output, input)
                {
                    program.sources[output as usize] = OutputSource::Computed { reuse: Some(input) };
                    taken[r.buffer as usize] = true;
                }
            }
            _ => {}
        }
    }

    fn allocate(&mut self, program: &mut Program, buffer: u32) {
        let info = &mut program.buffers[buffer as usize];
        if let (Place::Arena(offset), false) = (&mut info.place, self.placed[buffer as usize]) {
            *offset = self.arena.take(info.bytes);
        }
        self.placed[buffer as usize] = true;
    }

    fn release(&mut self, program: &Program, buffer: u32) {
        let info = &program.buffers[buffer as usize];
        if let (Place::Arena(offset), true) = (info.place, self.placed[buffer as usize]) {
            self.arena.give(offset, info.bytes);
        }
    }
}

/// State keeps its number: output n overwrites input n, if this instruction reads that input at all.
fn prefers(program: &Program, index: usize, output: u32, input: u32) -> bool {
    if output == input {
        return true;
    }
    let reads = &program.instructions[index].reads;
    let own = reads.iter().any(|r| program.buffers[r.buffer as usize].place == Place::Input(output));
    let others = program.instructions[index]
        .writes
        .iter()
        .any(|w| program.buffers[w.buffer as usize].place == Place::Output(input));
    let own = own && program.inputs.get(output as usize) == program.outputs.get(output as usize);
    !own && !others
}

/// Offsets in one growing block of memory: best fit over free ranges, neighbours merged.
#[derive(Default)]
struct Arena {
    /// Start to length.
    free: BTreeMap<usize, usize>,
    size: usize,
}

impl Arena {
    fn take(&mut self, bytes: usize) -> usize {
        let bytes = bytes.max(1).next_multiple_of(ALIGNMENT);
        let best = self.free.iter().filter(|(_, &len)| len >= bytes).min_by_key(|(_, &len)| len).map(|(&s, &l)| (s, l));
        if let Some((start, len)) = best {
            self.free.remove(&start);
            if len > bytes {
                self.free.insert(start + bytes, len - bytes);
            }
            return start;
        }
        // Grow, using a free range at the end.
        let start = match self.free.last_key_value() {
            Some((&start, &len)) if start + len == self.size => {
                self.free.remove(&start);
                start
            }
            _ => self.size,
        };
        self.size = start + bytes;
        start
    }

    fn give(&mut self, offset: usize, bytes: usize) {
        let (mut start, mut len) = (offset, bytes.max(1).next_multiple_of(ALIGNMENT));
        if let Some((&before, &length)) = self.free.range(..start).next_back() {
            if before + length == start {
                self.free.remove(&before);
                (start, len) = (before, length + len);
            }
        }
        if let Some(length) = self.free.remove(&(start + len)) {
            len += length;
        }
        self.free.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arena_reuses_and_merges() {
        let mut arena = Arena::default();
        let (a, b, c) = (arena.take(64), arena.take(100), arena.take(64));
        assert_eq!((a, b, c, arena.size), (0, 64, 192, 256));
        arena.give(a, 64);
        arena.give(b, 100);
        assert_eq!(arena.take(192), 0);
        arena.give(c, 64);
        assert_eq!((arena.take(200), arena.size), (192, 448));
    }
}
