//! Runs programs: a loop over instructions whose operands are all decided.

mod composites;
mod control;
mod convolution;
mod kernels;
mod linalg;
mod loop_epilogue;
mod rows;

use std::time::Instant;

use hornbeam_kernels::gemm::{Activation, Epilogue};
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;

use crate::graph::Limit;
use crate::instruction::{Instruction, Kind, Location, Program};
use crate::memory::Memory;
use crate::operand::Operand;
use crate::profile::Profile;
use crate::weight_cache::WeightCache;

/// The pointers of a program's buffers, and the tables of the programs nested in it.
pub struct PointerTable {
    pub pointers: Vec<*mut u8>,
    /// Per instruction; empty for all but control flow.
    nested: Vec<Vec<PointerTable>>,
}

/// The constants and literals of an executable, which all of its programs share.
pub struct ConstantPointers {
    pub constants: Vec<*const u8>,
    pub literals: *const [u8; 8],
}

impl PointerTable {
    /// Create the table of a program whose arena begins at `arena`. Inputs and outputs are set for every run.
    pub fn new(program: &Program, arena: *mut u8, shared: &ConstantPointers) -> PointerTable {
        let pointers: Vec<*mut u8> = program
            .buffers
            .iter()
            .map(|info| match info.location {
                Location::Arena(offset) => arena.wrapping_add(offset),
                Location::Constant(n) => shared.constants[n as usize].cast_mut(),
                Location::Literal(n) => shared.literals.wrapping_add(n as usize).cast_mut().cast(),
                Location::Input(_) | Location::Output(_) => std::ptr::null_mut(),
            })
            .collect();
        let nested_tables = |instruction: &Instruction| -> Vec<PointerTable> {
            let Some(region) = instruction.writes.last() else { return Vec::new() };
            let base = pointers[region.buffer as usize];
            let programs = instruction.kind.programs();
            programs.into_iter().map(|(_, nested)| PointerTable::new(nested, base, shared)).collect()
        };
        let nested = program.instructions.iter().map(nested_tables).collect();
        PointerTable { pointers, nested }
    }

    pub fn set_input(&mut self, program: &Program, input: usize, pointer: *const u8) {
        if let Some(buffer) = program.input_buffers[input] {
            self.pointers[buffer as usize] = pointer.cast_mut();
        }
    }

    pub fn set_output(&mut self, program: &Program, output: usize, pointer: *mut u8) {
        if let Some(buffer) = program.output_buffers[output] {
            self.pointers[buffer as usize] = pointer;
        }
    }
}

/// The resources of a run.
pub struct Context<'a> {
    pub pool: &'a ThreadPool,
    pub scratch: &'a mut Scratch,
    pub profile: Option<&'a Profile>,
    pub weights: &'a WeightCache,
}

/// Run all instructions of `program`.
///
/// # Safety
/// The table was created for this program; its arena, inputs and outputs are valid; outputs are disjoint from everything
/// but inputs that the program declares overwritable; nothing else uses the arena or the outputs meanwhile.
pub unsafe fn run(program: &Program, table: &mut PointerTable, context: &mut Context) {
    for (index, instruction) in program.instructions.iter().enumerate() {
        let started = context.profile.map(|_| Instant::now());
        let PointerTable { pointers, nested } = &mut *table;
        // SAFETY: guaranteed by the caller for the table, and by the planner for disjointness.
        let memory = unsafe { Memory::new(pointers) };
        match &instruction.kind {
            Kind::Cond { .. } | Kind::While { .. } | Kind::Scan { .. } => {
                control::run(instruction, memory, &mut nested[index], context)
            }
            _ => kernels::run(instruction, memory, context),
        }
        if let (Some(profile), Some(started)) = (context.profile, started) {
            profile.record(instruction.number, started);
        }
    }
}

/// The kernel's epilogue of a contraction with a bias, a relu, or both.
fn bias_relu<'a, T>(memory: Memory<'a>, bias: Option<&Operand>, relu: Option<Limit>) -> Epilogue<'a, T> {
    let activation = relu.map_or(Activation::None, |limit| Activation::Relu { limit: limit.get() });
    Epilogue { bias: bias.map(|b| memory.read(b)), activation, accumulate: false }
}
