//! Moves instructions to where their operands are complete, if that frees more memory than it takes.
//!
//! A front end lists what each output needs, one output after another: the gradients of most weights come after all of
//! the backward pass, and the values from which they are computed live until then.

use crate::instruction::{Instruction, Location, Program};

/// Results up to this size are computed early in any case: others may wait for them.
const SMALL_BYTES: usize = 1 << 12;
/// An instruction frees what it is the last to read, which may be so only after others have moved.
const PASSES: usize = 3;

/// Move instructions that free memory to an earlier position.
pub fn hoist(mut program: Program) -> Program {
    for _ in 0..PASSES {
        let positions = Uses::new(&program).positions();
        let mut order: Vec<usize> = (0..positions.len()).collect();
        order.sort_by_key(|&index| (positions[index], index));
        let mut instructions: Vec<_> = program.instructions.into_iter().map(Some).collect();
        program.instructions = order.into_iter().filter_map(|index| instructions[index].take()).collect();
    }
    program
}

/// The instructions that use each buffer.
struct Uses<'a> {
    program: &'a Program,
    /// The last one that writes it; 0 for none.
    writer: Vec<usize>,
    /// The last one that reads it, and the number of those.
    last_reader: Vec<usize>,
    readers: Vec<usize>,
}

impl<'a> Uses<'a> {
    fn new(program: &'a Program) -> Self {
        let count = program.buffers.len();
        let mut uses =
            Uses { program, writer: vec![0; count], last_reader: vec![usize::MAX; count], readers: vec![0; count] };
        for (index, instruction) in program.instructions.iter().enumerate() {
            for write in &instruction.writes {
                uses.writer[write.buffer as usize] = index;
            }
            for read in &instruction.reads {
                let buffer = read.buffer as usize;
                uses.readers[buffer] += usize::from(uses.last_reader[buffer] != index);
                uses.last_reader[buffer] = index;
            }
        }
        uses
    }

    /// The instruction that each one follows: its own number if it stays.
    fn positions(&self) -> Vec<usize> {
        let instructions = &self.program.instructions;
        // The latest positions so far of a writer, and of a reader, of each buffer.
        let (mut written, mut read) = (vec![0; self.writer.len()], vec![0; self.writer.len()]);
        let mut positions = Vec::with_capacity(instructions.len());
        // The last instruction that stays.
        let mut stayed = 0;
        for (index, instruction) in instructions.iter().enumerate() {
            let taken = self.taken(index, instruction);
            let mut position = index;
            if taken <= SMALL_BYTES || taken < self.freed(index, instruction) {
                position = 0;
                for operand in &instruction.reads {
                    let buffer = operand.buffer as usize;
                    position = position.max(written[buffer]);
                    // It may overwrite this state, so that the others must have read it.
                    let is_input = matches!(self.program.buffers[buffer].location, Location::Input(_));
                    if is_input && self.last_reader[buffer] == index {
                        position = position.max(read[buffer]);
                    }
                }
                // Several instructions may write parts of a result.
                for operand in &instruction.writes {
                    position = position.max(written[operand.buffer as usize]);
                }
                // A chain goes on, so that what moves to one of its links precedes the next one.
                if position == stayed && taken > SMALL_BYTES {
                    position = index;
                }
            }
            if position == index {
                stayed = index;
            }
            for operand in &instruction.reads {
                let latest = &mut read[operand.buffer as usize];
                *latest = position.max(*latest);
            }
            for operand in &instruction.writes {
                let latest = &mut written[operand.buffer as usize];
                *latest = position.max(*latest);
            }
            positions.push(position);
        }
        positions
    }

    /// Bytes of the arena that a buffer takes.
    fn bytes(&self, buffer: u32) -> usize {
        let info = &self.program.buffers[buffer as usize];
        if matches!(info.location, Location::Arena(_)) {
            info.bytes
        } else {
            0
        }
    }

    /// Bytes of the results, without those that the next instruction consumes.
    fn taken(&self, index: usize, instruction: &Instruction) -> usize {
        let kept = instruction.writes.iter().filter(|write| !self.is_consumed(index, write.buffer));
        kept.map(|write| self.bytes(write.buffer)).sum()
    }

    /// Return whether the only reader of a result can follow at once and takes no memory, as the update of a weight by
    /// its gradient does.
    fn is_consumed(&self, index: usize, buffer: u32) -> bool {
        if self.readers[buffer as usize] != 1 {
            return false;
        }
        let reader = &self.program.instructions[self.last_reader[buffer as usize]];
        let is_ready = |other: u32| other == buffer || self.writer[other as usize] < index.max(1);
        let takes_none = reader.writes.iter().all(|write| self.bytes(write.buffer) == 0);
        takes_none && reader.reads.iter().all(|read| is_ready(read.buffer))
    }

    /// Bytes of the operands that no later instruction reads.
    fn freed(&self, index: usize, instruction: &Instruction) -> usize {
        let mut buffers: Vec<u32> = instruction.reads.iter().map(|read| read.buffer).collect();
        buffers.sort_unstable();
        buffers.dedup();
        let last = buffers.into_iter().filter(|&buffer| self.last_reader[buffer as usize] == index);
        last.map(|buffer| self.bytes(buffer)).sum()
    }
}
