//! Control flow: nested programs run with tables of their own, on memory that the instruction names.

use crate::execute::{self, Context, PointerTable};
use crate::instruction::{Instruction, Kind, Program, ScanShape};
use crate::memory::{copy_unless_same, Memory};
use crate::operand::Operand;

pub fn run(instruction: &Instruction, memory: Memory, tables: &mut [PointerTable], context: &mut Context) {
    match &instruction.kind {
        Kind::Cond { branches } => {
            let branch = usize::from(memory.read::<u8>(&instruction.reads[0])[0] == 0);
            let (program, table) = (&branches[branch], &mut tables[branch]);
            for (input, operand) in instruction.reads[1..].iter().enumerate() {
                table.set_input(program, input, memory.pointer(operand));
            }
            for (output, operand) in instruction.writes[..program.outputs.len()].iter().enumerate() {
                table.set_output(program, output, memory.pointer(operand));
            }
            run_nested(program, table, context);
        }
        Kind::While { cond, body, carries } => run_while(instruction, memory, [cond, body], *carries, tables, context),
        Kind::Scan { body, scan } => run_scan(instruction, memory, body, scan, &mut tables[0], context),
        _ => {}
    }
}

fn run_nested(program: &Program, table: &mut PointerTable, context: &mut Context) {
    // SAFETY: the table is this program's; its pointers are operands of the instruction, which the planner keeps
    // disjoint, and a carry is both input and output only where the program may overwrite it.
    unsafe { execute::run(program, table, context) };
}

fn run_while(
    instruction: &Instruction,
    memory: Memory,
    [cond, body]: [&Program; 2],
    carries: usize,
    tables: &mut [PointerTable],
    context: &mut Context,
) {
    let (reads, writes) = (&instruction.reads, &instruction.writes);
    let [cond_table, body_table] = tables else { unreachable!("a while loop has two programs") };
    let mut current: Vec<*mut u8> = Vec::with_capacity(carries);
    let mut next: Vec<*mut u8> = Vec::with_capacity(carries);
    for c in 0..carries {
        memory.copy_unless_shared(&reads[c], &writes[c]);
        current.push(memory.pointer(&writes[c]));
        next.push(if body.overwrites(c) { current[c] } else { memory.pointer(&writes[carries + c]) });
    }
    for (input, operand) in reads.iter().enumerate().skip(carries) {
        cond_table.set_input(cond, input, memory.pointer(operand));
        body_table.set_input(body, input, memory.pointer(operand));
    }
    let predicate = &writes[2 * carries];
    cond_table.set_output(cond, 0, memory.pointer(predicate));
    loop {
        for (c, &pointer) in current.iter().enumerate() {
            cond_table.set_input(cond, c, pointer);
        }
        run_nested(cond, cond_table, context);
        if memory.read::<u8>(predicate)[0] == 0 {
            break;
        }
        for c in 0..carries {
            body_table.set_input(body, c, current[c]);
            body_table.set_output(body, c, next[c]);
        }
        run_nested(body, body_table, context);
        std::mem::swap(&mut current, &mut next);
    }
    for c in 0..carries {
        copy_carry(memory, current[c], &writes[c]);
    }
}

/// Copy a carry to the operand that takes the result.
fn copy_carry(memory: Memory, from: *mut u8, to: &Operand) {
    // SAFETY: `from` is one of the two buffers of the carry, of the same size as `to`.
    unsafe { copy_unless_same(from, memory.pointer(to), to.bytes()) };
}

/// The memory of one carry of a scan.
enum Carry {
    /// All steps are saved: row `step` of a stacked array holds the carry into that step.
    Saved { rows: *mut u8 },
    /// Only the current value is kept; the next is computed over it, or into the spare buffer.
    Current { spare: *mut u8 },
}

fn run_scan(
    instruction: &Instruction,
    memory: Memory,
    body: &Program,
    scan: &ScanShape,
    table: &mut PointerTable,
    context: &mut Context,
) {
    let (reads, writes, carries) = (&instruction.reads, &instruction.writes, scan.carries);
    let stacked = &writes[carries..carries + scan.rows.len()];
    let mut states = scan_carries(scan, &writes[carries + scan.rows.len()..], memory);
    let row_of = |step: usize| if scan.reverse { scan.length - 1 - step } else { step };
    let mut current: Vec<*mut u8> = Vec::with_capacity(carries);
    for c in 0..carries {
        let first = match states[c] {
            Carry::Saved { rows } if scan.length > 0 => rows.wrapping_add(row_of(0) * scan.carry_bytes[c]),
            _ => memory.pointer(&writes[c]),
        };
        // SAFETY: both hold one carry; they are the same or disjoint.
        unsafe { copy_unless_same(memory.pointer(&reads[c]), first, scan.carry_bytes[c]) };
        current.push(first);
    }
    for (input, operand) in reads.iter().enumerate().skip(carries + scan.sequences) {
        table.set_input(body, input, memory.pointer(operand));
    }
    for step in 0..scan.length {
        let row = row_of(step);
        for (s, bytes) in scan.slices.iter().enumerate() {
            let slice = memory.pointer(&reads[carries + s]).wrapping_add(row * bytes);
            table.set_input(body, carries + s, slice);
        }
        for (y, bytes) in scan.rows.iter().enumerate() {
            table.set_output(body, carries + y, memory.pointer(&stacked[y]).wrapping_add(row * bytes));
        }
        for c in 0..carries {
            let next = match states[c] {
                // The carry out of this step is the carry into the next: it is computed where that is saved.
                Carry::Saved { rows } if step + 1 < scan.length => {
                    rows.wrapping_add(row_of(step + 1) * scan.carry_bytes[c])
                }
                Carry::Saved { .. } => memory.pointer(&writes[c]),
                Carry::Current { .. } if body.overwrites(c) => current[c],
                Carry::Current { spare } => {
                    states[c] = Carry::Current { spare: current[c] };
                    spare
                }
            };
            table.set_input(body, c, current[c]);
            table.set_output(body, c, next);
            current[c] = next;
        }
        run_nested(body, table, context);
    }
    for c in 0..carries {
        copy_carry(memory, current[c], &writes[c]);
    }
}

/// The memory of every carry. `writes` are the stacked arrays of saved carries, then the spare buffers of the others.
fn scan_carries(scan: &ScanShape, writes: &[Operand], memory: Memory) -> Vec<Carry> {
    let saved = scan.saved.iter().filter(|&&saved| saved).count();
    let (stacked, spare) = writes.split_at(saved);
    let (mut stacked, mut spare) = (stacked.iter(), spare.iter());
    let mut pointer = |saved: bool| {
        let operand = if saved { stacked.next() } else { spare.next() };
        memory.pointer(operand.unwrap_or_else(|| unreachable!("lowering writes one buffer per carry")))
    };
    scan.saved
        .iter()
        .map(|&saved| match saved {
            true => Carry::Saved { rows: pointer(true) },
            false => Carry::Current { spare: pointer(false) },
        })
        .collect()
}
