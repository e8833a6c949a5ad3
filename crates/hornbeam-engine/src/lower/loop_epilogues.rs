//! Loops that run on a product while its results are in cache: masks, dropout, the update of an optimizer. What the product
//! itself computes then never reaches memory. So it is with rows that are added into zeros, as the gradient of an embedding.

use crate::fused::Load;
use crate::instruction::{Instruction, Kind, Operand, Place, Program, Tail};
use crate::memory_plan::in_place_pairs;

/// Bytes of a result that a loop would find in cache anyway.
const SMALL: usize = 1 << 19;
/// Columns of a result that products finish row by row as a whole: a loop over many short pieces loses more than it saves.
const COLUMNS: usize = 512;
/// Elements of a slice that a scatter hands on as a whole.
const SLICE: usize = 4096;

/// Let a loop that is the only reader of a product become its tail.
pub fn attach(mut program: Program) -> Program {
    let instructions = std::mem::take(&mut program.instructions);
    let mut slots = Slots::new(&program, instructions);
    for product in 0..slots.instructions.len() {
        if let Some(follower) = slots.follower(&program, product) {
            slots.merge(&program, product, follower);
        }
    }
    program.instructions = slots.instructions.into_iter().flatten().collect();
    program
}

/// A loop that can be a tail: where it stands, its read of the product, and where the two can run as one.
struct Follower {
    at: usize,
    source: usize,
    target: usize,
}

/// The instructions, with holes where some have joined others; by buffer, who reads and who writes it.
struct Slots {
    instructions: Vec<Option<Instruction>>,
    readers: Vec<Vec<usize>>,
    writer: Vec<Option<usize>>,
}

impl Slots {
    fn new(program: &Program, instructions: Vec<Instruction>) -> Self {
        let mut slots = Slots {
            instructions: Vec::with_capacity(instructions.len()),
            readers: vec![Vec::new(); program.buffers.len()],
            writer: vec![None; program.buffers.len()],
        };
        for instruction in instructions {
            slots.instructions.push(None);
            slots.put(slots.instructions.len() - 1, instruction);
        }
        slots
    }

    fn put(&mut self, at: usize, instruction: Instruction) {
        for read in &instruction.reads {
            let readers = &mut self.readers[read.buffer as usize];
            if !readers.contains(&at) {
                readers.push(at);
            }
        }
        instruction.writes.iter().for_each(|write| self.writer[write.buffer as usize] = Some(at));
        self.instructions[at] = Some(instruction);
    }

    fn take(&mut self, at: usize) -> Option<Instruction> {
        let taken = self.instructions[at].take()?;
        taken.reads.iter().for_each(|read| self.readers[read.buffer as usize].retain(|&reader| reader != at));
        Some(taken)
    }

    fn between(&self, first: usize, last: usize) -> impl Iterator<Item = &Instruction> {
        self.instructions[first + 1..last].iter().flatten()
    }

    /// The loop that alone reads the product at `at`, element by element.
    fn follower(&self, program: &Program, at: usize) -> Option<Follower> {
        let product = self.instructions[at].as_ref()?;
        let finishes = match &product.kind {
            Kind::Dot { gemm, .. } => gemm.n <= COLUMNS,
            _ => self.filled(program, product).is_some(),
        };
        if !finishes {
            return None;
        }
        let result = product.writes[0];
        let info = &program.buffers[result.buffer as usize];
        let [reader] = self.readers[result.buffer as usize][..] else { return None };
        let follower = self.instructions[reader].as_ref()?;
        let Kind::Fused(fused) = &follower.kind else { return None };
        let mut reads = (0..follower.reads.len()).filter(|&r| follower.reads[r].buffer == result.buffer);
        let (source, None) = (reads.next()?, reads.next()) else { return None };
        let whole = follower.reads[source].offset == 0 && info.bytes == result.count * result.dtype.size();
        let fits = fused.loads[source] == Load::Contiguous { size: result.dtype.size() } && fused.count == result.count;
        if info.bytes < SMALL || fused.cut.is_some() || !whole || !fits || !matches!(info.place, Place::Arena(_)) {
            return None;
        }
        let target = if self.can_rise(follower, reader, at) {
            at
        } else if self.can_sink(product, at, reader) {
            reader
        } else {
            return None;
        };
        Some(Follower { at: reader, source, target })
    }

    /// The number that all of a scatter's operand holds, if it was made for this scatter, and the copy that made it. Only where
    /// updates are few and slices short: the result is made in order, and a task has all updates of its part.
    fn filled(&self, program: &Program, scatter: &Instruction) -> Option<(Operand, usize)> {
        let Kind::Scatter(_, spec) = &scatter.kind else { return None };
        let tuple = spec.indices.last().copied().unwrap_or(0);
        let slice: usize = spec.shape[spec.batch_dims + tuple..].iter().product();
        if slice > SLICE || scatter.reads[2].count > scatter.writes[0].count {
            return None;
        }
        let buffer = scatter.reads[0].buffer as usize;
        let (writer, [_]) = (self.writer[buffer]?, &self.readers[buffer][..]) else { return None };
        let copy = self.instructions[writer].as_ref()?;
        let Kind::Copy { dims, .. } = &copy.kind else { return None };
        let number = Operand { count: 1, ..copy.reads[0] };
        let fixed = matches!(program.buffers[number.buffer as usize].place, Place::Constant(_) | Place::Literal(_));
        let kept = matches!(program.buffers[buffer].place, Place::Output(_));
        (fixed && !kept && dims.iter().all(|dim| dim.stride == 0)).then_some((number, writer))
    }

    /// Whether the loop finds all that it reads at `to`, and nobody in between still needs what it may overwrite.
    fn can_rise(&self, follower: &Instruction, from: usize, to: usize) -> bool {
        let ready = |buffer: u32| self.writer[buffer as usize].is_none_or(|writer| writer <= to);
        let overwritten = |(_, read): (usize, usize)| {
            let buffer = follower.reads[read].buffer;
            self.readers[buffer as usize].iter().any(|&reader| to < reader && reader < from)
        };
        follower.reads.iter().all(|read| ready(read.buffer)) && !in_place_pairs(follower).into_iter().any(overwritten)
    }

    /// Whether nobody in between may overwrite an operand of the product.
    fn can_sink(&self, product: &Instruction, from: usize, to: usize) -> bool {
        let overwrites = |other: &Instruction| {
            let own = |read: usize| product.reads.iter().any(|operand| operand.buffer == other.reads[read].buffer);
            in_place_pairs(other).into_iter().any(|(_, read)| own(read))
        };
        !self.between(from, to).any(overwrites)
    }

    fn merge(&mut self, program: &Program, product: usize, Follower { at, source, target }: Follower) {
        let filled = self.instructions[product].as_ref().and_then(|one| self.filled(program, one));
        let (Some(mut merged), Some(tail)) = (self.take(product), self.take(at)) else { return };
        if let Some((number, copy)) = filled {
            merged.reads[0] = number;
            self.take(copy);
        }
        let Kind::Fused(fused) = tail.kind else { unreachable!("only loops follow") };
        let (reads, writes) = (merged.reads.len(), merged.writes.len());
        merged.tail = Some(Box::new(Tail { fused: *fused, source, reads, writes }));
        merged.reads.extend(tail.reads);
        merged.writes.extend(tail.writes);
        for (scope, count) in tail.scopes {
            match merged.scopes.iter_mut().find(|(known, _)| *known == scope) {
                Some((_, known)) => *known += count,
                None => merged.scopes.push((scope, count)),
            }
        }
        self.put(target, merged);
    }
}
