//! Runs programs: a loop over instructions whose operands are all decided.

mod composites;
mod control;
mod kernels;
mod linalg;
mod loop_epilogue;
mod rows;

use std::time::Instant;

use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;

use crate::bound::Prepared;
use crate::instruction::{Instruction, Kind, Place, Program};
use crate::memory::Memory;
use crate::profile::Profile;

pub use kernels::conv_shape;

/// The pointers of a program, and of the programs nested in it.
pub struct Frame {
    pub pointers: Vec<*mut u8>,
    /// Per instruction; empty for all but control flow.
    children: Vec<Vec<Frame>>,
}

/// What programs share: constants and literals of the executable.
pub struct Shared {
    pub constants: Vec<*const u8>,
    pub literals: *const [u8; 8],
}

impl Frame {
    /// The frame of a program whose arena begins at `arena`. Inputs and outputs are set for every run.
    pub fn new(program: &Program, arena: *mut u8, shared: &Shared) -> Frame {
        let pointers: Vec<*mut u8> = program
            .buffers
            .iter()
            .map(|info| match info.place {
                Place::Arena(offset) => arena.wrapping_add(offset),
                Place::Constant(n) => shared.constants[n as usize].cast_mut(),
                Place::Literal(n) => shared.literals.wrapping_add(n as usize).cast_mut().cast(),
                Place::Input(_) | Place::Output(_) => std::ptr::null_mut(),
            })
            .collect();
        let child = |instruction: &Instruction| -> Vec<Frame> {
            let Some(region) = instruction.writes.last() else { return Vec::new() };
            let base = pointers[region.buffer as usize];
            let programs: Vec<&Program> = match &instruction.kind {
                Kind::Cond { branches } => branches.iter().map(|b| &**b).collect(),
                Kind::While { cond, body, .. } => vec![&**cond, &**body],
                Kind::Scan { body, .. } => vec![&**body],
                _ => Vec::new(),
            };
            programs.into_iter().map(|p| Frame::new(p, base, shared)).collect()
        };
        let children = program.instructions.iter().map(child).collect();
        Frame { pointers, children }
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

/// What a run carries along.
pub struct Context<'a> {
    pub pool: &'a ThreadPool,
    pub scratch: &'a mut Scratch,
    pub profile: Option<&'a Profile>,
    /// By number of instruction; may end early.
    pub prepared: &'a [Option<Prepared>],
}

impl<'a> Context<'a> {
    /// What was made beforehand for an instruction.
    fn prepared(&self, instruction: &Instruction) -> Option<&'a Prepared> {
        self.prepared.get(instruction.number as usize)?.as_ref()
    }
}

/// Run all instructions of `program`.
///
/// # Safety
/// The frame was made for this program; its arena, inputs and outputs are valid; outputs are disjoint from everything
/// but inputs that the program says they may overwrite; nobody else uses the arena or the outputs meanwhile.
pub unsafe fn run(program: &Program, frame: &mut Frame, context: &mut Context) {
    for (index, instruction) in program.instructions.iter().enumerate() {
        let started = context.profile.map(|_| Instant::now());
        let Frame { pointers, children } = &mut *frame;
        // SAFETY: the caller's promise about the frame, and the planner's about disjointness.
        let memory = unsafe { Memory::new(pointers) };
        match &instruction.kind {
            Kind::Cond { .. } | Kind::While { .. } | Kind::Scan { .. } => {
                control::run(instruction, memory, &mut children[index], context)
            }
            _ => kernels::run(instruction, memory, context),
        }
        if let (Some(profile), Some(started)) = (context.profile, started) {
            profile.record(instruction.number, started);
        }
    }
}
