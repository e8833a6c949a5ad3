//! Facts about a program before it is replayed: who writes and reads each buffer, and the cost of that.

use crate::buffer::ALIGNMENT;
use crate::instruction::{BufferInfo, Instruction, Kind, Location, OutputSource, Program};
use crate::operand::Operand;

/// The cost of moving a byte, in operations: most loops are bound by memory.
const BYTE_COST: f64 = 8.0;
/// A value that cannot be computed again stays in memory to the end if it is at most this large, as does state.
const KEPT_BYTES: usize = 1 << 12;

/// The buffers and instructions of a program, by number.
pub struct Facts {
    pub values: Vec<Value>,
    /// The estimated time of each instruction, in operations.
    pub costs: Vec<f64>,
    pub total: f64,
    /// When each instruction begins, in operations since the first one.
    pub times: Vec<f64>,
    /// The buffers in the arena that each instruction reads and writes.
    pub reads: Vec<Vec<u32>>,
    pub writes: Vec<Vec<u32>>,
    /// The outputs that each instruction writes.
    pub other_writes: Vec<Vec<u32>>,
}

/// A buffer of the program. Only those in the arena have a writer and readers.
pub struct Value {
    pub bytes: usize,
    pub writer: Option<u32>,
    pub readers: Vec<u32>,
    /// It can be computed again, if that is before instruction `valid_until` or at it.
    pub repeatable: bool,
    pub valid_until: usize,
    /// It stays in memory to the end.
    pub kept: bool,
}

impl Facts {
    /// Collect the facts of a planned program.
    pub fn new(program: &Program) -> Facts {
        let in_arena = |buffer: u32| matches!(program.buffers[buffer as usize].location, Location::Arena(_));
        let listed = |operands: &[Operand], arena: bool| {
            let mut buffers: Vec<u32> = operands.iter().map(|o| o.buffer).filter(|&b| in_arena(b) == arena).collect();
            buffers.sort_unstable();
            buffers.dedup();
            buffers
        };
        let instructions = &program.instructions;
        let costs: Vec<f64> = instructions.iter().map(cost).collect();
        let mut total = 0.0;
        let mut times = Vec::with_capacity(costs.len());
        for cost in &costs {
            times.push(total);
            total += cost;
        }
        let value = |info: &BufferInfo| Value {
            bytes: info.bytes.max(1).next_multiple_of(ALIGNMENT),
            writer: None,
            readers: Vec::new(),
            repeatable: true,
            valid_until: usize::MAX,
            kept: false,
        };
        let mut facts = Facts {
            values: program.buffers.iter().map(value).collect(),
            costs,
            total,
            times,
            reads: instructions.iter().map(|i| listed(&i.reads, true)).collect(),
            writes: instructions.iter().map(|i| listed(&i.writes, true)).collect(),
            other_writes: instructions.iter().map(|i| listed(&i.writes, false)).collect(),
        };
        for (reads, writes) in facts.reads.iter_mut().zip(&facts.writes) {
            // A loop epilogue reads what its own instruction writes.
            reads.retain(|buffer| !writes.contains(buffer));
        }
        facts.connect();
        facts.bound_validity(program);
        facts
    }

    fn connect(&mut self) {
        for (index, (reads, writes)) in self.reads.iter().zip(&self.writes).enumerate() {
            for &buffer in writes {
                let value = &mut self.values[buffer as usize];
                // Several instructions may write parts of it.
                value.repeatable &= value.writer.is_none();
                value.writer = Some(index as u32);
            }
            for &buffer in reads {
                self.values[buffer as usize].readers.push(index as u32);
            }
        }
    }

    /// The last instruction that reads a value, or the results of its readers: to compute those again, it is needed.
    fn last_need(&self, buffer: u32) -> usize {
        let last = |buffer: u32| self.values[buffer as usize].readers.last().map_or(0, |&reader| reader as usize);
        let readers = self.values[buffer as usize].readers.iter();
        let results = readers.flat_map(|&reader| self.writes[reader as usize].iter().map(|&result| last(result)));
        results.max().unwrap_or(0).max(last(buffer))
    }

    /// Determine until when each value can be computed again: as long as no state that it depends on is overwritten.
    fn bound_validity(&mut self, program: &Program) {
        let overwritten = overwriting_instructions(program);
        for (index, instruction) in program.instructions.iter().enumerate() {
            let mut valid_until = usize::MAX;
            let own = |buffer: u32| self.writes[index].contains(&buffer);
            for read in instruction.reads.iter().filter(|read| !own(read.buffer)) {
                let value = &self.values[read.buffer as usize];
                valid_until = valid_until.min(match program.buffers[read.buffer as usize].location {
                    Location::Input(n) => overwritten[n as usize],
                    Location::Arena(_) if value.repeatable || value.kept => value.valid_until,
                    Location::Arena(_) => value.readers.last().map_or(0, |&last| last as usize),
                    _ => usize::MAX,
                });
            }
            // The cost of a loop is not known, and an instruction that overwrites its own operand runs once.
            let repeatable = !matches!(instruction.kind, Kind::While { .. }) && valid_until > index;
            for &write in &self.writes[index] {
                let last_need = self.last_need(write);
                let value = &mut self.values[write as usize];
                value.repeatable &= repeatable;
                value.valid_until = valid_until;
                let may_be_missed = !value.repeatable || valid_until < last_need;
                if may_be_missed && value.bytes <= KEPT_BYTES {
                    (value.kept, value.valid_until) = (true, usize::MAX);
                }
            }
        }
    }
}

/// The instruction that overwrites each input in place. A small one that is read later gets new memory instead: dropout
/// is computed again from the state of its random numbers.
fn overwriting_instructions(program: &Program) -> Vec<usize> {
    let mut overwritten = vec![usize::MAX; program.inputs.len()];
    for (index, instruction) in program.instructions.iter().enumerate() {
        for write in &instruction.writes {
            let Location::Output(output) = program.buffers[write.buffer as usize].location else { continue };
            if let OutputSource::Computed { reuse: Some(input) } = program.sources[output as usize] {
                if program.inputs[input as usize].bytes() > KEPT_BYTES {
                    overwritten[input as usize] = index;
                }
            }
        }
    }
    overwritten
}

/// The estimated time of an instruction, in operations.
fn cost(instruction: &Instruction) -> f64 {
    let own = instruction.cost();
    (own.flops as f64).max(own.bytes as f64 * BYTE_COST) + nested(instruction, cost)
}

/// The FLOPs of an instruction, with those of nested programs.
pub fn flops(instruction: &Instruction) -> f64 {
    instruction.cost().flops as f64 + nested(instruction, flops)
}

fn nested(instruction: &Instruction, measure: fn(&Instruction) -> f64) -> f64 {
    let sum = |program: &Program| program.instructions.iter().map(measure).sum::<f64>();
    match &instruction.kind {
        Kind::Cond { branches } => sum(&branches[0]).max(sum(&branches[1])),
        Kind::Scan { body, scan } => sum(body) * scan.length as f64,
        Kind::While { cond, body, .. } => sum(cond) + sum(body),
        _ => 0.0,
    }
}
