//! Control flow: nested programs run in frames of their own, on memory that this instruction names.

use crate::execute::{self, Context, Frame};
use crate::instruction::{Instruction, Kind, Operand, OutputSource, Program, ScanShape};
use crate::memory::{copy, Memory};

pub fn run(instruction: &Instruction, memory: Memory, frames: &mut [Frame], context: &mut Context) {
    match &instruction.kind {
        Kind::Cond { branches } => {
            let taken = usize::from(memory.read::<u8>(&instruction.reads[0])[0] == 0);
            let (program, frame) = (&branches[taken], &mut frames[taken]);
            for (input, operand) in instruction.reads[1..].iter().enumerate() {
                frame.set_input(program, input, memory.pointer(operand));
            }
            for (output, operand) in instruction.writes[..program.outputs.len()].iter().enumerate() {
                frame.set_output(program, output, memory.pointer(operand));
            }
            enter(program, frame, context);
        }
        Kind::While { cond, body, carries } => run_while(instruction, memory, [cond, body], *carries, frames, context),
        Kind::Scan { body, scan } => run_scan(instruction, memory, body, scan, &mut frames[0], context),
        _ => {}
    }
}

fn enter(program: &Program, frame: &mut Frame, context: &mut Context) {
    // SAFETY: the frame is this program's; its pointers are operands of the instruction, which the planner keeps
    // disjoint, and a carry is passed as both input and output only where `overwrites` allows it.
    unsafe { execute::run(program, frame, context) };
}

/// Whether the program may write output `n` over its input `n`.
fn overwrites(program: &Program, n: usize) -> bool {
    program.sources[n] == OutputSource::Computed { reuse: Some(n as u32) }
}

fn run_while(
    instruction: &Instruction,
    memory: Memory,
    [cond, body]: [&Program; 2],
    carries: usize,
    frames: &mut [Frame],
    context: &mut Context,
) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    let mut current: Vec<*mut u8> = Vec::with_capacity(carries);
    let mut other: Vec<*mut u8> = Vec::with_capacity(carries);
    for c in 0..carries {
        memory.settle(&reads[c], &writes[c]);
        current.push(memory.pointer(&writes[c]));
        other.push(if overwrites(body, c) { current[c] } else { memory.pointer(&writes[carries + c]) });
    }
    for (input, operand) in reads.iter().enumerate().skip(carries) {
        frames[0].set_input(cond, input, memory.pointer(operand));
        frames[1].set_input(body, input, memory.pointer(operand));
    }
    let verdict = memory.pointer(&writes[2 * carries]);
    frames[0].set_output(cond, 0, verdict);
    loop {
        for (c, &pointer) in current.iter().enumerate() {
            frames[0].set_input(cond, c, pointer);
        }
        enter(cond, &mut frames[0], context);
        if memory.read::<u8>(&writes[2 * carries])[0] == 0 {
            break;
        }
        for c in 0..carries {
            frames[1].set_input(body, c, current[c]);
            frames[1].set_output(body, c, other[c]);
        }
        enter(body, &mut frames[1], context);
        std::mem::swap(&mut current, &mut other);
    }
    for c in 0..carries {
        finish(memory, current[c], &writes[c]);
    }
}

/// Bring a carry to the operand where the result is expected.
fn finish(memory: Memory, from: *mut u8, to: &Operand) {
    // SAFETY: `from` is one of the two buffers of the carry, of the same size as `to`.
    unsafe { copy(from, memory.pointer(to), to.count * to.dtype.size()) };
}

fn run_scan(
    instruction: &Instruction,
    memory: Memory,
    body: &Program,
    scan: &ScanShape,
    frame: &mut Frame,
    context: &mut Context,
) {
    let (reads, writes, carries) = (&instruction.reads, &instruction.writes, scan.carries);
    let stacked = &writes[carries..carries + scan.rows.len()];
    let mut rest = carries + scan.rows.len();
    // Where the carries of each step are kept, or the second buffer of those that are not.
    let mut kept: Vec<Option<*mut u8>> = vec![None; carries];
    for c in (0..carries).filter(|&c| scan.saved[c]) {
        kept[c] = Some(memory.pointer(&writes[rest]));
        rest += 1;
    }
    let mut other: Vec<*mut u8> = vec![std::ptr::null_mut(); carries];
    for c in (0..carries).filter(|&c| !scan.saved[c]) {
        other[c] = memory.pointer(&writes[rest]);
        rest += 1;
    }
    let place = |step: usize| if scan.reverse { scan.length - 1 - step } else { step };
    let mut current: Vec<*mut u8> = Vec::with_capacity(carries);
    for c in 0..carries {
        let home = match kept[c] {
            Some(rows) if scan.length > 0 => rows.wrapping_add(place(0) * scan.carry_bytes[c]),
            _ => memory.pointer(&writes[c]),
        };
        // SAFETY: both hold one carry; they are the same or disjoint.
        unsafe { copy(memory.pointer(&reads[c]), home, scan.carry_bytes[c]) };
        current.push(home);
    }
    for (input, operand) in reads.iter().enumerate().skip(carries + scan.sequences) {
        frame.set_input(body, input, memory.pointer(operand));
    }
    for step in 0..scan.length {
        let row = place(step);
        for (s, bytes) in scan.slices.iter().enumerate() {
            let slice = memory.pointer(&reads[carries + s]).wrapping_add(row * bytes);
            frame.set_input(body, carries + s, slice);
        }
        for (y, bytes) in scan.rows.iter().enumerate() {
            frame.set_output(body, carries + y, memory.pointer(&stacked[y]).wrapping_add(row * bytes));
        }
        for c in 0..carries {
            let next = match kept[c] {
                // The carry out of this step is the carry into the next: it is computed where it is kept.
                Some(rows) if step + 1 < scan.length => rows.wrapping_add(place(step + 1) * scan.carry_bytes[c]),
                Some(_) => memory.pointer(&writes[c]),
                None if overwrites(body, c) => current[c],
                None => other[c],
            };
            frame.set_input(body, c, current[c]);
            frame.set_output(body, c, next);
            if kept[c].is_none() && next != current[c] {
                other[c] = current[c];
            }
            current[c] = next;
        }
        enter(body, frame, context);
    }
    for c in 0..carries {
        finish(memory, current[c], &writes[c]);
    }
}
