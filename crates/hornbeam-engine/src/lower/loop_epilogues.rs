//! Fuses elementwise loops into their producers: a loop that alone reads the result of a matrix product or a convolution
//! (an activation, a mask, a dropout, an optimizer's update) becomes its epilogue, and runs on each part of the result while that is in
//! cache. The result itself then never reaches memory. The same holds for rows that are scattered into a constant, as
//! in the gradient of an embedding.

use hornbeam_kernels::conv;

use crate::fused::Load;
use crate::instruction::{Instruction, Kind, Location, LoopEpilogue, Program};
use crate::memory_plan::in_place_pairs;
use crate::operand::Operand;

/// Bytes of a result that a later loop would find in cache anyway.
const CACHED_BYTES: usize = 1 << 19;
/// Columns of a result up to which products complete whole rows. A loop over many short pieces costs more than it
/// saves.
const MAX_COLUMNS: usize = 512;
/// Elements of a slice that a scatter completes as a whole.
const MAX_SLICE: usize = 4096;

/// Fuse each loop that is the only reader of a product, or of a scatter, into it.
pub fn fuse(mut program: Program) -> Program {
    let instructions = std::mem::take(&mut program.instructions);
    let mut list = InstructionList::new(&program, instructions);
    for producer in 0..list.instructions.len() {
        if let Some(consumer) = list.consumer(&program, producer) {
            list.fuse(&program, producer, consumer);
        }
    }
    program.instructions = list.instructions.into_iter().flatten().collect();
    program
}

/// A loop that can be an epilogue: its index, its read of the producer's result, and the index where both can run as
/// one.
struct Consumer {
    index: usize,
    source: usize,
    target: usize,
}

/// The instructions, with gaps where some were fused into others, and the readers and the writer of each buffer.
struct InstructionList {
    instructions: Vec<Option<Instruction>>,
    readers: Vec<Vec<usize>>,
    writer: Vec<Option<usize>>,
    /// The instructions that may overwrite each buffer, and some that have moved since.
    overwriters: Vec<Vec<usize>>,
}

impl InstructionList {
    fn new(program: &Program, instructions: Vec<Instruction>) -> Self {
        let mut list = InstructionList {
            instructions: Vec::with_capacity(instructions.len()),
            readers: vec![Vec::new(); program.buffers.len()],
            writer: vec![None; program.buffers.len()],
            overwriters: vec![Vec::new(); program.buffers.len()],
        };
        for instruction in instructions {
            list.instructions.push(None);
            list.insert(list.instructions.len() - 1, instruction);
        }
        list
    }

    fn insert(&mut self, index: usize, instruction: Instruction) {
        for read in &instruction.reads {
            let readers = &mut self.readers[read.buffer as usize];
            if !readers.contains(&index) {
                readers.push(index);
            }
        }
        instruction.writes.iter().for_each(|write| self.writer[write.buffer as usize] = Some(index));
        for (_, read) in in_place_pairs(&instruction) {
            let overwriters = &mut self.overwriters[instruction.reads[read].buffer as usize];
            if overwriters.last() != Some(&index) {
                overwriters.push(index);
            }
        }
        self.instructions[index] = Some(instruction);
    }

    fn remove(&mut self, index: usize) -> Option<Instruction> {
        let instruction = self.instructions[index].take()?;
        for read in &instruction.reads {
            self.readers[read.buffer as usize].retain(|&reader| reader != index);
        }
        Some(instruction)
    }

    /// The loop that alone reads the result of the producer at `index`, element by element.
    fn consumer(&self, program: &Program, index: usize) -> Option<Consumer> {
        let producer = self.instructions[index].as_ref()?;
        let supports_epilogue = match &producer.kind {
            Kind::Dot { gemm, .. } => gemm.n <= MAX_COLUMNS,
            Kind::Conv { shape, .. } => {
                let narrow = !shape.is_pointwise() || shape.out_channels <= MAX_COLUMNS;
                narrow && conv::can_fuse(shape, producer.writes[0].dtype)
            }
            Kind::QuantizedConv { epilogue, .. } => epilogue.is_none_or(|epilogue| epilogue.rounded.is_none()),
            _ => self.scatter_base(program, producer).is_some(),
        };
        if !supports_epilogue {
            return None;
        }
        let result = producer.writes[0];
        let info = &program.buffers[result.buffer as usize];
        let [reader] = self.readers[result.buffer as usize][..] else { return None };
        let consumer = self.instructions[reader].as_ref()?;
        let Kind::Fused(fused) = &consumer.kind else { return None };
        let mut reads = (0..consumer.reads.len()).filter(|&r| consumer.reads[r].buffer == result.buffer);
        let (source, None) = (reads.next()?, reads.next()) else { return None };
        let full = consumer.reads[source].offset == 0 && info.bytes == result.bytes();
        let fits = fused.loads[source] == Load::Contiguous { size: result.dtype.size() } && fused.count == result.count;
        let in_arena = matches!(info.location, Location::Arena(_));
        if info.bytes < CACHED_BYTES || fused.partition.is_some() || !full || !fits || !in_arena {
            return None;
        }
        let target = if self.can_hoist(consumer, reader, index) {
            index
        } else if self.can_sink(producer, index, reader) {
            reader
        } else {
            return None;
        };
        Some(Consumer { index: reader, source, target })
    }

    /// The number that fills a scatter's operand, and the index of the copy that fills it, if the scatter is its only
    /// reader. None if updates are many or slices long: the result is computed in order, and each task scans all
    /// updates of its part.
    fn scatter_base(&self, program: &Program, scatter: &Instruction) -> Option<(Operand, usize)> {
        let Kind::Scatter(_, spec) = &scatter.kind else { return None };
        let index_depth = spec.indices.last().copied().unwrap_or(0);
        let slice: usize = spec.shape[spec.batch_dims + index_depth..].iter().product();
        if slice > MAX_SLICE || scatter.reads[2].count > scatter.writes[0].count {
            return None;
        }
        let buffer = scatter.reads[0].buffer as usize;
        let (writer, [_]) = (self.writer[buffer]?, &self.readers[buffer][..]) else { return None };
        let copy = self.instructions[writer].as_ref()?;
        let Kind::Copy { dims, .. } = &copy.kind else { return None };
        let number = Operand { count: 1, ..copy.reads[0] };
        let location = program.buffers[number.buffer as usize].location;
        let is_constant = matches!(location, Location::Constant(_) | Location::Literal(_));
        let is_output = matches!(program.buffers[buffer].location, Location::Output(_));
        (is_constant && !is_output && dims.iter().all(|dim| dim.stride == 0)).then_some((number, writer))
    }

    /// Return whether the loop at `from` can run at `to`: all its reads are written by then, and no instruction in
    /// between reads what it may overwrite.
    fn can_hoist(&self, consumer: &Instruction, from: usize, to: usize) -> bool {
        let ready = |buffer: u32| self.writer[buffer as usize].is_none_or(|writer| writer <= to);
        let overwritten = |(_, read): (usize, usize)| {
            let buffer = consumer.reads[read].buffer;
            self.readers[buffer as usize].iter().any(|&reader| to < reader && reader < from)
        };
        consumer.reads.iter().all(|read| ready(read.buffer)) && !in_place_pairs(consumer).into_iter().any(overwritten)
    }

    /// Return whether the producer at `from` can run at `to`: no instruction in between may overwrite an operand of it.
    fn can_sink(&self, producer: &Instruction, from: usize, to: usize) -> bool {
        let overwrites = |&other: &usize, buffer: u32| {
            let reads = |instruction: &Instruction| {
                in_place_pairs(instruction).into_iter().any(|(_, read)| instruction.reads[read].buffer == buffer)
            };
            from < other && other < to && self.instructions[other].as_ref().is_some_and(reads)
        };
        let buffers = producer.reads.iter().map(|operand| operand.buffer);
        !buffers.into_iter().any(|b| self.overwriters[b as usize].iter().any(|other| overwrites(other, b)))
    }

    fn fuse(&mut self, program: &Program, producer: usize, Consumer { index, source, target }: Consumer) {
        let base = self.instructions[producer].as_ref().and_then(|scatter| self.scatter_base(program, scatter));
        let (Some(mut fused), Some(consumer)) = (self.remove(producer), self.remove(index)) else { return };
        if let Some((number, copy)) = base {
            fused.reads[0] = number;
            self.remove(copy);
        }
        let Kind::Fused(epilogue) = consumer.kind else { unreachable!("only loops become epilogues") };
        let (reads, writes) = (fused.reads.len(), fused.writes.len());
        fused.loop_epilogue = Some(Box::new(LoopEpilogue { fused: *epilogue, source, reads, writes }));
        fused.reads.extend(consumer.reads);
        fused.writes.extend(consumer.writes);
        for (scope, count) in consumer.scopes {
            match fused.scopes.iter_mut().find(|(other, _)| *other == scope) {
                Some((_, total)) => *total += count,
                None => fused.scopes.push((scope, count)),
            }
        }
        self.insert(target, fused);
    }
}
